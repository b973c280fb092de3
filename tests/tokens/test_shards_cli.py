"""The command line of sharding: what is refused before Spark starts."""

from pathlib import Path

import pytest

from sparkprep.cli import main


@pytest.mark.parametrize("flag", ["--tokens-column", "--id-column"])
def test_a_column_without_a_name_is_refused_at_once(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.parquet").touch()
    words = ["--input", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "out"), flag, ""]
    assert main(["shards", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flag}: an empty word was given")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tokenize --input in --output t1 --shards t1", "--shards t1 is --output t1"),
        ("tokenize --input in --output t1 --shards t1/new", "--shards t1/new lies inside --output t1"),
        ("tokenize --input in --output t1/rows --shards t1/", "--shards t1/ has inside it --output t1/rows"),
        ("tokenize --input in --output t1 --shards in/new", "--shards in/new lies inside the input in"),
        ("tokenize --input in --output t1 --shards link", "--shards link is the input in"),
        ("shards --input in --output ./in", "--output ./in is the input in"),
        ("shards --input s3://b/x/y --output s3a://b/x/", "--output s3a://b/x/ has inside it the input s3://b/x/y"),
        ("grade out --truth in --json in", "--json in is the input in"),
    ],
)
def test_two_places_of_a_command_that_are_one_or_inside_each_other_are_refused(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    assert capsys.readouterr().err == f"error: {said}; name another place\n"
