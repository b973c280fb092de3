"""manifest.json and the notes beside it: another program's files of these names are told as such."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.tokens.manifest import MANIFEST, NOTES, read_notes

SHARD: dict[str, Any] = {
    "split": "val",
    "index": 0,
    "file": "a_val_000000.bin",
    "tokens": 5,
    "documents": 1,
    "sha256": "00",
}
OURS: dict[str, Any] = {"plan": "f", "tokens": 5, "documents": 1, "shards": [SHARD]}
OF_OTHERS: list[tuple[Any, str]] = [
    ({"name": "App", "icons": []}, "it has no 'plan'"),  # a web page's manifest.json
    ([SHARD], "it holds no object"),
    ({**OURS, "shards": 3}, "'shards' is not a list"),
    ({**OURS, "shards": []}, "without any shard"),
    ({**OURS, "shards": ["a_val_000000.bin"]}, "it holds no object"),
    ({**OURS, "shards": [{**SHARD, "tokens": "5"}]}, "'tokens' is not a whole number"),
    (
        {**OURS, "shards": [{**SHARD, "file": "../a_val_000000.bin"}]},
        "names '../a_val_000000.bin', which is no file in",
    ),
]


@pytest.mark.parametrize(("content", "said"), OF_OTHERS)
def test_a_manifest_of_another_program_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, said: str
) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    assert main(["shards", "--output", str(tmp_path), "--verify"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/{MANIFEST}: ")
    assert said in line
    with pytest.raises(UserError, match="delete it, or choose another folder"):  # what `shards` itself does first
        read_notes(str(tmp_path))


@pytest.mark.parametrize(
    "content", [{}, SHARD, {**SHARD, "plan": 1}, {**SHARD, "plan": "f", "file": "../../a_val_000000.bin"}]
)
def test_a_note_of_another_program_is_told_in_one_line(tmp_path: Path, content: Any) -> None:
    (tmp_path / NOTES).mkdir()
    (tmp_path / NOTES / "a_val_000000.bin.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"_progress/a_val_000000\.bin\.json: .*; delete it, or choose another folder"):
        read_notes(str(tmp_path))
