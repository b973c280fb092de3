"""What the README and the documents say to type works as printed, in order, on the demo's data or tiny files."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import s3_buckets
import workplace
from checkout import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
PROGRAMS = ("make", "python", "sparkprep", "spark-submit", ".venv/bin/", "mkdir", "pip", "aws")
"""How a line begins that is to be typed."""

FROM_NOTHING = ("README.md", "From nothing to a plot")
OWN_DATA = ("README.md", "Your own data")
TRAINER = ("docs/training.md", "The commands")
ON_EMR = [("docs/emr.md", heading) for heading in ("By `sparkprep emr`", "EMR Serverless", "By hand, in the console")]
SERIES = ("docs/training.md", "Several experiments, one after another")
RUN = {
    FROM_NOTHING: "here",
    OWN_DATA: "here, but for NOT_RUN",
    TRAINER: "here, but for NOT_RUN",
    **dict.fromkeys(ON_EMR, "tests/emr/test_documented.py"),
    SERIES: "tests/trainer/commands/test_documented_series.py",
}
"""The sections whose commands are run, and where."""
GPU = "124M at the course's batch: wants a GPU"
NOT_RUN = {
    "python train/train_gpt2.py -o my_first_experiment -b 32 -x 20": GPU,
    "python train/train_gpt2.py -o logGPT -1d 12 -1c 768 -1h 12 -b 32 -y 1 -e seed_model.bin -ss 2365 -l 0.002": GPU,
    "make train-final SEED_MODEL=seed_model.bin LR=0.002 DATA=shards OUT=logGPT": GPU,
    **dict.fromkeys(
        (
            "python train/tune_lr.py probe --data shards --budget 40",
            "python train/tune_lr.py plan --data shards --budget 40",
            "python train/tune_lr.py run --data shards --budget 40",
            "python train/tune_lr.py run --data shards --budget 40 --continue seed_model.bin -o tuning_continued",
            "make tune DATA=shards BUDGET=40",
        ),
        GPU,
    ),
    "python train/tune_lr.py next tuning": "a study; tests/trainer/commands/ make one",
    "python train/tune_lr.py report tuning": "a study; tests/trainer/commands/ make one",
    "make tune-demo": "minutes; tests/trainer/tune/test_tuner.py goes the whole way with a smaller model",
    "make train-final REHEARSE=1": "tests/trainer/final/ goes the whole way",
    "python train/train_final.py --seed-model seed_model.bin --learning-rate 0.002 --data shards --output logGPT "
    "--then upload=my-bucket/experiments/full_gpt,shutdown --shutdown-anyway-after 6": (
        "it shuts the machine down; tests/trainer/final/ does it with another command"
    ),
    ".venv/bin/sparkprep browse strict": "it serves a page until it is ended; tests/dedup/audit/ and tests/browser/",
    "make test": "it is what runs these tests",
    "make test-more": "it is what runs these tests",
    "make scale-test": "minutes of all cores for each shape of corpus",
    "make browser-test": "a browser; tests/browser/",
    "make cluster-test": "a cluster of Spark; tests/cluster/",
    "make storage-test": "a cluster of Spark and Ceph; tests/storage/",
    "make bootstrap-test": "nodes in a Debian of its own, as root; tests/bootstrap/",
    "make format": "it changes the checkout",
}
"""Commands that no test runs as they stand, and why."""


def blocks(page: str) -> list[tuple[str, list[str]]]:
    """The heading above each block that is to be typed, and its commands: without comments, each on one line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for block in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines = re.sub(r"\\\n\s*", "", block[2]).strip().splitlines()
        if block[1] not in ("", "sh", "bash", "console") or not lines[0].startswith(PROGRAMS):
            continue
        heading = re.findall(r"^#+ (.*)", text[: block.start()], re.MULTILINE)[-1]
        found.append((heading, [re.sub(r"\s+# .*", "", line) for line in lines]))
    return found


def commands(page: str, heading: str) -> list[str]:
    return [line for above, lines in blocks(page) if above == heading for line in lines]


def test_every_command_of_every_page_is_run_or_has_its_reason() -> None:
    printed = {(page, heading): commands(page, heading) for page in PAGES for heading, _ in blocks(page)}
    assert set(RUN) <= set(printed)
    left = [
        f"{page}: {line}"
        for (page, heading), lines in printed.items()
        if (page, heading) not in RUN
        for line in lines
        if line not in NOT_RUN
    ]
    assert left == []
    assert set(NOT_RUN) <= {line for lines in printed.values() for line in lines}, "a reason for what is not printed"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout of git's")
