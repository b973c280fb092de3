"""What a run does to what lies in its folder, which checkpoints it leaves, and where it stops."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bounds import likely, loss_roundings
from runs_of_training import SCRIPT
from short_runs import LAST, SMALL, Capsys, content, names, refused, same_end, seed_model, started_from, steps, words

from sparkprep.llmc import header
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, VOCABULARY_SIZE
from sparkprep.units import human_bytes
from trainer.commands.train import main
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.runs.history import load_run


def test_a_resume_without_anything_to_resume_from_is_warned_of(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert main(words(tmp_path / "out", data, y=1, x=1, n=0)) == 0
    err = capsys.readouterr().err
    assert "from RANDOM weights, as there is no -e,\nat step 0 with learning rate 0.01" in err
    assert "backslash" in err


def test_a_seed_whose_first_step_was_lost_is_warned_of(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    seed = seed_model(tmp_path / "seed.bin")
    assert main(words(tmp_path / "out", data, y=1, x=1, n=0, e=seed)) == 0
    assert f"starts from {seed}, but without -ss,\nat step 0" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["not asked", "seed", "first step", "checkpoint"])
def test_nothing_is_warned_of_where_the_start_is_meant(
    case: str, data: Path, tmp_path: Path, capsys: Capsys, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "new"
    options: dict[str, object] = {"x": 2, "n": 0}
    if case == "checkpoint":
        folder, options = request.getfixturevalue("out"), {"es": 8}
    elif case == "seed":
        options.update(e=seed_model(tmp_path / "seed.bin"), ss=1)
    elif case == "first step":
        options["ss"] = 0
    capsys.readouterr()
    assert main(words(folder, data, y=0 if case == "not asked" else 1, **options)) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_new_run_sets_the_earlier_one_aside(out: Path, half: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    moved = sum(path.stat().st_size for path in out.iterdir() if path.name != ".lock") + 65  # with the mark
    assert main(words(out, data, y=0, x=4, n=4)) == 0
    assert f"it was moved to {out}/earlier-1 ({human_bytes(moved)})\n" in capsys.readouterr().err
    assert {**content(out / "earlier-1"), ".set-aside": b""} == {
        name.replace(".lock", ".set-aside"): b"" if name == ".lock" else b for name, b in content(half).items()
    }
    assert steps(out) == [4]
    assert load_run(str(out)).history.train.steps.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("keep", "left"), [(None, ["earlier-3"]), (2, ["earlier-2", "earlier-3"]), (0, [])])
def test_earlier_runs_are_kept_as_asked_and_older_ones_go_with_the_new_one_s_first_checkpoint(
    keep: int | None, left: list[str], out: Path, data: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert main(words(out, data, y=0, x=4, n=4, **{"-keep-earlier": 9})) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(GPT2, "forward", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(words(out, data, y=0, x=4, n=4, **{"-keep-earlier": keep})) == 130
    told = [
        line for line in capsys.readouterr().err.splitlines() if "is deleted when this run has a checkpoint" in line
    ]
    assert len(told) == 3 - len(left)
    assert all("MB) is deleted" in line for line in told)
    assert {each.name for each in out.glob("earlier-*")} == {"earlier-1", "earlier-2", "earlier-3"}, "not yet"
    assert main(words(out, data, y=1, x=4, n=4, **{"-keep-earlier": keep})) == 0
    assert sorted(each.name for each in out.glob("earlier-*")) == left


def test_runs_without_checkpoints_lose_no_log_and_cost_no_earlier_run(out: Path, data: Path) -> None:
    assert main(words(out, data, y=0, x=4, n=4)) == 0  # sets the run of 12 steps aside
    for last in (2, 3):
        assert main(words(out, data, y=0, x=last, n=0)) == 0
    assert main(words(out, data, y=0, x=4, n=4)) == 0
    updates = {each.name: len(load_run(str(each)).history.train.steps) for each in out.glob("earlier-*")}
    assert updates == {"earlier-2": 4, "earlier-3": 2, "earlier-4": 3}


def test_of_an_earlier_run_only_what_was_moved_is_deleted(out: Path, data: Path, tmp_path: Path) -> None:
    (out / "earlier-7").mkdir()
    (out / "earlier-7" / "DONE_00000001").touch()  # somebody's own
    assert main(words(out, data, y=0, x=4, n=4)) == 0
    (out / "earlier-8" / "notes.txt").write_text("mine")
    assert main(words(out, data, y=0, x=4, n=4)) == 0
    assert names(out / "earlier-7") == {"DONE_00000001"}
    assert names(out / "earlier-8") == {"notes.txt"}
    assert steps(out / "earlier-9") == [4]


def test_a_new_run_that_is_refused_leaves_the_earlier_one_where_it_was(
    out: Path, whole: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    (tmp_path / "damaged.bin").write_bytes(b"no such file of llm.c")
    earlier = content(out)
    for options in (
        {"e": tmp_path / "none.bin"},
        {"id": tmp_path / "none_*.bin"},
        {"e": seed_model(tmp_path / "seed.bin"), "1d": 3},
        {"h": 1, "ih": tmp_path / "damaged.bin"},
        {"it": tmp_path / "damaged.bin"},
    ):
        refused(capsys, out, data, y=0, **options)
        assert {**content(out), ".lock": b""} == {**earlier, ".lock": b""}
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)


def test_a_new_run_may_start_from_a_checkpoint_that_it_sets_aside(out: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=0, e=out / "model_00000008.bin", ss=8, es=9, n=0)) == 0
    assert started_from(capsys) == "model_00000008.bin"
    assert steps(out) == []
    assert steps(out / "earlier-1") == [4, 8]


def test_a_new_run_in_a_folder_without_checkpoints_begins_a_log_of_its_own(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for last in (3, 2):
        assert main(words(folder, data, x=last, n=0)) == 0
    assert names(folder) == {"main.log", "run_parameters.txt", "earlier-1"}
    lines = (folder / "main.log").read_text().splitlines()
    assert [line.split(":")[1] for line in lines] == ["0 trl", "1 trl", "2 tel"]


def test_what_a_killed_run_had_begun_to_write_is_cleared_away(out: Path, data: Path) -> None:
    (out / ".model_00000012.bin.partial-0123abcd").write_bytes(b"half")
    assert main(words(out, data, y=1, es=8)) == 0
    assert not [name for name in names(out) if "partial" in name]


# Which checkpoints there are


def test_only_the_newest_checkpoint_is_kept_and_multiples_if_asked(data: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "newest", data, x=5, n=1, nk=1)) == 0
    assert steps(tmp_path / "newest") == [5]
    assert names(tmp_path / "newest") == {
        *("main.log", "run_parameters.txt", "DONE_00000005"),
        *("model_00000005.bin", "state_00000005_00000.bin", "checkpoint_00000005.json"),
    }
    assert main(words(tmp_path / "multiples", data, x=5, n=1, nk=2, nm=2)) == 0
    assert steps(tmp_path / "multiples") == [2, 4, 5]


def test_a_sample_that_the_terminal_cannot_show_costs_no_checkpoint(data: Path, tmp_path: Path) -> None:
    chinese = tmp_path / "tokenizer.bin"
    tokens = b"\x03\xe4\xb8\xad" * VOCABULARY_SIZE
    chinese.write_bytes(header.pack(header.TOKENIZER_MAGIC, 2, VOCABULARY_SIZE, END_OF_TEXT) + tokens)
    out = tmp_path / "größer\n"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words(out, data, it=chinese, s=LAST, g=3, x=LAST)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "generating:\n---\n\\u4e2d\\u4e2d" in done.stdout
    assert f"gr\\xf6\\xdfer\\n/model_{LAST:08d}.bin\n" in done.stdout
    assert steps(out)[-1] == LAST


def test_no_checkpoint_is_written_where_none_is_asked_for(data: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "out", data, x=2, n=0)) == 0
    assert names(tmp_path / "out") == {"main.log", "run_parameters.txt"}


def test_the_checkpoint_that_a_run_goes_on_from_is_not_written_again(out: Path, data: Path) -> None:
    def files() -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in out.glob("*_00000008*")}

    before = files()
    assert len(before) == 4
    assert main(words(out, data, y=1, es=9, n=8)) == 0
    assert files() == before
    assert steps(out) == [4, 8, 9]


@pytest.mark.parametrize(("keep", "multiple", "left"), [(1, 0, [8, 10]), (1, 4, [4, 8, 10]), (2, 0, [4, 8, 10])])
def test_a_run_that_goes_on_with_fewer_checkpoints_deletes_the_others(
    keep: int, multiple: int, left: list[int], out: Path, data: Path
) -> None:
    assert main(words(out, data, y=1, es=10, nk=keep, nm=multiple)) == 0
    assert steps(out) == left


# Where a run stops, and on what it trains


@pytest.mark.parametrize("stop", [8, 6])
def test_a_finished_run_says_so_and_nothing_is_written(stop: int, out: Path, data: Path, capsys: Capsys) -> None:
    earlier = content(out)
    capsys.readouterr()
    assert main(words(out, data, y=1, es=stop, l=0.5)) == 0
    assert {**content(out), ".lock": b""} == {**earlier, ".lock": b""}
    said = capsys.readouterr()
    assert f"finished: the run in {out} stands at step 8, and was to stop at {stop}" in said.out
    assert "-l was 0.01 and is now 0.5: that changes nothing any more" in said.out
    assert load_run(str(out)).learning_rate == 0.01


def test_an_evaluation_that_a_finished_run_lacks_is_made_up_once(out: Path, data: Path, capsys: Capsys) -> None:
    log = out / "main.log"
    whole_log, table = log.read_text(), (out / "run_parameters.txt").read_text()
    log.write_text("".join(line for line in whole_log.splitlines(keepends=True) if not line.startswith("s:8 tel:")))
    for _ in range(2):
        assert main(words(out, data, y=1, es=8)) == 0
        assert log.read_text() == whole_log
    assert (out / "run_parameters.txt").read_text() == table


def test_a_run_that_stops_early_follows_the_whole_schedule(half: Path, whole: Path) -> None:
    some, all_ = load_run(str(half)).history, load_run(str(whole)).history
    assert some.train.steps.tolist() == list(range(8))
    assert some.lr.tolist() == all_.lr[:8].tolist()
    assert some.train.values.tolist() == all_.train.values[:8].tolist()
    assert some.lr[7] == pytest.approx(0.005 * (1 + math.cos(math.pi * (7 - 3) / (LAST - 3))), abs=1e-6)


def test_overfitting_trains_on_the_first_batch_of_the_validation_data(data: Path, tmp_path: Path) -> None:
    # A rate too small to change a weight: each loss is that of the weights of the start.
    folder = tmp_path / "out"
    options = {"a": 1, "id": tmp_path / "none_*.bin", "d": -1, "m": 1, "l": 1e-30, "c": 0}
    assert main(words(folder, data, x=3, n=0, **options)) == 0
    history = load_run(str(folder)).history
    assert len(history.train) == 3
    # Training and validation sum a loss up in two ways, and the log rounds each to four decimals. Of another batch the
    # loss differs by a hundredth.
    apart = 1e-4 + 2 * likely(loss_roundings(SMALL, 16))
    every = np.concatenate([history.train.values, history.validation.values])
    assert np.ptp(every) <= apart
    assert len(set(history.train.values.tolist())) == 1


def test_minus_one_step_is_one_epoch(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert main(words(folder, data, x=-1, d=256, n=0)) == 0
    run = load_run(str(folder))
    assert run.history.train.steps.tolist() == list(range(1530 // 256))
    assert run.parameters["max_steps"] == "5"


def test_a_run_is_read_back_from_its_log_and_its_table(whole: Path, data: Path) -> None:
    run = load_run(str(whole))
    assert run.missing == ()
    assert run.learning_rate == 0.01
    assert run.num_parameters == GPT2Shape(1, 1, 8).num_parameters
    assert run.history.train.steps.tolist() == list(range(LAST))
    assert run.history.validation.steps.tolist() == [LAST]
    assert np.isfinite(run.history.ms).all()
    assert np.isfinite(run.history.norm).all()
    told = {
        "train data pattern": str(data / "t_train_*.bin"),
        "val data pattern": str(data / "t_val_*.bin"),
        "output log dir": str(whole),
        "checkpoint_every": "4",
        "resume": "0",
        "micro batch size B": "2",
        "sequence length T": "16",
        "total batch size": "64",
        "LR scheduler": "cosine",
        "learning rate (LR)": "1.000000e-02",
        "warmup iterations": "3",
        "final LR fraction": "0.000000e+00",
        "weight decay": "1.000000e-01",
        "max_steps": "12",
        "early_stopping_steps": "-1",
        "val_loss_every": "0",
        "val_max_steps": "2",
        "overfit_single_batch": "0",
        "use_master_weights": "enabled",
        "precision": "FP32",
        "weight init method": "random",
        "max_sequence_length T": "1024",
        "vocab_size V": "50257",
        "padded_vocab_size Vp": "50304",
        "num_layers L": "1",
        "num_heads NH": "1",
        "channels C": "8",
        "train_num_batches": "12",
        "val_num_batches": "2",
    }
    assert told.items() <= run.parameters.items()


def test_the_json_of_a_checkpoint_tells_what_was_written(half: Path) -> None:
    told = json.loads((half / "checkpoint_00000008.json").read_text())
    assert told["step"] == 8
    assert {name: each["bytes"] for name, each in told["files"].items()} == {
        name: (half / name).stat().st_size for name in ("model_00000008.bin", "state_00000008_00000.bin")
    }
    assert told["shards"] == [["t_train_000000.bin", 700], ["t_train_000001.bin", 500], ["t_train_000002.bin", 330]]
