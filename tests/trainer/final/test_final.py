"""The final run looks before it spends: seed, tokens, disk and cost; then it trains, and can be started again."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import s3_buckets
import torch
from checkout import ROOT, TRAIN
from mounts import full_disk
from runs_of_training import write_shards

from sparkprep.errors import UserError
from trainer.checkpoints import checkpoint, model_file
from trainer.checkpoints.folder import held
from trainer.commands.final import main, train_and_end
from trainer.final import cost
from trainer.final.cost import checkpoint_bytes, checkpoints_due
from trainer.final.final import RunFailed, run_final
from trainer.final.rehearsal import MARK
from trainer.final.settings import FinalRun
from trainer.loop.loop import train
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.runs import log as run_log
from trainer.runs import upload

START, STEPS = 30, 60
OPTIONS: dict[str, object] = {
    "micro_batch": 2,
    "seq_len": 16,
    "total_batch": 64,
    "warmup": 5,
    "val_every": 20,
    "val_tokens": 64,
    "checkpoint_every": 20,
    "sample_every": 0,
    "hellaswag": False,
    "threads": 1,
}


@pytest.fixture
def final(tmp_path: Path) -> FinalRun:
    """A final run of a tiny model over enough tokens."""
    write_shards(tmp_path / "shards", [2000, 1500])
    write_shards(tmp_path / "shards", [300], "val")
    model = GPT2(GPT2Shape(1, 2, 16))
    model.initialise()
    seed = str(tmp_path / "seed_model.bin")
    model_file.write(seed, model.shape, model.flat, 5)
    folder = str(tmp_path / "shards")
    return FinalRun(seed, 0.01, folder, str(tmp_path / "out"), START, STEPS, changes=tuple(OPTIONS.items()))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def say(said: list[str]) -> Callable[[str], None]:
    return said.append


def contents(final: FinalRun) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(final.folder).iterdir() if path.name != ".lock"}


def with_options(final: FinalRun, **options: object) -> FinalRun:
    return replace(final, changes=tuple({**dict(final.changes), **options}.items()))


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


# A rehearsal, and what it must not stand for


def test_what_is_missing_on_the_command_line_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu"]) == 2
    assert "error: SEED_MODEL=file (--seed-model) is missing" in capsys.readouterr().err


def test_a_rehearsal_deletes_nothing_that_it_did_not_make(
    final: FinalRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine" / "seed").mkdir(parents=True)
    (tmp_path / "mine" / "main.log").write_text("s:0 tel:3.2\n")
    assert main(["--rehearse", "--data", final.data, "--output", str(tmp_path / "mine")]) == 2
    assert "is there already, and no rehearsal made it" in capsys.readouterr().err
    assert (tmp_path / "mine" / "main.log").read_text() == "s:0 tel:3.2\n"


def test_a_real_run_and_a_rehearsal_do_not_share_a_folder(
    final: FinalRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / ".rehearsal").touch()
    words = ["--seed-model", final.seed_model, "--learning-rate", "0.01", "--data", final.data, "--output", str(shared)]
    assert main([*words, "--device", "cpu"]) == 2
    assert "holds a rehearsal" in capsys.readouterr().err
    (shared / "DONE_00003000").touch()  # a real run's, whatever the mark says
    assert main(["--rehearse", "--data", final.data, "--output", str(shared)]) == 2
    assert (shared / "DONE_00003000").exists()


def test_a_final_run_without_a_step_left_is_refused(final: FinalRun, say: Callable[[str], None]) -> None:
    with pytest.raises(UserError, match="--start-step 60 leaves nothing of the 60 steps"):
        run_final(replace(final, start_step=60), say)


def test_at_the_end_the_plot_is_up_too_and_then_the_command_is_run(
    final: FinalRun, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = tmp_path / "off"
    whole = replace(final, then="upload=bucket/full_gpt,shutdown", shutdown_command=f"touch {off}")
    assert train_and_end(whole, whole.ending(), check_only=True) == 0
    told = capsys.readouterr().out
    assert "at the end   upload" in told
    assert f"after that, if all is well, run: touch {off}" in told
    assert (s3_buckets.objects(), off.exists()) == ({}, False)
    assert train_and_end(whole, whole.ending()) == 0
    up = {key.rsplit("/", 1)[1] for key in s3_buckets.objects("full_gpt/out/")}
    assert {"plot.png", "main.log", "model_00000060.bin", "state_00000060_00000.bin", "DONE_00000060"} < up
    assert off.exists()


def test_a_run_that_breaks_off_leaves_its_log_in_the_bucket_and_the_machine_on(
    final: FinalRun, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = tmp_path / "off"
    (tmp_path / "out" / "model_00000040.bin").mkdir(parents=True)  # so that its first checkpoint cannot be written
    broken = replace(final, then="upload=bucket/broken,shutdown", shutdown_command=f"touch {off}")
    with pytest.raises(RunFailed, match=r"model_00000040\.bin: cannot be written"):
        train_and_end(broken, broken.ending())
    assert "broken/out/main.log" in s3_buckets.objects("broken/")
    assert not off.exists()
    assert "NOT done: the machine stays on" in capsys.readouterr().out


def test_a_plot_that_cannot_be_drawn_does_not_keep_the_machine_on(
    final: FinalRun, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = tmp_path / "off"
    (tmp_path / "out" / "plot.png").mkdir(parents=True)
    whole = replace(final, then="upload=bucket/no_plot,shutdown", shutdown_command=f"touch {off}")
    assert train_and_end(whole, whole.ending()) == 0
    assert off.exists()
    assert "no_plot/out/model_00000060.bin" in s3_buckets.objects("no_plot/")
    assert "warning: the run is whole, and cannot be shown: " in capsys.readouterr().err


def test_what_stands_in_the_way_of_a_run_does_nothing_at_its_end(
    final: FinalRun, bucket: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    off = tmp_path / "off"
    hopeless = replace(
        final, seed_model="nowhere.bin", then="shutdown", shutdown_command=f"touch {off}", shutdown_anyway_after=0.0
    )
    with pytest.raises(UserError, match=r"nowhere\.bin: no such file"):
        train_and_end(hopeless, hopeless.ending())
    assert not off.exists()
    with pytest.raises(UserError, match="means nothing without --then"):
        replace(hopeless, then=None).ending()


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the real run would start")
@pytest.mark.parametrize(
    "words", [["--seed-model", "s.bin"], ["--learning-rate=0.01"], ["-b", "32"], ["--output", "x"]]
)
def test_without_a_gpu_what_is_named_is_no_rehearsal(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no CUDA device was found, which the final run wants, so nothing was started")
    assert "--rehearse (make train-final REHEARSE=1)" in said
    assert os.listdir(tmp_path) == []


def test_a_rehearsal_is_no_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--rehearse", "--dry-run"]) == 2
    assert "--dry-run goes none; give one of both" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_rehearsal_leaves_the_folder_of_one_that_is_under_way(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", [9_000])
    write_shards(tmp_path / "shards", [4_000], "val")
    out = tmp_path / "out"
    (out / "seed").mkdir(parents=True)
    (out / MARK).touch()
    with held(str(out / "seed")):
        assert main(["--rehearse", "--data", str(tmp_path / "shards"), "--output", str(out)]) == 2
    assert (out / "seed").exists()


@pytest.mark.parametrize("words", [["--seed-model", "s.bin"], ["--steps", "4725"], ["--learning-rate=0.01"]])
def test_a_rehearsal_takes_nothing_that_it_would_ignore(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rehearse", *words]) == 2
    flag = words[0].partition("=")[0]
    assert f"trains a tiny seed model of its own and takes no {flag}; leave out one" in capsys.readouterr().err


def make(*words: str) -> str:
    """What make would run, without running it."""
    told = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return next(line for line in told.replace("\\\n", " ").splitlines() if "train/train_final.py" in line)


def test_make_hands_over_what_is_named() -> None:
    assert make("train-final", "SEED_MODEL=a.bin", "LR=1", "DATA=d", "OUT=o").split("train_final.py ")[1].split() == [
        *("--seed-model", '"a.bin"', "--learning-rate", '"1"', "--data", '"d"', "--output", '"o"')
    ]
    assert make("train-final", "SEED_MODEL=").split("train_final.py ")[1].split() == ["--seed-model", '""']
    assert make("train-final", "REHEARSE=1", "OUT=o").split("train_final.py ")[1].split() == [
        *("--rehearse", "--output", '"o"')
    ]


@pytest.mark.slow
def test_the_rehearsal_goes_the_whole_way_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shards(tmp_path / "shards", [60_000])
    write_shards(tmp_path / "shards", [12_000], "val")
    out = tmp_path / "rehearsal"
    for _ in range(2):  # the second one takes the place of the first
        capsys.readouterr()
        assert main(["--rehearse", "--data", str(tmp_path / "shards"), "--output", str(out)]) == 0
        assert not (out / "left").exists()
        (out / "left").touch()
    told = capsys.readouterr().out
    assert told.count("REHEARSAL") == 2
    assert (out / "logGPT" / "plot.png").stat().st_size > 10_000
    losses = run_log.read(str(out / "seed" / "main.log")).validation.values
    assert losses[0] > losses[1] > losses[-1]
    assert losses[0] - losses[-1] > 1
    shares = [float(share) for share in re.findall(r"([\d.]+)% \w+ MFU", told)]
    assert 0 < min(shares) <= max(shares) <= 100
