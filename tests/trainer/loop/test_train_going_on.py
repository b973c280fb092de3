"""What a run can go on from, and what it must not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runs_of_training import log_values, write_shards
from short_runs import (
    LAST,
    Capsys,
    content,
    flip,
    put_nan,
    refused,
    same_end,
    seed_model,
    started_from,
    truncate,
    words,
)

from trainer.commands.train import main
from trainer.runs.history import load_run


def test_a_run_that_goes_on_ends_as_one_that_never_stopped(out: Path, whole: Path, data: Path) -> None:
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert log_values(whole).items() <= log_values(out).items()  # it validated at 8 too


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "model cut short": ("model_00000008.bin", truncate),
    "model missing": ("model_00000008.bin", Path.unlink),
    "bit in the model's header": ("model_00000008.bin", lambda path: flip(path, 0)),
    "bit in the model": ("model_00000008.bin", lambda path: flip(path, 0.5, 0)),
    "state cut short": ("state_00000008_00000.bin", truncate),
    "state missing": ("state_00000008_00000.bin", Path.unlink),
    "bit in the state": ("state_00000008_00000.bin", lambda path: flip(path, 0.9, 0)),
    "last bit of the state": ("state_00000008_00000.bin", lambda path: flip(path, 1, 0)),
    "json cut short": ("checkpoint_00000008.json", truncate),
    "json empty": ("checkpoint_00000008.json", lambda path: path.write_text("")),
    "json of something else": ("checkpoint_00000008.json", lambda path: path.write_text('{"files": [1]}')),
    "bit in the json": ("checkpoint_00000008.json", lambda path: flip(path, 0, 7)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_checkpoint_the_one_before_is_taken_with_a_warning(
    damage: str, out: Path, data: Path, capsys: Capsys
) -> None:
    name, do = DAMAGES[damage]
    do(out / name)
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    captured = capsys.readouterr()
    warnings = [line for line in captured.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"warning: {out / name}: ")
    assert "this checkpoint is left out" in warnings[0]
    assert f"{out}/model_00000004.bin" in captured.out


def test_a_run_that_fell_back_ends_alike_and_mends_the_damaged_checkpoint(
    out: Path, half: Path, whole: Path, data: Path
) -> None:
    flip(out / "state_00000008_00000.bin", 0.5)
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert (out / "state_00000008_00000.bin").read_bytes() == (half / "state_00000008_00000.bin").read_bytes()


def test_where_no_checkpoint_is_sound_nothing_is_begun(out: Path, data: Path, capsys: Capsys) -> None:
    truncate(out / "model_00000004.bin")
    truncate(out / "model_00000008.bin")
    before = content(out)
    said = refused(capsys, out, data, y=1)
    assert f"{out}: none of its checkpoints (steps 8, 4) is sound" in said
    assert "in another folder (-o)" in said
    assert content(out).keys() == before.keys()
    assert content(out)["main.log"] == before["main.log"]


def test_a_checkpoint_without_our_json_is_gone_on_from(out: Path, whole: Path, data: Path) -> None:
    for path in out.glob("checkpoint_*.json"):
        path.unlink()
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)


@pytest.mark.parametrize("name", ["model_00000008.bin", "state_00000008_00000.bin"])
def test_a_nan_in_a_checkpoint_without_our_json_is_refused(name: str, out: Path, data: Path, capsys: Capsys) -> None:
    (out / "checkpoint_00000008.json").unlink()
    put_nan(out / name)
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    captured = capsys.readouterr()
    assert f"warning: {out / name}: damaged: value 5,000 of its" in captured.err
    assert "model_00000004.bin" in captured.out


def test_a_checkpoint_whose_done_is_missing_does_not_count(out: Path, data: Path, capsys: Capsys) -> None:
    (out / "DONE_00000008").unlink()
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    assert started_from(capsys) == "model_00000004.bin"


def test_a_state_of_another_step_is_not_taken(out: Path, data: Path, capsys: Capsys) -> None:
    (out / "checkpoint_00000008.json").unlink()
    shutil.copy(out / "state_00000004_00000.bin", out / "state_00000008_00000.bin")
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    assert "of step 4, not 8; it has been renamed or mixed up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "flag", "before"), [({"b": 4}, "-b 4", "-b 2"), ({"t": 32}, "-t 32", "-t 16")], ids=["b", "t"]
)
def test_a_batch_that_would_change_the_order_of_the_data_is_refused(
    options: dict[str, object], flag: str, before: str, out: Path, data: Path, capsys: Capsys
) -> None:
    earlier = content(out)
    said = refused(capsys, out, data, y=1, **options)
    assert f"{flag}: this run was started with {before}, on which the order of its data depends" in said
    assert f"give {before}" in said
    assert content(out).keys() == earlier.keys()


def test_another_batch_is_refused_without_our_json_too(out: Path, data: Path, capsys: Capsys) -> None:
    for path in out.glob("checkpoint_*.json"):
        path.unlink()
    said = refused(capsys, out, data, y=1, b=4)
    assert "state_00000008_00000.bin: does not fit the training data" in said
    assert "-e" in said


def test_other_settings_may_change_and_are_told(out: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=1, l=0.02, d=32, es=9, n=0)) == 0
    err = capsys.readouterr().err
    assert "note: -l was 0.01 and is now 0.02\n" in err
    assert "note: -d was 64 and is now 32\n" in err


@pytest.mark.parametrize("sizes", [[700, 500], [700, 500, 330, 400], [600, 500, 330], [700, 400, 330], [700, 500, 300]])
def test_changed_shards_are_refused(sizes: list[int], out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "other", sizes)
    earlier = content(out)
    said = refused(capsys, out, data, y=1, id=pattern)
    assert "does not fit the training data" in said
    assert f"-e {out}/model_00000008.bin -ss 8" in said
    assert content(out).keys() == earlier.keys()


def test_shards_of_other_names_are_refused(out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "other", [700, 500, 330], "later")
    said = refused(capsys, out, data, y=1, id=pattern)
    assert "t_train_000000.bin with 700 tokens stood where t_later_000000.bin with 700 is now" in said


def test_shards_may_have_moved(out: Path, whole: Path, data: Path, tmp_path: Path) -> None:
    pattern = write_shards(tmp_path / "moved", [700, 500, 330])
    assert main(words(out, data, y=1, id=pattern)) == 0
    same_end(whole, out)


def test_shape_flags_that_contradict_a_checkpoint_are_named_and_not_taken_for_damage(
    out: Path, data: Path, capsys: Capsys
) -> None:
    said = refused(capsys, out, data, y=1, **{"1d": 2})
    assert "model_00000008.bin: does not fit -1d 2 (it has 1)" in said


def test_shuffling_must_not_change(out: Path, data: Path, capsys: Capsys) -> None:
    said = refused(capsys, out, data, y=1, a=1)
    assert "it shuffles and this run does not, or the reverse (-a)" in said


# What a run began with


@pytest.fixture
def from_seed(data: Path, tmp_path: Path) -> tuple[Path, dict[str, object]]:
    """A run from a seed at step 3 that stopped at 8, and the options that say so."""
    options: dict[str, object] = {"y": 1, "e": seed_model(tmp_path / "seed.bin"), "ss": 3}
    assert main(words(tmp_path / "run", data, es=8, **options)) == 0
    return tmp_path / "run", options


@pytest.mark.parametrize("seed", ["there", "moved", "gone"])
def test_the_same_command_goes_on_whether_its_seed_is_still_there(
    seed: str, from_seed: tuple[Path, dict[str, object]], data: Path, tmp_path: Path
) -> None:
    run, options = from_seed
    if seed == "moved":
        options["e"] = shutil.move(str(options["e"]), tmp_path / "other_name.bin")
    elif seed == "gone":
        Path(str(options["e"])).unlink()
    assert main(words(run, data, **options)) == 0
    assert load_run(str(run)).history.train.steps.tolist() == list(range(3, LAST))


@pytest.mark.parametrize("changed", ["other weights", "gone, another name", "random", "step"])
def test_another_beginning_than_that_of_the_checkpoints_is_refused(
    changed: str, from_seed: tuple[Path, dict[str, object]], data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    run, options = from_seed
    options |= {
        "other weights": {"e": seed_model(tmp_path / "seed.bin", scale=2.0)},
        "gone, another name": {"e": tmp_path / "another.bin"},
        "random": {"e": "d12", "1d": None, "1c": None, "1h": None},
        "step": {"ss": 4},
    }[changed]
    earlier = content(run)
    said = refused(capsys, run, data, **options)
    assert "this checkpoint of step 8 is of a run that begins at step 3 from seed.bin" in said
    assert f"the command line asks for one that begins at step {options['ss']} from" in said
    assert {**content(run), ".lock": b""} == {**earlier, ".lock": b""}


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "llm.c's"])
def test_a_checkpoint_below_the_first_step_is_of_another_run(
    ours: bool, out: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    if not ours:
        for path in out.glob("checkpoint_*.json"):
            path.unlink()
    said = refused(capsys, out, data, y=1, e=seed_model(tmp_path / "seed.bin"), ss=9)
    assert f"{out}/DONE_00000008: this checkpoint of step 8 is of a run that" in said
    assert f"asks for one that begins at step 9 from {tmp_path}/seed.bin" in said
    assert ("begins at step 0 from random weights" in said) == ours


def test_what_the_refusal_advises_works(out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    options: dict[str, object] = {"e": seed_model(tmp_path / "seed.bin"), "ss": 9}
    said = refused(capsys, out, data, y=1, **options)
    assert "or -y 0, which sets aside what lies here; without -e and -ss the run that lies here goes on" in said
    assert main(words(out, data, y=1)) == 0
    assert main(words(out, data, y=0, **options)) == 0
    assert load_run(str(out)).history.train.steps.tolist() == [9, 10, 11]


@pytest.mark.parametrize("place", [0, -1])
def test_shards_of_the_same_names_and_lengths_with_other_tokens_are_refused(
    place: int, out: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    write_shards(tmp_path / "other", [700, 500, 330])
    shard_path = tmp_path / "other" / "t_train_000001.bin"
    tokens = np.fromfile(shard_path, "<u2")
    tokens[512 if place == 0 else -1] ^= 1
    tokens.tofile(shard_path)
    said = refused(capsys, out, data, y=1, id=tmp_path / "other" / "t_train_*.bin")
    assert "t_train_000001.bin holds other tokens than the shard of that name that it was written with" in said
