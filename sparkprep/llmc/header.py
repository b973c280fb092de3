"""What llm.c's binary files share: a header of 256 little-endian int32, of which the first tells the kind of file.

The kinds are those that llm.c and its scripts write (train_gpt2.cu, train_gpt2.py, dev/data/data_common.py), and what
people hand over instead of them: compressed files, Parquet, text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from sparkprep.commands import command
from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input, open_whole

HEADER_INTS = 256
HEADER_BYTES = 4 * HEADER_INTS

SHARD_MAGIC = 20240520
HELLASWAG_MAGIC = 20240522
TOKENIZER_MAGIC = 20240328

_NAMES = {
    SHARD_MAGIC: "a token shard of llm.c for GPT-2",
    20240801: "a token shard of llm.c for Llama 3, whose tokens have 32 bits",
    20240326: "a model file of llm.c (model_*.bin)",
    20240327: "a debug state of llm.c's Python trainer",
    20240527: "a training state of llm.c (state_*.bin)",
    TOKENIZER_MAGIC: "a tokenizer file of llm.c (gpt2_tokenizer.bin)",
    HELLASWAG_MAGIC: "an evaluation file of llm.c (hellaswag_val.bin)",
}
_SIGNATURES = (
    (b"\x1f\x8b", "gzip-compressed", "unpack it first (gunzip)"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it first (unzstd)"),
    (b"PK\x03\x04", "a zip archive (PyTorch and NumPy save such files)", ""),
    (b"PAR1", "a Parquet file", "tokenise it first: `{tokenize}`"),
    (b"\x93NUMPY", "a NumPy array", ""),
)
_GENERAL_ADVICE = "give another file"


def pack(*fields: int) -> bytes:
    """Return a header of 1,024 bytes that begins with these fields; the rest is zero."""
    header = np.zeros(HEADER_INTS, "<i4")
    header[: len(fields)] = fields
    return header.tobytes()


def magic_of(first_bytes: bytes) -> int | None:
    """Return the first int32 if it is that of a file of llm.c, else None."""
    value = int.from_bytes(first_bytes[:4], "little") if len(first_bytes) >= 4 else None
    return value if value in _NAMES else None


def is_binary(first_bytes: bytes) -> bool:
    """Return whether the first bytes are those of a kind of file, among those told apart here, that is no text."""
    return magic_of(first_bytes) is not None or first_bytes.startswith(tuple(s for s, _, _ in _SIGNATURES))


def wrong_kind(path: str, first_bytes: bytes, expected: str) -> UserError:
    """Return the error for a file that is not `expected` ("a token shard"): what it seems to be and what to do."""
    kind, advice = _recognise(first_bytes)
    ways_out = {
        "tokenize": command("tokenize", "--input", path, "--output", "TOKENS", "--shards", "SHARDS"),
        "hellaswag": command("convert", "hellaswag", path, "NEW.bin"),
        "shakespeare": command("convert", "shakespeare", path, "SHARDS"),
    }
    return UserError(f"{path}: not {expected}: it is {kind}; {(advice or _GENERAL_ADVICE).format(**ways_out)}")


def read_first(path: str, size: int = HEADER_BYTES) -> tuple[bytes, int]:
    """Return the first `size` bytes of a file, local or on S3, and its size in bytes. Raises UserError naming it."""
    try:
        with open_input(path) as stream:
            first = stream.read(size)
            return first, stream.seek(0, os.SEEK_END)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}") from error


def unpack(
    path: str, first_bytes: bytes, magic: int, versions: tuple[int, ...], expected: str
) -> npt.NDArray[np.int32]:
    """Return the 256 int32 of a header whose magic and version are checked.

    `path` and `expected` ("a token shard") are for messages. Raises UserError for another kind of file, a version that
    is not one of `versions`, and a file that ends within its header.
    """
    if int.from_bytes(first_bytes[:4], "little") != magic:
        raise wrong_kind(path, first_bytes, expected)
    if len(first_bytes) < HEADER_BYTES:
        raise UserError(
            f"{path}: cut short: {len(first_bytes):,} bytes, fewer than its header of {HEADER_BYTES:,}; "
            "make or copy it anew"
        )
    header = np.frombuffer(first_bytes, "<i4", HEADER_INTS)
    if header[1] not in versions:
        readable = " and ".join(str(version) for version in versions)
        raise UserError(
            f"{path}: {expected} of version {header[1]}, and only {readable} can be read; "
            "write it anew with a current tool"
        )
    return header


def write(path: str, chunks: Iterable[bytes | npt.NDArray[Any]]) -> None:
    """Write chunks one after another (arrays as their bytes) to a file that appears whole or not at all.

    Local or on S3; an existing file is replaced. Raises UserError naming the file if it cannot be written.
    """
    with open_whole(path) as stream:
        for chunk in chunks:
            stream.write(np.ascontiguousarray(chunk).data if isinstance(chunk, np.ndarray) else chunk)


def read_exactly(stream: BinaryIO, size: int) -> bytes | None:
    """Return the next `size` bytes, or None where the file ends before."""
    data = stream.read(size)
    return data if len(data) == size else None


def _recognise(first: bytes) -> tuple[str, str]:
    """Return (what it seems to be, what to do about it or "")."""
    if not first:
        return "empty", "make or copy it anew"
    magic = magic_of(first)
    if magic is not None:
        return _NAMES[magic], ""
    for signature, name, advice in _SIGNATURES:
        if first.startswith(signature):
            return name, advice
    if _is_text(first):
        if first.lstrip().startswith((b"{", b"[")):
            return (
                "JSON",
                "tokenise documents (`{tokenize}`), convert HellaSwag's questions (`{hellaswag}`)",
            )
        return "plain text", "make shards of it: `{shakespeare}`"
    return (
        f"of an unknown kind (its first bytes are {first[:8].hex(' ')})",
        "if it holds bare tokens without a header, as nanoGPT writes them, make it anew from the texts",
    )


def _is_text(first: bytes) -> bool:
    """Return whether bytes look like UTF-8 text without control characters; the last character may be cut."""
    try:
        text = first.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or error.start < len(first) - 3:
            return False
        text = first[: error.start].decode("utf-8")
    return bool(text) and not any(character < " " and character not in "\t\n\r\f" for character in text)
