"""What killed runs left on S3, objects and uploads in parts, where a heartbeat tells whether a run lives."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.aws import bucket_client
from sparkprep.io.files import UNFINISHED, open_input
from sparkprep.io.heartbeat import DELETING, HEARTBEAT
from sparkprep.io.index_leftovers import CRAWLS, INDEX, TABLE, named_folders, table_folders
from sparkprep.io.leftovers import MANIFESTS, RUN_FOLDER, SCRATCH, Leftover, State
from sparkprep.io.liveness import IDLE_SECONDS, has_ended_here
from sparkprep.io.objects import Object, Upload, abort, delete, delete_prefix, entries, measured, uploads
from sparkprep.io.paths import join_path, split_s3
from sparkprep.io.resuming import of_resuming
from sparkprep.io.run_folders import TRIAL

_IN_RUN_FOLDER = re.compile(rf"(?P<folder>(?:.*?/)?{RUN_FOLDER.pattern})/(?P<name>.*)", re.DOTALL)
_TABLE_OF_INDEX = re.compile(rf"(?:.*/)?{CRAWLS}/{TABLE.pattern}")
_NOTES = "_progress"
_SHARD = re.compile(r"[^/]+_(?:val|train)_\d{6}\.bin")
_PART = re.compile(r"part-\d{5,}(?:\.\w+)?\.parquet|kept-\w+\.snappy\.parquet")
"""What tasks write that may be large enough to go up in parts."""
_ASKED_AT_ONCE = 16


@dataclass
class _Folder:
    """A folder of ours while it is listed: a run's own, one of shards, or a result that is just put in place."""

    files: int = 0
    size: int = 0
    written: datetime | None = None
    names: set[str] = field(default_factory=set)
    """what lies directly in it"""
    uploads: list[Upload] = field(default_factory=list)

    def add(self, entry: Object, name: str) -> None:
        self.files += 1
        self.size += entry.size
        self.names.add(name.partition("/")[0])
        self.touch(entry.written)

    def add_upload(self, upload: Upload) -> None:
        self.uploads.append(upload)
        self.touch(upload.written)

    def touch(self, written: datetime) -> None:
        self.written = written if self.written is None else max(self.written, written)

    def is_idle(self, now: datetime) -> bool:
        return self.written is None or is_idle_since(self.written, now)

    def leftover(self, path: str, state: State, why: str = "") -> Leftover:
        uploaded = sum(upload.size for upload in self.uploads)
        return Leftover(path, state, self.files, self.size, len(self.uploads), uploaded, self.written, why)


def is_idle_since(written: datetime, now: datetime) -> bool:
    """Return whether what was written then is taken for dead, as a run's last sign."""
    return (now - written).total_seconds() > IDLE_SECONDS


def find_on_s3(path: str, now: datetime) -> list[Leftover]:
    """Return the leftovers below a prefix, and those beside it under its name. path: as `normalise` returns it.

    Raises UserError where objects and uploads cannot be listed.
    """
    survey = _Survey(path)
    found = [survey.of_run(folder, now) for folder in survey.runs]
    found += [each for folder in survey.shards for each in survey.of_shards(folder, now)]
    found += [each for folder in survey.halves for each in survey.of_half(folder, now)]
    found += [each for index in survey.indexes for each in survey.of_index(index, now)]
    return found + survey.of_others()


def remove_from_s3(path: str) -> None:
    """Remove what the path of a leftover stands for. Raises UserError.

    Of a run's folder that is all objects and uploads below it; of the notes of shards the uploads to shards, and the
    run's heartbeat; of any other key the uploads to it.
    """
    bucket, key = split_s3(path)
    client = bucket_client(bucket, path)
    if _IN_RUN_FOLDER.fullmatch(f"{key}/") or _TABLE_OF_INDEX.fullmatch(key):
        delete_prefix(client, bucket, f"{key}/", path, HEARTBEAT)
    elif (folder := _folder_of_notes(key)) is not None:
        for upload in uploads(client, bucket, f"{folder}/" if folder else "", path):
            if upload.key.rpartition("/")[0] == folder and _SHARD.fullmatch(upload.key.rpartition("/")[2]):
                abort(client, bucket, upload, path)
        delete(client, bucket, [f"{key}/{HEARTBEAT}"], path)
    else:
        for upload in uploads(client, bucket, key, path):
            if upload.key == key:
                abort(client, bucket, upload, path)


