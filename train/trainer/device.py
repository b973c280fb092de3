"""The machine under the trainer: device, number format, determinism, what a matrix product reaches, memory."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from sparkprep.console import say
from sparkprep.errors import UserError

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def choose_device(name: str) -> torch.device:
    """Return the device that "auto" (a GPU if there is one), "cpu" or "cuda" names. Raises UserError without CUDA."""
    if name != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda":
        why = "this PyTorch is built without it" if torch.version.cuda is None else "no GPU that it can use was found"
        raise UserError(f"--device cuda: CUDA is not there ({why}); give --device cpu, or install torch with CUDA")
    return torch.device("cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return what to compute in. "auto": bfloat16 on a GPU, float32 on a CPU, whatever a model's file holds.

    A CPU without instructions for bfloat16 is nine times slower in it.
    """
    if name != "auto":
        return DTYPES[name]
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def device_name(device: torch.device) -> str:
    """Return what to call a device on the terminal."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def copy_to_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array as a tensor of its shape and dtype on a device.

    A GPU is given it from pinned memory, so that the copy waits for nothing and nothing waits for it.
    """
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def precision_name(dtype: torch.dtype) -> str:
    """Return llm.c's word for a number format."""
    return {torch.bfloat16: "BF16", torch.float32: "FP32"}[dtype]


def make_deterministic() -> None:
    """Make every run on the same machine give the same bits, on a GPU too, where it costs speed."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # torch.compile would choose among kernels by their times, and with them the order of sums.
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


@contextmanager
def attention_kernels(device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Choose attention's kernels while this lasts: on Hopper cuDNN's, which knows it, else flash attention."""
    if device.type != "cuda":
        yield
        return
    order = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    if torch.cuda.get_device_capability(device)[0] >= 9 and not deterministic:
        order.insert(0, SDPBackend.CUDNN_ATTENTION)
    with sdpa_kernel(order, set_priority=True):
        yield


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations a second of a large matrix product here, of which utilisation is a share.

    Measured, since a table of names knows neither every GPU nor its clock. Takes about half a second. Of a CPU it is
    what it reaches in float32 or in `dtype`: one without instructions for bfloat16 makes large products of it slower
    than small ones, and a hundred times slower than in float32.
    """
    if device.type == "cuda":
        return _product_rate(device, dtype, 8192, products=10, runs=5)
    best = _product_rate(device, torch.float32, 1024)
    if dtype != torch.float32 and 10 * _product_rate(device, dtype, 256) > best:
        best = max(best, _product_rate(device, dtype, 1024))
    return best


def _product_rate(device: torch.device, dtype: torch.dtype, size: int, products: int = 1, runs: int = 8) -> float:
    """Return the floating-point operations a second of the best of several runs of square products."""
    a = torch.randn(size, size, device=device, dtype=dtype)
    b = torch.randn(size, size, device=device, dtype=dtype)
    seconds = []
    for _ in range(runs):
        synchronise(device)
        start = time.perf_counter()
        for _ in range(products):  # several, so that a GPU is timed at the clock it can hold
            torch.mm(a, b)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 * products / min(seconds)


def to_be_compiled(choice: str, device: torch.device) -> bool:
    """Return whether to use torch.compile: "yes", "no", or "auto", which is on a GPU where there is a C compiler."""
    if choice != "auto":
        return choice == "yes"
    if device.type != "cuda":
        return False
    if os.environ.get("CC") or any(map(shutil.which, ("cc", "gcc", "clang"))):
        return True
    say("note: without a C compiler (apt install gcc) nothing is compiled, and the run is slower", stream=sys.stderr)
    return False


def has_kernels(x: torch.Tensor) -> bool:
    """Return whether what is done with x now may be done by our own kernels: on a GPU, in code that is compiled.

    Both need Triton and a C compiler, so that where the one runs, the other does.
    """
    return torch.compiler.is_compiling() and x.is_cuda


def synchronise(device: torch.device) -> None:
    """Wait for the GPU, where there is one."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gpu_line(device: torch.device) -> str:
    """Return clock, power, temperature and memory of the GPU, as far as the driver tells them."""
    if device.type != "cuda":
        return "no GPU to tell of (-lg)"
    used, total = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1]
    parts = [f"memory {used / 2**30:.1f} of {total / 2**30:.1f} GiB"]
    sensors = (("clock", torch.cuda.clock_rate, "MHz"), ("temperature", torch.cuda.temperature, "°C"))
    try:
        parts += [f"{name} {ask(device)} {unit}" for name, ask, unit in sensors]
        parts.append(f"power {torch.cuda.power_draw(device) / 1000:.0f} W")
    except ModuleNotFoundError:
        parts.append("clock, power and temperature need the package nvidia-ml-py")
    except Exception as error:  # the driver's own kinds, in containers and virtual GPUs; a line is not worth a run
        parts.append(f"the driver tells no more ({error})")
    return ", ".join(parts)


def largest_batch(fixed: int, per_row: int, total: int) -> int:
    """Return the largest power of two of rows that fits: bytes of no row, bytes of each row, bytes there are.

    0 where not even one row fits. A tenth is left free, for what the allocator cannot use.
    """
    room = 0.9 * total - fixed
    rows = int(room // max(1, per_row))
    return 1 << (rows.bit_length() - 1) if rows >= 1 else 0
