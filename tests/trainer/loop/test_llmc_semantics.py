"""What an update, a validation and a skipped step mean in llm.c, they mean here: checked against formulas in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bounds import gradient_roundings, likely, worst
from llmc_files import Sizes, count, read_model, read_state
from runs_of_training import write_shards
from steps_of_training import (
    LOSSES_APART,
    SIZES,
    TINY,
    Values,
    decayed,
    first_gradient,
    float64,
    trainer,
    updated,
    words,
)

from trainer.commands.train import main
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.optim.adamw import AdamW, round_stochastically


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder, [700, 500, 330])
    write_shards(folder, [200, 150], "val")
    return folder


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
