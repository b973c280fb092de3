"""The mark of a run on S3, which has no locks: whose a folder is, and, being written anew, that its run lives."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from types import TracebackType

from sparkprep.errors import UserError
from sparkprep.io.files import delete_file, write_text
from sparkprep.io.liveness import ENDED, machine
from sparkprep.io.paths import join_path

HEARTBEAT = "_heartbeat"
BEAT_SECONDS = 240.0
RUNNING, DELETING = "running", "deleting"


class Heartbeat:
    """An object `_heartbeat` in a folder on S3, which a thread writes every few minutes from `begin` to `stop`.

    It bears host and process of the run. What is there to be found when nobody writes it any more is a leftover.
    alone: whether `begin` refuses a folder in which another run's is written. setting: which names the folder.
    """

    def __init__(self, folder: str, alone: bool = False, setting: str = "output") -> None:
        self._path = join_path(folder, HEARTBEAT)
        self._alone, self._id, self._setting = alone, uuid.uuid4().hex, setting
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_begun = False

    def __enter__(self) -> Heartbeat:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*([] if error is None else [UserError])):  # the error that ends the block is the cause
            self.remove()

    def begin(self) -> None:
        """Write it, and go on doing so.

        Raises UserError where it cannot be written now (later that does no harm), or another run is not to be met.
        """
        if self._alone:
            from sparkprep.io.s3_claim import claim  # with boto3, which local work need not wait for

            claim(self._path, self._content(RUNNING), self._setting)
        else:
            self._write(RUNNING)
        self._is_begun = True
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write it no more, and leave it as it is."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def leave(self) -> None:
        """Stop, and where it was begun leave word that the run has ended, so that another machine knows it at once."""
        self.stop()
        if self._is_begun:
            with contextlib.suppress(UserError):  # else its age tells
                self._write(ENDED)

    def remove(self) -> None:
        """Stop, and take it away: what stays in the folder is no leftover. Raises UserError."""
        self.stop()
        delete_file(self._path)

    def tell_deletion(self) -> None:
        """Stop, and where it was begun leave word that the folder is being deleted, for whoever finds the rest of it.

        Raises UserError.
        """
        self.stop()
        if self._is_begun:
            self._write(DELETING)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            with contextlib.suppress(UserError):
                self._write(RUNNING)

    def _write(self, state: str) -> None:
        write_text(self._path, self._content(state))

    def _content(self, state: str) -> str:
        about = {"state": state, "host": socket.gethostname(), "process": os.getpid(), "machine": machine()}
        return json.dumps({**about, "id": self._id}) + "\n"
