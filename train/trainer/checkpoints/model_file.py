"""llm.c's model file, `model_XXXXXXXX.bin`: a header of 256 int32, then the parameters in the order of their layout.

The header's first fields are the architecture's magic number and a version, which tells the number format; the others
are the architecture's own (`models/`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain

import torch

from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.llmc import header
from trainer.checkpoints import parts
from trainer.checkpoints.parts import Written
from trainer.models.architectures import by_magic
from trainer.models.layout import Model, Shape

KIND = "a model file"


@dataclass(frozen=True)
class ModelHeader:
    """What the header tells. version: of the file, on which the number format hangs."""

    shape: Shape
    version: int

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters in the file: torch.float32 or torch.bfloat16."""
        return self.shape.VERSIONS[self.version]

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return header.HEADER_BYTES + self.dtype.itemsize * self.shape.num_parameters


def version_of(shape: Shape, dtype: torch.dtype) -> int:
    """Return the version that a trainer computing in `dtype` writes."""
    return next(version for version, stored in shape.VERSIONS.items() if stored == dtype)


def read_header(path: str) -> ModelHeader:
    """Return the header of a model file, checked in itself and against the file's size.

    Raises UserError naming the file for another kind of file, an unknown version, sizes that the architecture cannot
    have, and a file that is cut short or too long.
    """
    first, size = header.read_first(path)
    architectures = by_magic()
    magic = int.from_bytes(first[:4], "little", signed=True)
    # For a magic that is none of ours any will do, since `unpack` refuses the file then, and says what it seems to be.
    architecture = architectures.get(magic) or next(iter(architectures.values()))
    fields = header.unpack(path, first, architecture.MAGIC, tuple(architecture.VERSIONS), KIND)
    try:
        shape = architecture.of_fields([int(field) for field in fields[2:]])
    except ValueError as error:
        raise UserError(f"{path}: {error}; {parts.AGAIN}") from error
    head = ModelHeader(shape, int(fields[1]))
    if size != head.bytes:
        how = "cut short" if size < head.bytes else "too long"
        raise UserError(
            f"{path}: {how}: {size:,} bytes, while {shape} take {head.bytes:,} in version {head.version}; {parts.AGAIN}"
        )
    return head


def load(path: str, model: Model) -> None:
    """Fill a model of the same shape. Raises UserError as `read_header`, for another shape and values not finite."""
    head = read_header(path)
    if head.shape != model.shape:
        raise UserError(f"{path}: it has {head.shape}, and the model {model.shape}; give the file that fits")
    with torch.no_grad():
        parts.read_into(path, header.HEADER_BYTES, model.flat, head.dtype, "weights")
        clear_padding(path, model)


def clear_padding(path: str, model: Model) -> None:
    """Set the padded rows of the head to zero, and say so where they were not; `path` is where they came from."""
    padding = model.leaves(model.shape.HEAD)[0].detach()[model.shape.vocab_size :]
    if padding.any():
        # llm.c takes the logits of these rows for gradients, so weights with them must not be passed on.
        say_line(f"{path}: the padded rows of {model.shape.HEAD} are not zero; they are set to zero", sys.stderr)
        padding.zero_()


def open_model(path: str, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Model:
    """Return the model of a file, computing in `dtype` (by default that of the file)."""
    head = read_header(path)
    model = head.shape.build(device=device, dtype=dtype or head.dtype)
    load(path, model)
    return model


def write(path: str, shape: Shape, flat: torch.Tensor, version: int) -> Written:
    """Write parameters (a flat float32 buffer) in a version of the architecture's, bfloat16 rounded to nearest."""
    head = header.pack(shape.MAGIC, version, *shape.fields())
    return parts.write(path, chain([head], parts.as_bytes(flat, shape.VERSIONS[version])))
