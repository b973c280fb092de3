"""The final run looks before it spends: seed, tokens, disk and cost; then it trains, and can be started again."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import TRAIN
from final_runs import START, STEPS, contents, with_options
from mounts import full_disk
from runs_of_training import write_shards

from sparkprep.errors import UserError
from trainer.checkpoints import checkpoint, model_file
from trainer.commands.final import main
from trainer.final import cost
from trainer.final.cost import checkpoint_bytes, checkpoints_due
from trainer.final.final import run_final
from trainer.final.settings import FinalRun
from trainer.loop.loop import train
from trainer.runs import log as run_log
from trainer.runs import upload


def test_it_checks_estimates_trains_to_the_end_and_then_has_nothing_left(
    final: FinalRun, said: list[str], say: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_final(final, say)
    kinds = [line.split()[0] for line in said]
    assert kinds == ["seed", "data", "disk", "probe", "estimate", "command"]
    assert [each.step for each in checkpoint.find(final.output)] == [60, 40]
    history = run_log.read(os.path.join(final.output, "main.log"))
    assert history.train.steps.tolist() == list(range(START, STEPS))
    estimate = next(line for line in said if line.startswith("estimate"))
    seconds, hours, dollars = re.search(r"30 steps at (\S+) s: (\S+) hours, \$(\S+) at \$1.50", estimate).groups()  # type: ignore[union-attr]
    # the hours are those of the steps, and some for the rest; the dollars are theirs at the price
    assert float(hours) >= 30 * float(seconds) / 3600 - 0.01
    assert float(dollars) == pytest.approx(1.5 * float(hours), abs=0.02)
    assert ".probe" not in os.listdir(final.output)

    capsys.readouterr()
    said.clear()
    before = contents(final)
    assert run_final(replace(final, learning_rate=0.5), say) is None  # again: nothing is priced, trained or written
    assert said == []
    assert "stands at step 60, and was to stop at 60 (-l was 0.01 and is now 0.5: that" in capsys.readouterr().out
    assert contents(final) == before


def test_a_torn_line_of_the_log_does_not_stop_a_run_that_goes_on(
    final: FinalRun, said: list[str], say: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_final(with_options(final, stop_after=40), say)
    log = Path(final.folder) / "main.log"
    log.write_bytes(log.read_bytes() + bytes(30) + b"s:39 trl:9.1\n")
    said.clear()
    run_final(final, say)
    assert "probe" not in [line.split()[0] for line in said]
    assert checkpoint.find(final.folder)[0].step == STEPS
    assert "is none of llm.c's" in capsys.readouterr().err


@pytest.mark.parametrize(("start", "steps"), [(20, [50, 40, 20]), (30, [50, 40])])
def test_the_checkpoints_due_are_those_that_are_written(final: FinalRun, start: int, steps: list[int]) -> None:
    whole = replace(final, start_step=start)
    stopped = with_options(whole, stop_after=50).settings()
    os.mkdir(final.output or "")
    assert checkpoints_due(stopped) == len(steps)
    train(stopped)
    assert [each.step for each in checkpoint.find(final.folder)] == steps
    assert checkpoints_due(stopped) == 0
    assert checkpoints_due(whole.settings()) == 1


def test_its_command_line_goes_on_with_the_same_run(
    final: FinalRun, said: list[str], say: Callable[[str], None]
) -> None:
    from trainer.settings import parse

    final = with_options(final, deterministic=True, weight_decay=0.05, on_nan="skip", keep=2, scheduler="wsd")
    assert run_final(final, say, check_only=True) is None
    assert not checkpoint.find(final.output)
    python, script, *words = shlex.split(next(line for line in said if line.startswith("command")))[1:]
    assert os.path.samefile(python, sys.executable)
    assert os.path.samefile(script, TRAIN / "train_gpt2.py")
    wanted = final.settings()
    assert replace(parse(words), given=wanted.given) == wanted, "an option was dropped"


def test_too_few_tokens_are_refused_unless_repeats_are_borne(final: FinalRun, say: Callable[[str], None]) -> None:
    longer = replace(final, steps=200)
    with pytest.raises(UserError, match=r"too few, so that 3\.\d epochs would repeat .* --allow-repeats"):
        run_final(longer, say, check_only=True)
    run_final(replace(longer, allow_repeats=True), say, check_only=True)


def test_checkpoints_that_the_disk_cannot_hold_are_refused(final: FinalRun, say: Callable[[str], None]) -> None:
    many = with_options(replace(final, steps=100_000_000, allow_repeats=True), checkpoint_every=1)
    with pytest.raises(UserError, match=r"99999971 checkpoints of .* are free"):
        run_final(many, say, check_only=True)
    with pytest.raises(UserError, match="no weights would ever be written"):
        run_final(with_options(final, checkpoint_every=0), say, check_only=True)


def test_the_advice_on_a_small_disk_succeeds_when_it_is_followed(
    final: FinalRun, said: list[str], say: Callable[[str], None], tmp_path: Path
) -> None:
    often = with_options(final, checkpoint_every=10)  # at 30, 40, 50 and 60
    size = checkpoint_bytes(often.settings())
    (tmp_path / "out").mkdir()
    with full_disk(tmp_path / "out", kilobytes=int(3.3 * size / 1024)):
        with pytest.raises(UserError, match=r"4 checkpoints of .* or keep one with --keep 1$"):
            run_final(often, say)
        run_final(replace(often, keep=1), say)
        assert [each.step for each in checkpoint.find(final.folder)] == [60]


def test_a_run_above_the_budget_is_not_started(final: FinalRun, say: Callable[[str], None]) -> None:
    with pytest.raises(UserError, match=r"would cost \$\d+\.\d\d, more than --budget 1; nothing was started"):
        run_final(replace(final, price_per_hour=1e6, budget=1.0), say)
    assert not checkpoint.find(final.output)


@pytest.mark.parametrize("damage", ["missing", "short", "state"])
def test_a_seed_that_is_none_is_refused(final: FinalRun, say: Callable[[str], None], damage: str) -> None:
    seed = Path(final.seed_model)
    if damage == "missing":
        seed.unlink()
    elif damage == "short":
        seed.write_bytes(seed.read_bytes()[:-2])
    else:
        seed.write_bytes((20240527).to_bytes(4, "little") + bytes(2000))
    with pytest.raises(UserError, match=r"seed_model\.bin"):
        run_final(final, say)


def test_data_that_are_no_shards_are_refused(final: FinalRun, say: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no shard matches"):
        run_final(replace(final, data=str(tmp_path / "empty")), say)
    with pytest.raises(UserError, match="neither a folder of shards nor a pattern"):
        run_final(replace(final, data=str(tmp_path / "nowhere")), say)


# What is there already


def test_a_checkpoint_of_another_run_is_refused_before_anything_is_priced(
    final: FinalRun, said: list[str], say: Callable[[str], None]
) -> None:
    """The course's command that lost its backslash: a run from nothing at step 0, in the folder of the final one."""
    train(replace(final.settings(), model=None, layers=1, heads=2, channels=16, start_step=0, stop_after=20))
    told = r"checkpoint of step 20 is of a run that begins at step 0 from random weights, and .* at step 30 from .*seed"
    with pytest.raises(UserError, match=told):
        run_final(final, say)
    assert said == []


