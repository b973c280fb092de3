"""llm.c's model file, `model_XXXXXXXX.bin`: a header of 256 int32, then the parameters in the order of shape.py.

Header: magic 20240326; version 3 (all float32) or 5 (all bfloat16); max_seq_len, vocab_size, layers, heads, channels,
padded_vocab_size.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain

import torch

from sparkprep.errors import UserError
from sparkprep.llmc import header
from trainer.checkpoints import parts
from trainer.checkpoints.parts import Written
from trainer.models.gpt2 import GPT2, views_of
from trainer.models.shape import Shape

MAGIC = 20240326
VERSIONS = {3: torch.float32, 5: torch.bfloat16}
KIND = "a model file"

_MAX_FIELD = 1 << 20  # of layers, heads, channels, positions, tokens: beyond it a header is nonsense


@dataclass(frozen=True)
class ModelHeader:
    """What the header tells. dtype: of the parameters in the file."""

    shape: Shape
    version: int

    @property
    def dtype(self) -> torch.dtype:
        """torch.float32 or torch.bfloat16."""
        return VERSIONS[self.version]

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return header.HEADER_BYTES + self.dtype.itemsize * self.shape.num_parameters


def version_of(dtype: torch.dtype) -> int:
    """The version that a trainer computing in `dtype` writes."""
    return next(version for version, known in VERSIONS.items() if known == dtype)


def read_header(path: str) -> ModelHeader:
    """The header of a model file, checked in itself and against the file's size.

    Raises UserError naming the file for another kind of file, an unknown version, sizes that make no GPT-2, and a file
    that is cut short or too long.
    """
    first, size = header.read_first(path)
    fields = header.unpack(path, first, MAGIC, tuple(VERSIONS), KIND)
    max_seq_len, vocab_size, layers, heads, channels, padded = (int(field) for field in fields[2:8])
    if not all(0 < field <= _MAX_FIELD for field in (max_seq_len, vocab_size, layers, heads, channels)):
        raise UserError(f"{path}: its header tells sizes that no GPT-2 has: {fields[2:8].tolist()}; {parts.AGAIN}")
    if channels % heads:
        raise UserError(f"{path}: its {channels} channels do not divide into {heads} heads; {parts.AGAIN}")
    found = ModelHeader(Shape(layers, heads, channels, max_seq_len, vocab_size), int(fields[1]))
    if padded != found.shape.padded_vocab_size:
        raise UserError(
            f"{path}: its vocabulary of {vocab_size:,} is padded to {padded:,}, and llm.c pads it to "
            f"{found.shape.padded_vocab_size:,}; export it anew"
        )
    if size != found.bytes:
        how = "cut short" if size < found.bytes else "too long"
        raise UserError(
            f"{path}: {how}: {size:,} bytes, while {found.shape} take {found.bytes:,} in version {found.version}; "
            f"{parts.AGAIN}"
        )
    return found


def load(path: str, model: GPT2) -> None:
    """Fill a model of the same shape. Raises UserError as `read_header`, for another shape and values not finite."""
    found = read_header(path)
    if found.shape != model.shape:
        raise UserError(f"{path}: it has {found.shape}, and the model {model.shape}; give the file that fits")
    with torch.no_grad():
        parts.read_into(path, header.HEADER_BYTES, model.flat, found.dtype, "weights")
        clear_padding(path, model)


def clear_padding(path: str, model: GPT2) -> None:
    """Set the padded rows of wte to zero, and say so where they were not; `path` is where they came from."""
    padding = views_of(model.flat, model.shape)["wte"][0][model.shape.vocab_size :]
    if padding.any():
        # llm.c takes the logits of these rows for gradients, so weights with them must not be passed on.
        print(f"{path}: the padded rows of wte are not zero; they are set to zero", file=sys.stderr)
        padding.zero_()


def open_model(path: str, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> GPT2:
    """The model of a file, computing in `dtype` (by default that of the file)."""
    found = read_header(path)
    model = GPT2(found.shape, device=device, dtype=dtype or found.dtype)
    load(path, model)
    return model


def write(path: str, shape: Shape, flat: torch.Tensor, version: int) -> Written:
    """Write parameters (a flat float32 buffer) as version 3 or 5, the latter rounded to nearest."""
    fields = (shape.max_seq_len, shape.vocab_size, shape.layers, shape.heads, shape.channels, shape.padded_vocab_size)
    head = header.pack(MAGIC, version, *fields)
    return parts.write(path, chain([head], parts.as_bytes(flat, VERSIONS[version])))
