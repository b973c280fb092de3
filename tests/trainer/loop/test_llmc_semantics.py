"""What an update, a validation and a skipped step mean in llm.c, they mean here: checked against formulas in NumPy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from bounds import gradient_roundings, likely, loss_roundings, worst
from llmc_files import Sizes, count, read_model, read_state, tensor_shapes
from runs_of_training import command, write_shards

from trainer.commands.train import main
from trainer.data.batches import to_device
from trainer.data.loader import Loader, open_shards
from trainer.loop.loop import Trainer
from trainer.loop.start import begin
from trainer.loop.validation import validate_batches, validate_tokens
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.optim.adamw import AdamW, round_stochastically
from trainer.optim.outliers import OutlierDetector
from trainer.runs import log as run_log
from trainer.runs.log import RunLog
from trainer.settings import parse

SIZES = Sizes(max_seq_len=1024, vocab=50257, layers=2, heads=2, channels=8)
DECAYED = {"wte", "wpe", "qkvw", "attprojw", "fcw", "fcprojw"}
CPU = torch.device("cpu")
Values = npt.NDArray[np.float64]
TINY = float(np.finfo(np.float32).tiny)  # below it a float32 loses its digits
LOSSES_APART = 2 * likely(loss_roundings(GPT2Shape(2, 2, 8), length=16))
"""Between the mean losses of the same rows from products of different shapes."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder, [700, 500, 330])
    write_shards(folder, [200, 150], "val")
    return folder


def words(folder: Path, data: Path, **options: object) -> list[str]:
    return command(folder, data, **{"1d": 2, "1c": 8, "1h": 2, "n": 0, "v": 0, **options})


@contextmanager
def trainer(folder: Path, data: Path, **options: object) -> Iterator[Trainer]:
    """A run that has begun and waits for its first update."""
    folder.mkdir(exist_ok=True)
    settings = parse(words(folder, data, **options))
    run = begin(replace(settings, output=str(folder)), str(folder))
    with RunLog(str(folder), resume=False) as log:
        yield Trainer(run, log, peak=1.0)


def decayed(sizes: Sizes) -> npt.NDArray[np.bool_]:
    """Of each parameter, whether weight decay applies."""
    return np.concatenate([np.full(int(np.prod(shape)), name in DECAYED) for name, shape in tensor_shapes(sizes)])


def updated(
    p: Values, g: Values, m: Values, v: Values, t: int, rate: float, decay: float | Values
) -> tuple[Values, Values, Values]:
    """p, m and v after llm.c's update number t, counted from 1, in float64."""
    norm = np.sqrt((g**2).sum())
    if norm > 1:
        g = g / norm  # without 1e-6 beside the norm, as PyTorch's clipping has it
    m = 0.9 * m + 0.1 * g
    v = 0.95 * v + 0.05 * g**2
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.95**t)
    return p - rate * (m_hat / (np.sqrt(v_hat) + 1e-8) + decay * p), m, v


def float64(values: torch.Tensor) -> Values:
    return values.detach().numpy().astype(np.float64)


# One update


@pytest.mark.parametrize("first", [0, 1, 2365])
@pytest.mark.parametrize("norm", [1e-4, 0.9, 50.0])
def test_updates_are_those_of_llmcs_formulas(first: int, norm: float) -> None:
    sizes = Sizes(max_seq_len=5, vocab=40, layers=2, heads=2, channels=4)
    random = np.random.default_rng(first)
    model = GPT2(GPT2Shape(2, 2, 4, 5, 40))
    model.initialise()
    optimizer = AdamW(model, weight_decay=0.1)
    size = count(sizes)
    p, m, v = float64(model.flat), np.zeros(size), np.zeros(size)
    magnitude = np.zeros(size)  # of m's terms, which may cancel
    for step in range(first, first + 3):
        # from values that eps swallows to some that fill the norm
        g = (random.standard_normal(size) * 10.0 ** random.uniform(-8, 0, size)).astype(np.float32)
        g *= np.float32(norm) / np.linalg.norm(g.astype(np.float64)).astype(np.float32)
        optimizer.gradients.copy_(torch.from_numpy(g))
        optimizer.update(step, 0.02, optimizer.norm(), torch.tensor(False))
        before = p
        p, m, v = updated(p, g.astype(np.float64), m, v, step + 1, 0.02, 0.1 * decayed(sizes))
        assert np.abs(p - before).max() > 1e-3
        magnitude = 0.9 * magnitude + 0.1 * np.abs(g.astype(np.float64)) / max(1.0, norm)
        # The norm is a sum of `size` squares under a root; after it a moment has 6 roundings an update, a weight 16.
        # PyTorch's clipping, 1e-6 beside a norm of 50, is below this: the next test but one is for it.
        clipping = likely(size) / 2 if norm > 1 else 0.0
        updates = step - first + 1
        of_moments = worst(6 * updates) + clipping
        assert (np.abs(float64(optimizer.m) - m) <= of_moments * magnitude + TINY).all()
        np.testing.assert_allclose(float64(optimizer.v), v, rtol=2 * of_moments, atol=TINY)
        # Of absolute values m_hat / sqrt(v_hat) is at most 1 (Cauchy and Schwarz); the weight has three of its own.
        of_weights = updates * (worst(3) * np.abs(p) + 0.02 * 1.01 * (worst(16) + 2 * of_moments))
        assert (np.abs(float64(model.flat) - p) <= of_weights).all()