def test_other_seeds_and_other_data_than_the_checkpoints_are_refused_before_anything_is_priced(
    final: FinalRun, said: list[str], say: Callable[[str], None], tmp_path: Path
) -> None:
    train(replace(final.settings(), stop_after=40))
    Path(str(final.data)).rename(tmp_path / "moved")
    write_shards(tmp_path / "shards", [2000, 1500], seed=1)
    write_shards(tmp_path / "shards", [300], "val")
    with pytest.raises(UserError, match=r"t_train_000000\.bin holds other tokens than the shard of that name"):
        run_final(final, say)
    assert [line.split()[0] for line in said] == ["seed"]
    model = model_file.open_model(str(final.seed_model))
    model_file.write(str(final.seed_model), model.shape, model.flat * 2, 5)
    with pytest.raises(
        UserError, match=r"is of a run that begins at step 30 from seed_model\.bin, and the command line"
    ):
        run_final(replace(final, data=str(tmp_path / "moved")), say)


def test_what_a_killed_probe_left_is_never_uploaded_and_goes_at_the_next_start(
    final: FinalRun, say: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "delete_folder", lambda path: None)  # as if the process had been killed in it
    run_final(final, say, check_only=True)
    left = Path(final.folder) / ".probe" / "main.log"
    assert left.exists()
    (Path(final.folder) / "main.log").touch()
    planned = upload.plan_upload(final.folder, "cluster", everything=True)
    assert [Path(item.path).name for item in planned.items] == ["main.log"]
    monkeypatch.undo()
    train(replace(final.settings(), stop_after=31))
    assert not left.parent.exists()


# What the command line lacks


def test_what_is_missing_on_the_command_line_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu"]) == 2
    assert "error: SEED_MODEL=file (--seed-model) is missing" in capsys.readouterr().err


def test_a_final_run_without_a_step_left_is_refused(final: FinalRun, say: Callable[[str], None]) -> None:
    with pytest.raises(UserError, match="--start-step 60 leaves nothing of the 60 steps"):
        run_final(replace(final, start_step=60), say)
