"""What a run takes is told before it takes it, and a long one on a CPU is warned of with the way out."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs_of_training import write_shards
from short_runs import words

from sparkprep.llmc.shard import ShardFile
from trainer.commands.train import main
from trainer.data.loader import open_shards
from trainer.device import measured_peak
from trainer.loop.forecast import evaluation_tokens, evaluations, rate_of, warning
from trainer.loop.loop import Trainer
from trainer.loop.start import begin
from trainer.loop.validation import tokens_read
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.settings import TrainSettings, defaults

CPU = torch.device("cpu")


@pytest.mark.parametrize("every", [0, 3, 5, 12, 100])
@pytest.mark.parametrize(("first", "last"), [(0, 12), (1, 12), (5, 12), (11, 12), (12, 12), (0, 1)])
def test_evaluations_are_counted_as_the_loop_does_them(every: int, first: int, last: int) -> None:
    due = {step for step in range(first, last) if every and step % every == 0} | {last}
    asked = {step for step in due if step > 0 or step == last}
    settings = defaults(val_every=every, steps=last or 1)
    assert evaluations(settings, first, last) == (len(due), len(asked))


def test_a_validation_of_everything_has_its_price(tmp_path: Path) -> None:
    shards: list[ShardFile] = open_shards(write_shards(tmp_path, [700, 200], "val"), "-iv")
    settings = defaults(micro_batch=2, seq_len=16, val_every=4, steps=8)
    everything = replace(settings, val_batches=-1)
    assert tokens_read(everything, shards) == (699 // 32 + 199 // 32) * 32
    assert evaluation_tokens(everything, 0, 8, shards, None) == 3 * tokens_read(everything, shards)
    assert tokens_read(replace(settings, val_batches=2), shards) == 64
    assert tokens_read(replace(everything, val_tokens=160), shards) == 160


def test_the_speed_that_is_measured_is_that_of_a_step_within_a_factor_of_ten() -> None:
    shape = GPT2Shape(2, 2, 64, max_seq_len=128)
    model = GPT2(shape)
    model.initialise()
    rate = rate_of(model, 8, 128, measured_peak(CPU, torch.float32))
    ids = torch.zeros((8, 128), dtype=torch.int64)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        model(ids, ids).backward()
        seconds.append(time.perf_counter() - start)
    expected = ids.numel() * shape.flops_per_token(128) / rate
    assert expected / 10 < min(seconds) < 10 * expected  # beside other work


def test_a_run_tells_its_time_before_its_first_step_and_a_short_one_is_not_warned_of(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "out", data, v=6)) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    (told,) = (line for line in lines if line.startswith("estimate: "))
    assert re.fullmatch(r"estimate: about .* seconds \(12 steps of .* seconds; 3 x validation of .* seconds\)", told)
    assert lines.index(told) < next(i for i, line in enumerate(lines) if line.startswith(("val loss", "step ")))
    assert "warning" not in err


def warned(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: without a GPU"))
    return line


def test_a_run_of_days_on_a_cpu_is_warned_of_and_the_way_out_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    write_shards(data, [9000, 9000])
    write_shards(data, [9000], "val")
    iterate = Trainer._iterate

    def only_small_ones(self: Trainer, step: int, *, entering: bool) -> None:
        if self.run.stop > 1000:
            raise KeyboardInterrupt
        iterate(self, step, entering=entering)

    monkeypatch.setattr(Trainer, "_iterate", only_small_ones)
    long = words(tmp_path / "out", data, **{"x": 100_000_000, "n": 0})
    assert main(long) == 130
    said = warned(capsys)
    assert re.search(r"takes about [\d.,]+ (hours|days); ", said)
    flags = said.split("a minute or two: ")[1].split(";")[0].split()
    flags[flags.index("-x") + 1] = "2"  # the whole minute is the documented commands'
    place = {"-id": f"{data}/t_train_*.bin", "-iv": f"{data}/t_val_*.bin", "-o": str(tmp_path / "small")}
    small = [*flags, *(word for pair in place.items() for word in pair)]
    assert main(small) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_estimate_leaves_gradients_and_weights_as_they_were(data: Path, tmp_path: Path) -> None:
    settings: TrainSettings = defaults(
        train_data=f"{data}/t_train_*.bin", val_data=f"{data}/t_val_*.bin", output=str(tmp_path), layers=1, channels=8,
        heads=1, micro_batch=2, seq_len=16, total_batch=64, steps=4, hellaswag=False,
    )  # fmt: skip
    run = begin(settings, str(tmp_path))
    before = run.model.flat.clone()
    rate_of(run.model, 2, 16, 1e12)
    run.optimizer.clear_gradients()
    assert torch.equal(run.model.flat, before)
    assert run.optimizer.norm() == 0


def test_a_run_as_small_as_the_advised_one_is_not_advised_to_be_that(data: Path, tmp_path: Path) -> None:
    settings = defaults(
        train_data=f"{data}/t_train_*.bin", val_data=f"{data}/t_val_*.bin", output=str(tmp_path), layers=1, channels=8,
        heads=1, micro_batch=2, seq_len=16, total_batch=64, steps=4, hellaswag=False,
    )  # fmt: skip
    run = begin(settings, str(tmp_path))
    said = warning(run, 700.0)
    assert said is not None
    assert "it is a small one" in said
    assert "-1d" not in said
    assert warning(run, 500.0) is None
