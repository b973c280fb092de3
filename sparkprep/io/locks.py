"""A folder that one process at a time may write into."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sparkprep.errors import UserError
from sparkprep.io.files import cause


@contextmanager
def held(folder: str, lock: str, way_out: str) -> Iterator[bool]:
    """Hold a local folder for this process, by a lock on the file `lock`, which is made; its holder's number is in it.

    Gives whether it is held: a file system without locks does not tell whether another process is there. The hold ends
    with the process, however that ends. way_out: what to do instead, for the message. Raises UserError where another
    process holds it, or the file cannot be made.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(f"{lock}: cannot be written: {cause(error)}; {way_out}") from error
    is_held = True
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise UserError(
                f"{folder}: another run (process {holder}) writes into this folder; wait for it, end it, or {way_out}"
            ) from None
        except OSError:
            is_held = False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield is_held
    finally:
        os.close(descriptor)
