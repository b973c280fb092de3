"""A file of a table, as a task writes it: whole or not at all, with its size and its hash for nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from sparkprep.io.files import open_whole

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class PartFile:
    """A file while it is written, and what is known of it then.

    sink: what to hand to `pq.ParquetWriter` and other writers of Arrow. size: bytes so far. sha256: of those bytes, in
    hexadecimal. After the block of `write_part` both are those of the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._sum = stream, hashlib.sha256()
        self.size = 0
        self.closed = self._discarded = False
        self.sink = pa.PythonFile(self, mode="w")

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of what was written so far, in hexadecimal."""
        return self._sum.hexdigest()

    def write(self, data: ReadableBuffer) -> int:
        """Write bytes and return their number; what `sink` calls."""
        view = memoryview(data).cast("B")
        if self._discarded:
            return len(view)
        self._stream.write(view)
        self._sum.update(view)
        self.size += len(view)
        return len(view)

    def discard(self) -> None:
        """Take what is still written as written: the file will not be."""
        self._discarded = True

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self.size

    def flush(self) -> None:
        """Do nothing: `write_part` sees to that."""

    def close(self) -> None:
        """Do nothing, for the same reason: Arrow closes what it is handed, after an exception as well."""


@contextmanager
def write_part(path: str) -> Iterator[PartFile]:
    """Open a part file, local or on S3, that is there when the block ends without an error, and not before.

    Raises UserError naming the file where it cannot be written.

    >>> with write_part("s3://bucket/kept/part-00000.parquet") as part:          # doctest: +SKIP
    ...     with pq.ParquetWriter(part.sink, schema) as writer:
    ...         writer.write_batch(batch)
    >>> part.size, part.sha256                                                  # doctest: +SKIP
    """
    with open_whole(path) as stream:
        yield PartFile(stream)
