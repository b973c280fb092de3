"""train/hellaswag.py: what it prints, and which files it writes."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from hellaswag_questions import SMALL

from sparkprep.llmc.hellaswag import Example
from trainer import progress
from trainer.checkpoints import model_file
from trainer.commands import hellaswag as hellaswag_cli
from trainer.evaluate.hellaswag import evaluate, prepare
from trainer.models.gpt2 import GPT2
from trainer.models.layout import views_of


@pytest.fixture
def saved(model: GPT2, tmp_path: Path) -> str:
    """A model file of SMALL."""
    path = str(tmp_path / "model_00000012.bin")
    flat = model.flat.clone()
    views_of(flat, SMALL.tensors())["wte"][0][SMALL.vocab_size :] = 0
    model_file.write(path, SMALL, flat, 3)
    return path


def test_the_command_tells_accuracy_interval_and_cost_and_writes_the_scores(
    saved: str, asked: tuple[str, list[Example]], model: GPT2, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hellaswag_cli.main([saved, "--data", asked[0], "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    result = evaluate(model, prepare(asked[0], 40))
    low, high = result.interval()
    assert f"HellaSwag: {result.correct}/40 = {result.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f})" in out
    assert "GPT-2 124M 0.2945, chance 0.2500" in out
    assert f"{result.tokens_computed:,} tokens computed in" in out
    assert "6,400," in out
    assert err == ""  # no bar where nobody watches
    scores = Path(saved).with_name("model_00000012_hellaswag.csv")
    assert f"scores of each example: {scores}" in out
    assert len(scores.read_text().splitlines()) == 41


def test_the_command_prints_one_json_object(
    saved: str, asked: tuple[str, list[Example]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = str(tmp_path / "elsewhere.csv")
    words = [saved, "--data", asked[0], "--device", "cpu", "--json", "--scores", scores, "--limit", "8"]
    assert hellaswag_cli.main([*words, "--batch-tokens", "64", "--precision", "bf16"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["examples"] == 8
    assert told["accuracy"] == told["correct"] / 8
    assert told["interval_95"][0] <= told["accuracy"] < told["interval_95"][1]  # of 8 none may be right
    assert told["tokens_padded"] == 8 * 4 * 40
    assert (told["precision"], told["scores"]) == ("BF16", scores)
    assert len(Path(scores).read_text().splitlines()) == 9


@pytest.mark.parametrize("version", [3, 5])
def test_a_cpu_evaluates_in_float32_whatever_the_file_holds(
    version: int, saved: str, asked: tuple[str, list[Example]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "model.bin")
    model = model_file.open_model(saved)
    model_file.write(path, model.shape, model.flat, version)
    assert hellaswag_cli.main([path, "--data", asked[0], "--device", "cpu", "--json", "--limit", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "FP32"


def test_a_part_does_not_replace_the_scores_of_the_whole(
    saved: str, asked: tuple[str, list[Example]], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--limit", "3"], ["--no-scores"]):
        assert hellaswag_cli.main([saved, "--data", asked[0], "--device", "cpu", *words]) == 0
        assert "scores of each example" not in capsys.readouterr().out
    assert not list(Path(saved).parent.glob("*.csv"))


def test_the_result_is_told_even_where_its_file_cannot_be_written(
    saved: str, asked: tuple[str, list[Example]], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(Path(saved).parent / "missing" / "scores.csv")
    assert hellaswag_cli.main([saved, "--data", asked[0], "--device", "cpu", "--scores", missing]) == 2
    out, err = capsys.readouterr()
    assert "HellaSwag: " in out
    assert err.startswith(f"error: {missing}: cannot be written")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{saved}", "--data", "nothing.bin"], "nothing.bin: no such file; make it with `"),
        (["nothing.bin", "--data", "{asked}"], "nothing.bin: cannot be read"),
        (["{asked}", "--data", "{asked}"], "not a model file: it is an evaluation file of llm.c"),
        (["{saved}", "--data", "{saved}"], "not a HellaSwag file: it is a model file"),
        (["{saved}", "--data", "{asked}", "--limit", "0"], "--limit: 0 is below 1"),
        (["{saved}", "--data", "{asked}", "--batch-tokens", "-5"], "--batch-tokens: -5 is below 1"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    saved: str, asked: tuple[str, list[Example]], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(saved=saved, asked=asked[0]) for word in words]
    assert hellaswag_cli.main([*words, "--device", "cpu"]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_bar_with_the_time_left_is_shown_on_a_terminal(
    saved: str, asked: tuple[str, list[Example]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_TICK", 0.01)
    monkeypatch.setattr(progress, "SHOWN_AFTER", 0.0)
    hidden = GPT2.hidden

    def slowly(self: GPT2, ids: torch.Tensor, cache: object = None) -> torch.Tensor:
        time.sleep(0.05)
        return hidden(self, ids, cache)

    monkeypatch.setattr(GPT2, "hidden", slowly)
    words = [saved, "--data", asked[0], "--device", "cpu", "--no-scores", "--batch-tokens", "500"]
    assert hellaswag_cli.main(words) == 0
    seen = capsys.readouterr().err.split("\r")
    shares = [
        int(share) for line in seen for share in re.findall(r"^HellaSwag: (\d+) % of [\d,]+ tokens, .* left", line)
    ]
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert shares[-1] > 50
