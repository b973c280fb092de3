"""-x 0: what a model reaches, told and written nowhere."""

from pathlib import Path

import pytest
from short_runs import Capsys, content, refused, seed_model, words

from trainer.checkpoints.folder import held
from trainer.commands.train import main


def told(capsys: Capsys, folder: Path, data: Path, **options: object) -> str:
    capsys.readouterr()
    assert main(words(folder, data, x=0, **options)) == 0
    return capsys.readouterr().out


def test_the_newest_checkpoint_is_evaluated_as_its_run_did_and_nothing_is_written(
    out: Path, data: Path, capsys: Capsys
) -> None:
    before = content(out)
    with held(str(out)):  # even while a run writes there
        said = told(capsys, out, data, y=1, id="none_*.bin")  # of what it was trained on nothing is needed
    assert f"evaluating {out}/model_00000008.bin, of step 8" in said
    (loss,) = (line.removeprefix("val loss ") for line in said.splitlines() if line.startswith("val loss"))
    assert f"s:8 tel:{float(loss):.4f}" in (out / "main.log").read_text()
    assert {**content(out), ".lock": b""} == {**before, ".lock": b""}


def test_a_model_file_is_evaluated_beside_an_earlier_run_which_stays_where_it_is(
    out: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    before = content(out)
    seed = seed_model(tmp_path / "seed.bin")
    assert f"evaluating {seed}, of step 5" in told(capsys, out, data, e=seed, ss=5)
    assert content(out) == before
    assert "val loss" in told(capsys, tmp_path / "new", data, e=seed)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("resume", [0, 1])
def test_without_a_model_there_is_nothing_to_evaluate(resume: int, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    said = refused(capsys, tmp_path / "new", data, x=0, y=resume)
    assert "-x 0 evaluates a model: name it with -e, or give -y 1 for the newest checkpoint in -o" in said
    assert not (tmp_path / "new").exists()
