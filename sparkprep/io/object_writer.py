"""A stream to an object of S3 that is there whole when the stream is finished, and not at all before."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sparkprep.errors import UserError
from sparkprep.io.aws import bucket_client, explained
from sparkprep.io.paths import split_s3

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PART_BYTES = 16 << 20
_PARTS_OF_A_SIZE = 1000
"""An upload has 10,000 parts at most: after so many the next are larger, which reaches 880 GB."""
_IN_FLIGHT = 2


class ObjectWriter(io.RawIOBase):
    """A binary stream to a key: `finish()` makes the object, `abort()` leaves nothing. Nothing else does either.

    What fits one part is a single request at the end; more goes up in parts while the caller writes on, some 48 MB of
    memory at a time. Arrow's own stream ends the upload whenever it is closed, after an exception as well. Each method
    raises UserError naming `path`, an s3:// URI.
    """

    def __init__(self, path: str) -> None:
        self._subject = f"{path}: cannot be written"
        bucket, key = split_s3(path)
        self._client, self._place = bucket_client(bucket, self._subject), {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload: str | None = None
        self._sender: ThreadPoolExecutor | None = None
        self._pending: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []
        self._sent = self._position = 0

    def writable(self) -> bool:
        """Return True, as any stream to write to."""
        return True

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self._position

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of the bytes and return their number."""
        before = len(self._buffer)
        self._buffer += data
        taken = len(self._buffer) - before
        self._position += taken
        while len(self._buffer) >= self._part_bytes():
            self._send(self._part_bytes())
        return taken

    def finish(self) -> None:
        """Make the object."""
        if self._upload is None:
            with explained(self._subject):
                self._client.put_object(**self._place, Body=bytes(self._buffer))
            return
        if self._buffer:
            self._send(len(self._buffer))
        while self._pending:
            self._parts.append(self._pending.popleft().result())
        with explained(self._subject):
            self._client.complete_multipart_upload(
                **self._place, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
            )
        self._end()

    def abort(self) -> None:
        """Leave no object and no upload, as far as S3 still answers."""
        upload = self._upload
        self._end()  # a part that arrives after the abort would stay
        if upload is not None:
            with contextlib.suppress(UserError), explained(self._subject):
                self._client.abort_multipart_upload(**self._place, UploadId=upload)

    def _part_bytes(self) -> int:
        return PART_BYTES * (1 + self._sent // _PARTS_OF_A_SIZE)

    def _send(self, size: int) -> None:
        """Send the first bytes of the buffer as the next part, in a thread."""
        if self._sender is None:
            with explained(self._subject):
                self._upload = str(self._client.create_multipart_upload(**self._place)["UploadId"])
            self._sender = ThreadPoolExecutor(_IN_FLIGHT)
        if len(self._pending) == _IN_FLIGHT:
            self._parts.append(self._pending.popleft().result())
        body = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._sent += 1
        self._pending.append(self._sender.submit(self._send_part, self._sent, body))

    def _send_part(self, number: int, body: bytes) -> dict[str, Any]:
        with explained(self._subject):
            answer = self._client.upload_part(**self._place, UploadId=self._upload, PartNumber=number, Body=body)
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"], **sums}

    def _end(self) -> None:
        if self._sender is not None:
            self._sender.shutdown(wait=True, cancel_futures=True)
        self._sender, self._upload = None, None
        self._buffer.clear()
        self._pending.clear()