def test_what_the_commands_and_notebooks_write_is_left_alone_by_git() -> None:
    lines = [line for page in PAGES for _, lines in blocks(page) for line in lines]
    flags = r"(?:--output |--shards |-o |OUT=)(?!s3:)([\w./-]+)"
    written = {folder for line in lines for folder in re.findall(flags, line)}
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        source = notebook.read_text(encoding="utf-8")
        written |= {f"notebooks/{name}" for name in re.findall(r'(?:output=|place = .*)\\"(\w+)\\"', source)}
    assert {"clean", "tokens", "shards", "strict", "notebooks/shards"} <= {folder.rstrip("/") for folder in written}
    for folder in written:
        check = ["git", "check-ignore", "--quiet", os.path.join(folder, "any")]
        assert subprocess.run(check, cwd=ROOT, check=False).returncode == 0, folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout in which `make setup` and `make setup-train` have done their work."""
    copy = tmp_path / "checkout"
    unwanted = shutil.ignore_patterns(".git*", ".venv*", "demo", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=unwanted, symlinks=True)
    environment = copy / ".venv"
    (environment / "bin").mkdir(parents=True)
    for path in Path(sys.prefix, "bin").iterdir():
        (environment / "bin" / path.name).symlink_to(path)
    for path in Path(sys.prefix).iterdir():
        if path.name != "bin":
            (environment / path.name).symlink_to(path)
    (environment / ".ready").write_text(f"{copy}\n")
    for stamp in (".warm", ".archived", ".trainer"):
        (environment / stamp).touch()
    return copy


@pytest.mark.slow
def test_the_path_from_nothing_to_a_plot(checkout: Path) -> None:
    pytest.importorskip("torch", reason="the trainer is not installed in this environment")
    lines = commands(*FROM_NOTHING)
    assert lines[0] == "make demo"
    said = [workplace.run_shell(line, checkout) for line in lines]
    assert "precision  1.0000" in said[0]
    assert "Next: open demo/pages/report.html and demo/10k/report.html in a browser" in said[0]
    assert (checkout / "demo" / "10k" / "report.html").stat().st_size > 10_000
    assert (checkout / "demo" / "run" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(said[4].strip()) > 50, "the model wrote no text"
    # The course's own size, on the demo's shards: what it is told can be typed.
    refused = ".venv/bin/python train/train_gpt2.py -id 'demo/shards/*_train_*.bin' -iv 'demo/shards/*_val_*.bin' -b 32"
    with pytest.raises(
        AssertionError, match=r"give -b \d+ or less, (--val-tokens \d+ or less|or leave this shard out)"
    ):
        workplace.run_shell(f"{refused} -o demo/d12", checkout)
    for printed in re.findall(r"`(\.venv/bin/sparkprep [^`]+)`", said[0]):
        workplace.run_shell(printed, checkout)


@pytest.mark.slow
def test_the_commands_for_ones_own_data(tmp_path: Path) -> None:
    workplace.link_checkout(tmp_path)
    workplace.write_documents(tmp_path)
    workplace.write_questions(tmp_path / "hellaswag_val.jsonl")
    lines = commands(*OWN_DATA)
    assert len(lines) >= 8
    for line in lines:
        if line not in NOT_RUN:
            workplace.run_shell(line, tmp_path)
    for made in ("clean/report.html", "shards/manifest.json", "strict/kept", "fineweb/fineweb_train_000001.bin"):
        assert (tmp_path / made).exists(), made


@pytest.mark.slow
def test_the_trainers_commands(tmp_path: Path, bucket: str) -> None:
    workplace.link_checkout(tmp_path)
    workplace.write_trainers(tmp_path)
    for kind in ("train_000001", "val_000000"):
        workplace.write_shard(tmp_path / "data" / f"fineweb_{kind}.bin", 1000, 100)
    s3_buckets.client().create_bucket(Bucket="my-bucket")
    shutil.rmtree(tmp_path / "logGPT")  # in its place what such a run leaves at its end
    sizes = "-1d 1 -1c 8 -1h 1 -b 8 -t 64 -d 512 -u 0 -h 0 --val-tokens 512"
    workplace.run_shell(f"python train/train_gpt2.py -o logGPT -x 4725 -ss 4724 {sizes}", tmp_path)
    ran = 0
    for line in commands(*TRAINER):
        if line not in NOT_RUN:
            workplace.run_shell(line, tmp_path, timeout=1800)  # 1.3 million tokens of validation
            ran += 1
    assert ran >= 6
    assert (tmp_path / "my_gpt2" / "config.json").exists()
    assert os.path.exists(tmp_path / "plot.png")