def test_eps_is_added_outside_the_root_of_the_corrected_second_moment() -> None:
    model = GPT2(GPT2Shape(1, 1, 1, 2, 5))
    optimizer = AdamW(model, weight_decay=0.0)
    optimizer.gradients.fill_(1e-8)
    optimizer.update(0, 1.0, optimizer.norm(), torch.tensor(False))
    # At t = 1 the corrected moments are g and g squared: 1e-8 / (1e-8 + 1e-8).
    # Inside the root eps would give 1e-4, and beside an uncorrected one 0.18.
    np.testing.assert_allclose(model.flat.numpy(), -0.5, rtol=worst(16))


def test_the_gradient_is_divided_by_its_norm_alone() -> None:
    model = GPT2(GPT2Shape(1, 1, 1, 2, 5))
    optimizer = AdamW(model, weight_decay=0.0)
    optimizer.gradients[:9] = 0.5  # their squares add up to 2.25 without rounding, in whatever order
    optimizer.update(0, 0.0, optimizer.norm(), torch.tensor(False))
    # The quotient, the factor 0.1 and the product; PyTorch's 1e-6 beside the norm would be 11 roundings.
    np.testing.assert_allclose(optimizer.m[:9].numpy(), 0.1 * 0.5 / 1.5, rtol=worst(3))
    assert not optimizer.m[9:].any()


def first_gradient(data: Path, rows: int, micro_steps: int) -> tuple[Values, Values]:
    """(weights, gradient) of a random model on the first micro-batches of the shuffled data."""
    model = GPT2(GPT2Shape(2, 2, 8))
    model.initialise()
    optimizer = AdamW(model, 0.0)
    loader = Loader(open_shards(str(data / "t_train_*.bin"), "-id"), rows, 16, 42, "-id")
    for _ in range(micro_steps):
        (model(*to_device(loader.next(), rows, CPU)) / micro_steps).backward()
    return float64(model.flat), float64(optimizer.gradients)


def test_a_fresh_start_at_a_later_step_has_that_steps_rate_and_t(data: Path, tmp_path: Path) -> None:
    p, g = first_gradient(data, rows=2, micro_steps=2)
    with trainer(tmp_path / "out", data, ss=2365, x=4725, u=470, l=6e-4) as late:
        assert late.run.step == 2365
        update = late.update(2365)
        after = float64(late.run.model.flat)
    rate = 0.5 * (1 + np.cos(np.pi * (2365 - 470) / (4725 - 470))) * 6e-4
    assert rate == pytest.approx(3.5125e-4, rel=1e-4)
    assert update.rate == pytest.approx(rate)
    expected, _, _ = updated(p, g, np.zeros_like(p), np.zeros_like(p), 2366, rate, 0.1 * decayed(SIZES))
    # The same gradient twice, so what differs is the update: a weight's own three roundings, and those of 0.447 rates,
    # among them the norm's (which m / sqrt(v) divides out but for eps). A rate of the next step differs by 4e-4.
    of_update = worst(16) + likely(count(SIZES)) / 2
    assert (np.abs(after - expected) <= worst(3) * np.abs(p) + 0.45 * rate * of_update).all()
    # Moments that begin at 0 are no longer corrected: with a steady gradient 0.1 / sqrt(0.05) of the rate.
    large = np.abs(g) > 1e-3
    moved = np.abs(after - p * (1 - rate * 0.1 * decayed(SIZES)))[large]
    assert len(moved) > 100
    # Here eps counts too: beside sqrt(0.05) of a gradient, divided by its norm.
    eps = 1e-8 / (0.05**0.5 * 1e-3 / max(1.0, float(np.linalg.norm(g))))
    off = np.abs(moved / (0.447214 * rate) - 1)
    assert (off <= worst(3) * np.abs(p[large]) / (0.447 * rate) + of_update + eps + 1e-6).all()  # 1e-6: six decimals


