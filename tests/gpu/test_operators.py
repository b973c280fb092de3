"""The operators of our own kernels against PyTorch in float64, at sizes that no block divides."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytestmark = pytest.mark.gpu

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-2}
ROWS, CHANNELS = 1234, 320
dtypes = pytest.mark.parametrize("dtype", TOLERANCE)


def draw(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(size, device="cuda").to(dtype).requires_grad_()


def wide(x: Tensor) -> Tensor:
    return x.detach().double().requires_grad_()


def assert_near(got: Tensor | None, wanted: Tensor | None, tolerance: float) -> None:
    assert got is not None
    assert wanted is not None
    error = (got.double() - wanted).norm() / wanted.norm()
    assert error < tolerance, f"off by {error:.2e} of its norm"


@dtypes
def test_cross_entropy_and_its_gradient(dtype: torch.dtype) -> None:
    from trainer.models import gpu_ops

    logits, targets = 3 * draw(ROWS, 50304, dtype=dtype).detach(), torch.randint(0, 50257, (ROWS,), device="cuda")
    losses, gradient = gpu_ops.cross_entropy(logits, targets, 50257, 0.125)
    reference = wide(logits[:, :50257])
    wanted = F.cross_entropy(reference, targets, reduction="none")
    (wanted.sum() * 0.125).backward()
    assert_near(losses, wanted, 1e-6)
    assert_near(gradient[:, :50257], reference.grad, TOLERANCE[dtype])
    assert not gradient[:, 50257:].any()


@dtypes
def test_gelu_of_a_biased_sum_and_its_gradients(dtype: torch.dtype) -> None:
    from trainer.models import fused

    x, bias, gradient = draw(ROWS, CHANNELS, dtype=dtype), draw(CHANNELS), draw(ROWS, CHANNELS, dtype=dtype)
    x_wide, bias_wide = wide(x), wide(bias)
    got, wanted = fused.biased_gelu(x, bias), F.gelu(x_wide + bias_wide, approximate="tanh")
    got.backward(gradient)
    wanted.backward(gradient.double())
    assert_near(got, wanted, TOLERANCE[dtype])
    assert_near(x.grad, x_wide.grad, TOLERANCE[dtype])
    assert_near(bias.grad, bias_wide.grad, 1e-5)


@dtypes
def test_residual_sum_with_its_norm_and_their_gradients(dtype: torch.dtype) -> None:
    from trainer.models import fused

    x, y = draw(ROWS, CHANNELS, dtype=dtype), draw(ROWS, CHANNELS, dtype=dtype)
    by_total, by_normal = draw(ROWS, CHANNELS, dtype=dtype), draw(ROWS, CHANNELS, dtype=dtype)
    y_bias, weight, bias = draw(CHANNELS), draw(CHANNELS), draw(CHANNELS)
    total, normal = fused.add_and_norm(x, y, y_bias, weight, bias, 1e-5)
    torch.autograd.backward((total, normal), (by_total, by_normal))
    assert_near(total, x.double() + y.double() + y_bias, TOLERANCE[dtype])
    reference = [wide(each) for each in (total, weight, bias)]  # of the sum as it was rounded
    wanted = F.layer_norm(reference[0], (CHANNELS,), *reference[1:], eps=1e-5)
    torch.autograd.backward((1 * reference[0], wanted), (by_total.double(), by_normal.double()))
    assert_near(normal, wanted, TOLERANCE[dtype])
    assert_near(x.grad, reference[0].grad, TOLERANCE[dtype])
    assert_near(y.grad, reference[0].grad, TOLERANCE[dtype])
    for got, gradient in ((weight, reference[1].grad), (bias, reference[2].grad)):
        assert_near(got.grad, gradient, 1e-5)
    assert reference[0].grad is not None
    assert_near(y_bias.grad, reference[0].grad.sum(0), 1e-5)