def _folder_of_notes(key: str) -> str | None:
    """Return the folder of shards whose notes lie in a folder; None for a folder without such."""
    above, _, name = key.rpartition("/")
    return above if name == _NOTES else None


class _Survey:
    """All that lies at a place, by whose it is."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._bucket, self._key = split_s3(path)
        self._client: Any = bucket_client(self._bucket, path)
        self.runs: dict[str, _Folder] = {}
        self.shards: dict[str, _Folder] = {}
        self.halves: dict[str, _Folder] = {}
        self.indexes: dict[str, _Folder] = {}
        """by the folder of an index's tables what lies there"""
        self._others: list[Upload] = []
        prefixes = [f"{self._key}/", f"{self._key}.partial-"] if self._key else [""]
        for prefix in prefixes:
            for entry in entries(self._client, self._bucket, prefix, path):
                run = _IN_RUN_FOLDER.fullmatch(entry.key)
                if run is not None and self._is_here(run["folder"]):
                    self.runs.setdefault(run["folder"], _Folder()).add(entry, run["name"])
                    continue
                folder, _, name = entry.key.rpartition("/")
                if run is None and name == INDEX and self._is_here(folder):
                    self.indexes.setdefault(folder, _Folder())
                shards = _folder_of_notes(folder)
                if run is None and name == UNFINISHED and self._is_here(folder):
                    self.halves.setdefault(folder, _Folder()).add(entry, name)
                elif run is None and shards is not None and self._is_here(shards):
                    self.shards.setdefault(shards, _Folder()).add(entry, name)
        self._take_uploads([each for prefix in prefixes for each in self._uploads(prefix)])

    def _is_here(self, folder: str) -> bool:
        """Return whether a folder is the place asked for, lies below it, or beside it under its name."""
        return not self._key or f"{folder}/".startswith((f"{self._key}/", f"{self._key}.partial-"))

    def _uploads(self, prefix: str) -> Iterator[Upload]:
        return uploads(self._client, self._bucket, prefix, self._path)

    def _take_uploads(self, found: list[Upload]) -> None:
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            for upload in pool.map(lambda each: measured(self._client, self._bucket, each, self._path), found):
                owner = self._owner(upload.key)
                if owner is None:
                    self._others.append(upload)
                else:
                    owner.add_upload(upload)

    def _owner(self, key: str) -> _Folder | None:
        """Return the folder of ours that an upload is to, by its key; None for one that is not ours."""
        folder, _, name = key.rpartition("/")
        run = _IN_RUN_FOLDER.fullmatch(key)
        if run is not None:
            if run["folder"] in self.runs and self._is_marked(self.runs[run["folder"]]):
                return self.runs[run["folder"]]
            # The objects of a killed run may have been deleted by hand, which leaves its uploads.
            is_ours = run["folder"] not in self.runs and _PART.fullmatch(name) and self._is_here(run["folder"])
            return self.runs.setdefault(run["folder"], _Folder()) if is_ours else None
        if folder in self.shards and HEARTBEAT in self.shards[folder].names and _SHARD.fullmatch(name):
            return self.shards[folder]
        for half, about in self.halves.items():  # a large object is copied into place in parts
            if key.startswith(f"{half}/") and _PART.fullmatch(name):
                return about
        return None

    @staticmethod
    def _is_marked(folder: _Folder) -> bool:
        return bool(folder.names & {HEARTBEAT, UNFINISHED}) or folder.names <= {TRIAL}

    def of_run(self, folder: str, now: datetime) -> Leftover:
        """Return what a run's own folder is."""
        about, path = self.runs[folder], self._uri(folder)
        is_whole = bool(about.names & set(MANIFESTS))
        if not self._is_marked(about):
            what = "a finished result that was not put in place" if is_whole else "it bears a run's name and no mark"
            return about.leftover(path, State.STAYS, f"{what}; {_by_hand(path)}")
        if not about.is_idle(now) and not self._has_ended(path):
            return about.leftover(path, State.RUNNING, self._who(path))
        if is_whole and not self._is_going(path):
            rest = f"after that {SCRATCH}/ and {HEARTBEAT} in it are of no use" if SCRATCH in about.names else ""
            words = "; ".join(filter(None, ["a finished result that was not put in place", rest, _by_hand(path)]))
            return about.leftover(path, State.STAYS, words)
        going_on = "" if self._is_going(path) else of_resuming(path)
        return about.leftover(path, State.KEPT if UNFINISHED in about.names else State.DEAD, going_on)

    def of_shards(self, folder: str, now: datetime) -> list[Leftover]:
        """Return what a run that made shards has left beside them, and what is to be known of these."""
        about, path = self.shards[folder], self._uri(folder) if folder else f"s3://{self._bucket}"
        found: list[Leftover] = []
        if HEARTBEAT in about.names:
            notes = join_path(path, _NOTES)
            is_idle = about.is_idle(now) or self._has_ended(notes)
            state, why = (State.DEAD, "") if is_idle else (State.RUNNING, self._who(notes))
            found.append(replace(about.leftover(notes, state, why), files=1, size=0))
        if finished := sum(_SHARD.fullmatch(name.removesuffix(".json")) is not None for name in about.names):
            words = f"{finished:,} finished shards of a run that did not end; the same command goes on from there"
            found.append(Leftover(path, State.STAYS, written=about.written, why=words))
        return found

    def of_half(self, folder: str, now: datetime) -> list[Leftover]:
        """Return the uploads to a result that is half in place, and what to do with that."""
        about, path = self.halves[folder], self._uri(folder)
        state = State.DEAD if about.is_idle(now) else State.RUNNING
        whole = self._content(join_path(path, UNFINISHED)).get("whole_in")
        way_out = (
            f"it is whole in {whole}: aws s3 sync --delete {shlex.quote(f'{whole}/')} {shlex.quote(f'{path}/')}"
            if whole
            else "run again with --overwrite"
        )
        why = f"a result that is half in place; {way_out}"
        return [
            *(self._of_upload(upload, state, "") for upload in about.uploads),
            Leftover(path, State.STAYS, why=why, written=about.written),
        ]

    def of_index(self, folder: str, now: datetime) -> list[Leftover]:
        """Return the tables of an index that its manifest does not name, and so no run needs."""
        path = self._uri(folder)
        named = named_folders(path)
        if named is None:
            return []
        found: list[Leftover] = []
        beat = next(entries(self._client, self._bucket, f"{folder}/{HEARTBEAT}", path), None)
        is_dead = beat is None or is_idle_since(beat.written, now) or self._has_ended(path)
        for table in table_folders(path):
            if table not in named:
                about = _Folder()
                for entry in entries(self._client, self._bucket, f"{folder}/{table}/", path):
                    about.add(entry, entry.key)
                state, who = (State.DEAD, "") if is_dead else (State.RUNNING, self._who(path))
                found.append(about.leftover(join_path(path, *table.split("/")), state, who))
        return found

    def of_others(self) -> list[Leftover]:
        """Return, as one, the uploads that are none of ours by their keys."""
        if not self._others:
            return []
        size, last = sum(each.size for each in self._others), max(each.written for each in self._others)
        bucket = shlex.quote(self._bucket)
        why = f"not ours by their keys; to see them: aws s3api list-multipart-uploads --bucket {bucket}"
        return [
            Leftover(self._path, State.STAYS, uploads=len(self._others), uploaded=size, written=last, why=why),
        ]

    def _of_upload(self, upload: Upload, state: State, why: str) -> Leftover:
        path = self._uri(upload.key)
        return Leftover(path, state, uploads=1, uploaded=upload.size, written=upload.written, why=why)

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _is_going(self, path: str) -> bool:
        return self._content(join_path(path, HEARTBEAT)).get("state") == DELETING

    def _has_ended(self, folder: str) -> bool:
        return has_ended_here(self._content(join_path(folder, HEARTBEAT)))

    def _who(self, folder: str) -> str:
        """Return which process wrote the last heartbeat, where one is there."""
        content = self._content(join_path(folder, HEARTBEAT))
        host, process = content.get("host"), content.get("process")
        return f"process {process} on {host}" if host and process else ""

    def _content(self, path: str) -> dict[str, Any]:
        """Return a small JSON object; an empty one where there is none any more, or another thing."""
        try:
            content = json.loads(open_input(path).read())
        except (UserError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _by_hand(path: str) -> str:
    return f"when it is of no more use: aws s3 rm --recursive {shlex.quote(f'{path}/')}"
