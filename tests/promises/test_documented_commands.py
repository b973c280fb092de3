"""What the README says to type works as printed: its blocks are run line by line."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkout import ROOT

from sparkprep.sample import embedded

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(heading: str) -> list[list[str]]:
    """The commands of each block below a heading of the README, those for Python left out."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [block.strip().splitlines() for block in re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE)]


def run(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_path_from_nothing_to_a_plot() -> None:
    pytest.importorskip("torch", reason="the trainer is not installed in this environment")
    shutil.rmtree(ROOT / "demo", ignore_errors=True)
    (commands,) = blocks("From nothing to a plot")
    assert commands[0] == "make demo"
    said = [run(command, ROOT) for command in commands]
    assert "precision  1.0000" in said[0]
    assert "Next: open demo/10k/report.html" in said[0]
    assert (ROOT / "demo" / "10k" / "report.html").stat().st_size > 10_000
    assert (ROOT / "demo" / "run" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(said[4].strip()) > 50, "the model wrote no text"


@pytest.mark.slow
def test_the_commands_for_ones_own_data(tmp_path: Path) -> None:
    for name in (".venv", "jobs"):
        (tmp_path / name).symlink_to(ROOT / name)
    subset = embedded("1k")
    documents = pq.read_table(subset.documents)
    (tmp_path / "crawl").mkdir()
    pq.write_table(documents, tmp_path / "crawl" / "part-0.parquet")
    shutil.copy(subset.pairs, tmp_path / "pairs.parquet")
    rows = documents.append_column("score", pa.array(range(len(documents)))).slice(0, 50).to_pylist()
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(
        pa.table({"id": range(9), "input_ids": [[n, n + 1] * 60 for n in range(9)]}), tmp_path / "tokens.parquet"
    )
    question = {"ctx": "A dog", "endings": ["barks.", "reads.", "flies.", "sings."], "label": 0}
    (tmp_path / "hellaswag_val.jsonl").write_text(json.dumps(question) + "\n")
    commands = [command for block in blocks("Your own data") for command in block]
    assert len(commands) >= 8
    for command in commands:
        run(command, tmp_path)
    for made in ("clean/report.html", "shards/manifest.json", "strict/kept", "fineweb/fineweb_train_000001.bin"):
        assert (tmp_path / made).exists(), made
