"""Where a result is put on S3: what lies there, and the copying into place, behind a marker that says so."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from sparkprep.errors import UserError, argument
from sparkprep.io.aws import bucket_client, code_of, explained
from sparkprep.io.files import UNFINISHED
from sparkprep.io.objects import TAKEN, copy, delete, objects
from sparkprep.io.paths import normalise, split_s3


class S3Result:
    """The keys below a prefix that a result is to become; the methods are those of `LocalResult`.

    marker: the name of the object that says that what lies there is not whole.
    """

    marker: str | None = UNFINISHED

    def __init__(self, path: str | os.PathLike[str], run_id: str) -> None:
        self.path = normalise(path)
        self._subject = argument("output", self.path)
        self._bucket, key = split_s3(self.path)
        if not key:
            raise UserError(
                f"{self._subject} is a whole bucket; name a folder in it, {argument('output', self.path + '/clean')}"
            )
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise UserError(f"{self._subject}: a key with empty parts, '.' or '..' in it is no folder; mend it")
        self._key, self._prefix, self._run_id = key, f"{key}/", run_id
        self._is_claimed = self._was_unfinished = self._is_put = False

    def check_kind(self) -> None:
        """Raise UserError where the path is that of an object."""
        if next(objects(self._client(), self._bucket, self._key, self._subject), None) == self._key:
            raise UserError(f"{self._subject} is an existing object; name a folder")

    def check_precious(self) -> None:
        """Do nothing: nobody lives in a bucket."""

    def names(self) -> Iterator[tuple[str, bool]]:
        """Yield (key from the folder, False) of all objects but those that stand for empty folders, and our marker.

        That is ours where none lay there before it: of another run's it tells that what lies there is one's of ours.
        """
        for key in objects(self._client(), self._bucket, self._prefix, self._subject):
            name = key[len(self._prefix) :]
            self._was_unfinished = self._was_unfinished or (name == UNFINISHED and not self._is_claimed)
            is_ours = name == UNFINISHED and self._is_claimed and not self._was_unfinished
            if not name.endswith("/") and name and not is_ours:
                yield name, False

    def tell_of_leftovers(self) -> None:
        """Do nothing: what a killed run was replacing lies in the output itself, marked as not whole."""

    def claim(self) -> None:
        """Put the marker: from here on readers refuse the folder, and another run cannot put its result there.

        Raises UserError where another has put one meanwhile.
        """
        marker = json.dumps({"run_id": self._run_id, "whole_in": f"{self.path}.partial-{self._run_id}"})
        only_if_new: dict[str, str] = {} if self._was_unfinished else {"IfNoneMatch": "*"}
        with explained(f"{self.path}/{UNFINISHED}: cannot be written"):
            try:
                self._client().put_object(
                    Bucket=self._bucket, Key=self._prefix + UNFINISHED, Body=marker.encode(), **only_if_new
                )
            except ClientError as error:
                if code_of(error) in TAKEN:
                    raise UserError(f"{self.path}: another run is just putting its result there") from error
                raise
        self._is_claimed = True

    def unclaim(self) -> None:
        """Take the marker away, but where it stood already, for what another run has left half."""
        if not self._was_unfinished:
            delete(self._client(), self._bucket, [self._prefix + UNFINISHED], self._subject)

    def put(self, work: str, made: Sequence[re.Pattern[str]]) -> None:
        """Copy the finished objects into place, what `made[0]` names last; then delete the old ones, and the marker.

        Raises UserError; what was copied by then stays, and the marker with it.
        """
        client, source = self._client(), f"{split_s3(work)[1]}/"
        new = [key[len(source) :] for key in objects(client, self._bucket, source, self._subject)]
        last = [name for name in new if made and made[0].fullmatch(name)]
        copy(client, self._bucket, source, self._prefix, [name for name in new if name not in last])
        copy(client, self._bucket, source, self._prefix, last)
        stay = {self._prefix + name for name in (*new, UNFINISHED)}
        there = objects(client, self._bucket, self._prefix, self._subject)
        delete(client, self._bucket, [key for key in there if key not in stay], self._subject)
        delete(client, self._bucket, [self._prefix + UNFINISHED], self._subject)
        self._is_put = True

    def has_taken(self, work: str) -> bool:
        """Return whether `put` has come to its end."""
        return self._is_put

    def rest(self) -> str:
        """Return nothing: when `put` has come to its end, it has left nothing."""
        return ""

    def way_out(self, work: str) -> str:
        """Return what to do with a finished result that could not be put in place."""
        return f"put it there with: aws s3 sync --delete {shlex.quote(work + '/')} {shlex.quote(self.path + '/')}"

    def _client(self) -> Any:
        return bucket_client(self._bucket, self._subject)
