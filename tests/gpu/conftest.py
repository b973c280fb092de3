"""What needs an NVIDIA GPU: not collected without one, unless asked for with `-m gpu`, and then an error.

On a machine that has PyTorch and no more of the project's packages: `pytest --confcutdir=tests/gpu -m gpu tests/gpu`.
"""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.fail("these tests need an NVIDIA GPU that PyTorch can use: torch.cuda.is_available() is False")
    torch.manual_seed(0)
    return torch.device("cuda")
