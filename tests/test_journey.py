"""The last line of each job is the command that goes on from what it has made, as it is typed here."""

import shlex
from pathlib import Path

import pytest
from checkout import ROOT

from sparkprep.cli import parse
from sparkprep.journey import MICRO_BATCH, tell_next, tell_training


def printed(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words behind the program of each printed line."""
    lines = [shlex.split(line.partition(": ")[2]) for line in capsys.readouterr().out.splitlines()]
    return [words[1:] if Path(words[0]).name == "sparkprep" else words for words in lines]


@pytest.mark.parametrize("output", ["pages", "a b/pages/", "s3://bucket/run/pages", "/no/such/pages"])
def test_each_job_names_the_next_that_takes_what_it_has_made(capsys: pytest.CaptureFixture[str], output: str) -> None:
    above = output.rstrip("/").removesuffix("pages")
    for verb, expected in (
        ("extract", [("filter", "good"), ("dedup", "clean")]),
        ("filter", [("dedup", "clean")]),
        ("dedup", [("tokenize", "tokens")]),
        ("tokenize", [("shards", "shards")]),
    ):
        tell_next(verb, output)
        lines = printed(capsys)
        assert lines == [[name, "--input", output, "--output", above + place] for name, place in expected]
        assert [parse(words).verb for words in lines] == [name for name, _ in expected]


def test_columns_that_a_run_was_told_of_go_on_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    tell_next("filter", "good", {"text_column": "body", "id_column": "my id"})
    (words,) = printed(capsys)
    assert words[-4:] == ["--text-column", "body", "--id-column", "my id"]
    tell_next("dedup", "clean", {"text_column": "text", "id_column": None})
    assert printed(capsys)[0][-1] == "tokens"


def test_a_place_that_is_taken_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("clean", "clean-2"):
        (tmp_path / name).mkdir()
    tell_next("filter", "good")
    tell_next("filter", "s3://bucket")
    assert [words[-1] for words in printed(capsys)] == ["clean-3", "FOLDER"]


def test_shards_are_trained_on_and_those_on_s3_fetched_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tell_training("shards", "docs", 100_000)
    (words,) = printed(capsys)
    assert Path(words[1]).resolve() == ROOT / "train" / "train_gpt2.py"
    assert words[2:] == ["-id", "shards/docs_train_*.bin", "-iv", "shards/docs_val_*.bin", "-o", "log"]
    tell_training("s3://bucket/run/shards", "docs", 100_000)
    fetch, words = printed(capsys)
    assert fetch == ["aws", "s3", "sync", "s3://bucket/run/shards", "shards"]
    assert words[2:] == ["-id", "shards/docs_train_*.bin", "-iv", "shards/docs_val_*.bin", "-o", "log"]


def test_micro_batches_fit_into_the_shortest_shard(capsys: pytest.CaptureFixture[str]) -> None:
    for shortest, flags in (
        (65_537, []),
        (65_536, ["-b", "32"]),
        (8_361, ["-b", "8"]),
        (1_025, ["-b", "1"]),
        (1_024, ["-b", "1", "-t", "512"]),
        (9, ["-b", "1", "-t", "8"]),
    ):
        tell_training("none/shards", "docs", shortest)
        words = printed(capsys)[0]
        assert words[words.index("-o") + 2 :] == flags
        told = dict(zip(words[::2], words[1::2], strict=True))
        rows, length = int(told.get("-b", MICRO_BATCH[0])), int(told.get("-t", MICRO_BATCH[1]))
        assert rows * length < shortest


def test_the_micro_batch_is_the_trainers() -> None:
    settings = pytest.importorskip("trainer.settings", reason="the trainer is not installed in this environment")
    assert (settings.TrainSettings().micro_batch, settings.TrainSettings().seq_len) == MICRO_BATCH
