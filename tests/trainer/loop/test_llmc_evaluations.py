"""What a validation, an outlier and a draw of llm.c's generator mean there, they mean here."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from bounds import likely, worst
from llmc_files import count, read_state
from runs_of_training import write_shards
from steps_of_training import (
    CPU,
    LOSSES_APART,
    SIZES,
    Values,
    decayed,
    first_gradient,
    float64,
    trainer,
    updated,
    words,
)

from trainer.commands.train import main
from trainer.data.batches import to_device
from trainer.data.loader import Loader, open_shards
from trainer.loop.validation import validate_batches, validate_tokens
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.optim.adamw import AdamW
from trainer.optim.outliers import OutlierDetector
from trainer.runs import log as run_log


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder, [700, 500, 330])
    write_shards(folder, [200, 150], "val")
    return folder


# Validation


def losses_of_rows(model: GPT2, rows: list[npt.NDArray[np.uint16]]) -> Values:
    """The mean loss of each row of T + 1 tokens, computed alone."""
    with torch.no_grad():
        return np.array([model(*to_device(row, 1, CPU)).item() for row in rows])


@pytest.fixture(scope="module")
def model() -> GPT2:
    """With losses that differ from row to row by much, and logits near 1: they alone are larger than at the start."""
    found = GPT2(GPT2Shape(2, 2, 8))
    found.initialise()
    with torch.no_grad():
        found.leaves("lnf.weight")[0].mul_(20)
    return found


def test_validation_by_tokens_is_the_mean_of_the_same_rows_for_any_batch(model: GPT2, data: Path) -> None:
    shards = open_shards(str(data / "t_val_*.bin"), "-iv")
    # 199 // 16 = 12 rows of the first shard, then the first 5 of the second
    rows = [shards[i].tokens[16 * n : 16 * n + 17] for i, many in ((0, 12), (1, 5)) for n in range(many)]
    each = losses_of_rows(model, rows)
    assert each.std() > 0.1
    assert abs(each.mean() - each[:16].mean()) > 10 * LOSSES_APART  # the last row weighs
    for batch in (2, 3, 5, 64):
        found = validate_tokens(model, shards, 17 * 16, batch, 16, CPU)
        assert found == pytest.approx(each.mean(), rel=0, abs=LOSSES_APART)


@pytest.mark.parametrize("batches", [1, 4, 10, -1])
def test_validation_by_batches_is_the_mean_of_their_means_from_the_start(batches: int, model: GPT2, data: Path) -> None:
    shards = open_shards(str(data / "t_val_*.bin"), "-iv")
    # Of 3 rows at a time 4 fit into the first shard and 3 into the second; after the last the first comes again.
    starts = [(0, 48 * n) for n in range(4)] + [(1, 48 * n) for n in range(3)]
    wanted = (starts * 2)[: 7 if batches == -1 else batches]
    rows = [shards[i].tokens[at + 16 * r : at + 16 * r + 17] for i, at in wanted for r in range(3)]
    expected = losses_of_rows(model, rows).reshape(-1, 3).mean(1).mean()
    loader = Loader(shards, 3, 16, None, "-iv")
    loader.next()  # where it stands does not matter
    for _ in range(2):
        assert validate_batches(model, loader, 3, batches, CPU) == pytest.approx(expected, rel=0, abs=LOSSES_APART)


def test_the_log_has_the_validation_loss_of_the_flags(data: Path, tmp_path: Path) -> None:
    fresh = GPT2(GPT2Shape(2, 2, 8))
    fresh.initialise()
    shards = open_shards(str(data / "t_val_*.bin"), "-iv")
    by_tokens = losses_of_rows(fresh, [shards[0].tokens[16 * n : 16 * n + 17] for n in range(6)]).mean()
    for folder, options in (("a", {"-val-tokens": 96}), ("b", {"-val-tokens": 96, "b": 4}), ("c", {"m": 3})):
        assert main(words(tmp_path / folder, data, x=1, v=1, **options)) == 0
        found = run_log.read(str(tmp_path / folder / "main.log")).validation
        assert found.steps.tolist() == [0, 1]
        assert found.values[0] == pytest.approx(by_tokens, rel=0, abs=5e-5 + LOSSES_APART)  # four decimals


# Outliers


@pytest.mark.parametrize("which", ["sl", "sg"])
def test_an_outlier_is_not_learnt_from_and_its_step_counts(which: str, data: Path, tmp_path: Path) -> None:
    p, _ = first_gradient(data, 2, 2)
    with trainer(tmp_path / "out", data, x=2, u=0, **{which: 9}) as run:
        # After 128 equal values the next lies sqrt(127) = 11.27 deviations off, the one after it about 7.9.
        detector = OutlierDetector([0.01] * 128)
        if which == "sl":
            run.run.loss_outliers = detector
        else:
            run.run.norm_outliers = detector
        optimizer = run.run.optimizer
        optimizer.m.fill_(0.25)
        optimizer.v.fill_(0.5)
        first = run.update(0)
        assert f"+11.27 deviations from its mean (-{which} 9)" in first.skipped
        assert np.array_equal(float64(run.run.model.flat), p)
        assert (optimizer.m == 0.25).all()
        assert (optimizer.v == 0.5).all()

        second = run.update(1)
        assert second.skipped == ""
        g = float64(optimizer.gradients)  # as clipped
        start = np.full_like(p, 0.25), np.full_like(p, 0.5)
        expected, m, _ = updated(p, g, *start, 2, second.rate, 0.1 * decayed(SIZES))
        # As clipped its norm is 1 but for rounding, and the formula may divide by that once more.
        clipping = likely(count(SIZES)) / 2
        assert (np.abs(float64(optimizer.m) - m) <= worst(6) * 0.225 + (worst(6) + clipping) * 0.1 * np.abs(g)).all()
        of_weights = worst(3) * np.abs(p) + second.rate * (worst(16) + 2 * clipping)  # m_hat / sqrt(v_hat) < 1
        assert (np.abs(float64(run.run.model.flat) - expected) <= of_weights).all()


def test_a_skipped_step_is_logged_as_any_other(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with trainer(tmp_path / "out", data, x=2, sl=9) as run:
        run.run.loss_outliers = OutlierDetector([0.01] * 128)
        run.train()
    assert capsys.readouterr().out.count("update skipped") == 1
    history = run_log.read(str(tmp_path / "out" / "main.log")).train
    assert history.steps.tolist() == [0, 1]
    assert (history.values > 10).all()


# The generator of llm.c's rounding


def xorshift(state: int, draws: int) -> int:
    """llm.c's 64-bit generator after so many draws."""
    words = np.array([state], np.uint64)
    for _ in range(draws):
        words ^= words >> np.uint64(12)
        words ^= words << np.uint64(25)
        words ^= words >> np.uint64(27)
    return int(words[0])