def test_the_padded_rows_of_the_vocabulary_stay_zero(data: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "out", data, x=3, n=3)) == 0
    _, sizes, tensors = read_model(tmp_path / "out" / "model_00000003.bin")
    assert sizes == SIZES
    assert tensors["wte"][:50257].any(axis=1).all()
    assert not tensors["wte"][50257:].any()


# Weights in bfloat16


def test_without_masters_each_weight_is_a_bfloat16(data: Path, tmp_path: Path) -> None:
    with trainer(tmp_path / "out", data, w=0, **{"-precision": "bf16"}) as run:
        before = run.run.model.flat.clone()
        run.update(0)
        flat = run.run.model.flat
        assert torch.equal(flat.to(torch.bfloat16).float(), flat)
        assert (flat != before).float().mean() > 0.5


@pytest.mark.parametrize("value", [1.001, -3.0003, 1e-5, -7.7e8, 0.02])
def test_stochastic_rounding_goes_to_both_neighbours_in_proportion(value: float) -> None:
    exact = float(np.float32(value))
    values = torch.full((400_000,), exact)
    round_stochastically(values, seed=7)
    low, high = np.unique(values.numpy()).astype(np.float64)
    bits = np.abs(np.array([low, high], np.float32)).view(np.uint32)
    assert (bits & 0xFFFF == 0).all()
    assert abs(int(bits[0]) - int(bits[1])) == 1 << 16
    assert low < exact < high
    share = (exact - low) / (high - low)
    deviation = (high - low) * np.sqrt(share * (1 - share) / len(values))
    assert abs(values.double().mean().item() - exact) < 5 * deviation


def test_what_is_a_bfloat16_already_is_not_rounded() -> None:
    values = torch.randn(10_000).to(torch.bfloat16).float()
    rounded = values.clone()
    round_stochastically(rounded, seed=3)
    assert torch.equal(rounded, values)


@pytest.mark.parametrize("masters", [0, 1])
def test_a_bfloat16_run_goes_on_bit_for_bit(masters: int, data: Path, tmp_path: Path) -> None:
    options = {"w": masters, "x": 6, "n": 3, "-precision": "bf16"}
    assert main(words(tmp_path / "whole", data, **options)) == 0
    assert main(words(tmp_path / "parts", data, **options, es=3)) == 0
    assert main(words(tmp_path / "parts", data, **options, y=1)) == 0
    for name in ("model_00000006.bin", "state_00000006_00000.bin"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    state = read_state(tmp_path / "whole" / "state_00000006_00000.bin", count(SIZES))
    assert (state["masters"] is not None) == bool(masters)


# What must not change a result


def first_updates(folder: Path, data: Path, updates: int, **options: object) -> tuple[list[float], Values]:
    """The losses of the first updates, and the gradient of the last, after clipping."""
    with trainer(folder, data, **options) as run:
        losses = [run.update(step).loss for step in range(updates)]
        return losses, float64(run.run.optimizer.gradients)


@pytest.mark.parametrize("again", [0, 2])
def test_what_is_computed_again_gives_the_same_losses(again: int, data: Path, tmp_path: Path) -> None:
    usual, g = first_updates(tmp_path / "usual", data, 4, r=1)
    losses, other = first_updates(tmp_path / "again", data, 4, r=again)
    # The same operations on the same shapes, only later: not a bit differs.
    assert losses == usual
    assert np.array_equal(other, g)


def test_micro_batches_of_any_size_add_up_to_the_same_gradient(data: Path, tmp_path: Path) -> None:
    # On the validation data, in order and from its start, an update sees the same 96 tokens whatever the -b.
    found = {
        rows: first_updates(tmp_path / f"{rows}", data, 1, a=1, d=96, b=rows, iv=data / "t_val_000000.bin")
        for rows in (1, 2, 3, 6)
    }
    (loss,), gradient = found[6]
    assert np.linalg.norm(gradient) > 0.1
    # Each of the two is off by its roundings: products of other shapes add up in another order. Of 6 equal shares one
    # that is weighted wrongly, or one token of 96 left out, changes a hundredth of the gradient at least.
    apart = 2 * likely(gradient_roundings(GPT2Shape(2, 2, 8), tokens=96, length=16))
    assert apart < 1e-3
    for rows in (1, 2, 3):
        (other,), g = found[rows]
        assert other == pytest.approx(loss, rel=0, abs=LOSSES_APART)
        assert np.linalg.norm(g - gradient) < apart * np.linalg.norm(gradient)


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
