"""Token shards of llm.c for GPT-2: a header of 1,024 bytes, then the tokens as little-endian uint16.

Header fields (int32): magic 20240520, version 1, number of tokens. Each document is preceded by end-of-text (50256) and
may go on in the next shard. llm.c casts file offsets to int, so a shard stays below 2 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input
from sparkprep.io.paths import is_local, normalise
from sparkprep.llmc import header
from sparkprep.llmc.header import HEADER_BYTES
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE

MAGIC = header.SHARD_MAGIC
VERSION = 1
TOKEN_BYTES = 2
MAX_TOKENS = ((1 << 31) - 1 - HEADER_BYTES) // TOKEN_BYTES
KIND = "a token shard"

Tokens = npt.NDArray[np.uint16]

_BLOCK = 1 << 22  # tokens checked at a time: 8 MB


@dataclass(frozen=True)
class ShardHeader:
    """The header's fields. tokens: how many the file holds."""

    version: int
    tokens: int


@dataclass(frozen=True)
class ShardFile:
    """A shard. tokens: uint16 of shape (header.tokens,), or the first of these, read-only; mapped from a local disk."""

    path: str
    header: ShardHeader
    tokens: Tokens


def header_bytes(ntok: int) -> bytes:
    """Return the 1,024 bytes before `ntok` tokens. Raises ValueError for fewer than 0 or more than MAX_TOKENS."""
    if not 0 <= ntok <= MAX_TOKENS:
        raise ValueError(f"{ntok:,} tokens do not fit into a shard, which holds 0 to {MAX_TOKENS:,}")
    return header.pack(MAGIC, VERSION, ntok)


def read_header(path: str) -> ShardHeader:
    """Return the header of a shard, local or on S3, checked against the file's size.

    Raises UserError naming the file for another kind of file, an unknown version, a count below 0 or above MAX_TOKENS,
    and a size that is not exactly 1,024 + 2 x tokens bytes.
    """
    first, size = header.read_first(path)
    fields = header.unpack(path, first, MAGIC, (VERSION,), KIND)
    count = int(fields[2])
    if not 0 <= count <= MAX_TOKENS:
        raise UserError(
            f"{path}: its header tells {count:,} tokens, and a shard holds 0 to {MAX_TOKENS:,}; make it anew"
        )
    expected = HEADER_BYTES + TOKEN_BYTES * count
    if size != expected:
        how = "cut short" if size < expected else "too long"
        raise UserError(
            f"{path}: {how}: {size:,} bytes, while its header tells {count:,} tokens, which take {expected:,}; "
            "make or copy it anew"
        )
    return ShardHeader(int(fields[1]), count)


def open_shard(path: str) -> ShardFile:
    """Return a shard on a local disk, its tokens mapped into memory, read-only. Raises UserError as `read_header`."""
    fields = read_header(path)
    if not is_local(path):
        raise UserError(f"{path}: can only be mapped from a local disk; copy it there first (aws s3 cp)")
    if fields.tokens == 0:  # nothing to map, which mmap refuses
        empty = np.empty(0, "<u2")
        empty.flags.writeable = False
        return ShardFile(path, fields, empty)
    try:
        tokens = np.memmap(normalise(path), "<u2", "r", HEADER_BYTES, (fields.tokens,))
    except (OSError, ValueError) as error:  # ValueError: the file has shrunk meanwhile
        raise UserError(f"{path}: cannot be mapped: {error}; make or copy it anew") from error
    return ShardFile(path, fields, tokens)


def read_beginning(path: str, limit: int) -> ShardFile:
    """Return a shard, local or on S3, with its first `limit` tokens at most: only these and its header are read.

    Raises UserError as `read_header`.
    """
    fields = read_header(path)
    size = TOKEN_BYTES * min(limit, fields.tokens)
    try:
        with open_input(path) as stream:
            stream.seek(HEADER_BYTES)
            content = header.read_exactly(stream, size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}") from error
    if content is None:
        raise UserError(f"{path}: has changed while it was read; run again when nothing writes it")
    return ShardFile(path, fields, np.frombuffer(content, "<u2"))


def write(path: str, tokens: npt.ArrayLike) -> None:
    """Write one shard from integers of shape (n,) to a file, local or on S3, which appears whole or not at all.

    Raises UserError if a token is not in the vocabulary or the file cannot be written, ValueError for more than
    MAX_TOKENS.
    """
    array = np.asarray(tokens)
    head = header_bytes(len(array))
    check_tokens(path, array)
    header.write(path, [head, array.astype("<u2", copy=False)])


def check_tokens(path: str, tokens: npt.NDArray[np.integer]) -> None:
    """Raise UserError naming the first position whose token is not one of GPT-2's 50,257; `path` is for the message."""
    for start in range(0, len(tokens), _BLOCK):
        block = tokens[start : start + _BLOCK]
        # the extremes cost no memory, a mask of the block does
        if len(block) and (block.max() >= VOCABULARY_SIZE or block.min() < 0):
            at = int(np.flatnonzero((block >= VOCABULARY_SIZE) | (block < 0))[0])
            raise UserError(
                f"{path}: the token at position {start + at:,} is {int(block[at]):,}, and GPT-2's are 0 to "
                f"{VOCABULARY_SIZE - 1:,}; make the shard anew with GPT-2's tokenizer"
            )