@pytest.mark.parametrize("micro_steps", [1, 3])
def test_the_state_file_has_llmcs_generator_after_as_many_draws(micro_steps: int, data: Path, tmp_path: Path) -> None:
    folder, options = tmp_path / "out", {"x": 5, "n": 2, "d": 32 * micro_steps}
    assert main(words(folder, data, es=2, **options)) == 0
    assert main(words(folder, data, y=1, **options)) == 0
    for step in (2, 4, 5):
        state = read_state(folder / f"state_{step:08d}_00000.bin", count(SIZES))
        drawn = step * (micro_steps + 16)
        assert state["rng"] == xorshift(13371337, drawn)
        assert state["rng_before"] == xorshift(13371337, drawn - 16)


@pytest.mark.parametrize("what", ["outlier", "no number"])
def test_an_update_that_is_skipped_draws_for_its_backward_passes_alone(what: str, data: Path, tmp_path: Path) -> None:
    with trainer(tmp_path / "out", data, x=3, sl=9) as run:
        optimizer = run.run.optimizer
        run.update(0)
        assert optimizer.rounding == xorshift(13371337, 2 + 16)
        if what == "outlier":
            run.run.loss_outliers = OutlierDetector([0.01] * 128)
        else:
            run.run.model.flat[-1] = torch.nan
        assert run.update(1).skipped
        assert optimizer.rounding == xorshift(13371337, 2 + 16 + 2)
        assert optimizer.rounding_before == xorshift(13371337, 2)  # of the last one that updated


# The norm on a CPU


@pytest.mark.parametrize("layers", [1, 40])
def test_the_norm_of_many_equal_gradients_is_their_root_mean_square(layers: int) -> None:
    model = GPT2(GPT2Shape(layers, 1, 192))
    optimizer = AdamW(model, weight_decay=0.0)
    optimizer.gradients.fill_(0.001)
    exact = float(np.float32(0.001)) * np.sqrt(model.flat.numel())
    # A piece's sum of 4,096 squares, its root, and the last rounding. In one go it is 0.002 and 0.015 short.
    assert optimizer.norm().item() == pytest.approx(exact, rel=likely(4096 + 2))
    assert optimizer.norm().dtype == torch.float32


# What the terminal tells


def test_a_step_is_counted_against_the_one_that_the_run_stops_at(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with trainer(tmp_path / "out", data, x=60, es=3) as run:
        run.train()
    assert [line.split(" |")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("step")] == [
        f"step    {step}/3" for step in (1, 2, 3)
    ]
