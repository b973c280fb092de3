"""What a folder holds of S3: a note of each file that was brought there, of which object and of which bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sparkprep.errors import UserError
from sparkprep.io.files import cause, make_folder, sha256_of

NOTES = ".sparkprep-fetch.jsonl"
"""Beside what was brought. A line for each file, written before the file appears; the last one of a path counts."""


@dataclass(frozen=True)
class Note:
    """A file as it was brought. path: from the folder; etag: what S3 calls those bytes; sha256: of them."""

    path: str
    uri: str
    etag: str
    sha256: str


class Brought:
    """The notes of a folder. Raises UserError where they cannot be read or written."""

    def __init__(self, folder: str) -> None:
        self._folder, self._file = folder, os.path.join(folder, NOTES)
        self._notes = {note.path: note for note in self._read()}

    def add(self, path: str, uri: str, etag: str, sha256: str) -> None:
        """Note what a file is to hold."""
        note = Note(os.path.relpath(path, self._folder), uri, etag, sha256)
        make_folder(self._folder)
        try:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps(asdict(note))}\n")  # a line that a killed run has left half ends here
        except OSError as error:
            raise UserError(f"{self._file}: cannot be written: {cause(error)}") from error
        self._notes[note.path] = note

    def is_whole(self, path: str, uri: str, etag: str, sha256: str = "") -> bool:
        """Return whether a file holds the bytes of an object.

        sha256: what the run's own list tells of them, "" where it does not: then the note does. Where a note tells of
        another object, or of other bytes of it, the file is not taken for it whatever it holds.
        """
        note = self._notes.get(os.path.relpath(path, self._folder))
        if note is not None and (note.uri, note.etag) != (uri, etag):
            return False
        expected = sha256 or (note.sha256 if note is not None else "")
        return bool(expected) and sha256_of(path)[1] == expected

    def below(self, folder: str) -> Iterator[Note]:
        """Yield the notes of files that lie below a folder still."""
        start = os.path.join(os.path.relpath(folder, self._folder), "")
        for note in self._notes.values():
            if note.path.startswith(start) and os.path.isfile(os.path.join(self._folder, note.path)):
                yield note

    def _read(self) -> Iterator[Note]:
        try:
            with open(self._file, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"{self._file}: cannot be read: {cause(error)}") from error
        for line in lines:
            try:
                yield Note(**json.loads(line))
            except (ValueError, TypeError):  # half a line: its file has not appeared
                continue
