"""An index in its folder, local or on S3: held by one run, its manifest replaced whole, leftovers removed."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from sparkprep.console import safe_text, say, signals_held_back
from sparkprep.dedup.index.manifest import Manifest, check_crawl_name, check_settings, parse
from sparkprep.dedup.settings import Settings
from sparkprep.errors import UserError, argument
from sparkprep.io.files import delete_file, delete_folder, exists, make_folder
from sparkprep.io.heartbeat import HEARTBEAT, Heartbeat
from sparkprep.io.index_leftovers import CRAWLS, INDEX, LOCK, table_folders
from sparkprep.io.locks import held
from sparkprep.io.overlap import refuse_same_place
from sparkprep.io.paths import is_local, join_path, normalise, split_s3
from sparkprep.io.replacing import Version, read_version, replace_version


@dataclass
class IndexFolder:
    """An index that this run holds. manifest: None where there is none yet."""

    path: str
    manifest: Manifest | None
    _version: Version
    _is_new: bool = False
    _made: list[str] = field(default_factory=list)

    def new_folder(self, crawl: str) -> str:
        """Return a folder for tables of a crawl, below the index, which no other has."""
        self._made.append(f"{CRAWLS}/{crawl}-{uuid.uuid4().hex[:8]}")
        return self._made[-1]

    def begin(self, settings: Mapping[str, Any], id_type: str) -> Manifest:
        """Return the manifest, where it is of these settings; an empty one is written where there are no crawls yet.

        Only then may tables be written: what lies in a folder without a manifest is nobody's leftover. Raises UserError
        where the settings differ.
        """
        if self.manifest is None or not self.manifest.crawls:
            self._is_new = self._is_new or self.manifest is None
            serial = self.manifest.next_serial if self.manifest else 0
            self.replace(Manifest(dict(settings), id_type, serial))
        assert self.manifest is not None
        check_settings(self.path, self.manifest.settings, settings)
        return self.manifest

    def replace(self, manifest: Manifest) -> None:
        """Put a manifest in the place of the one that was read, at once. A signal is answered only afterwards.

        Raises UserError where that is not there any more.
        """
        with signals_held_back():
            self._version = replace_version(join_path(self.path, INDEX), manifest.text(), self._version)
            self.manifest = manifest

    def remove_leftovers(self) -> None:
        """Delete the tables that the manifest does not name, and tell of them: a run that was killed has left them.

        One that only seemed dead, on S3, cannot put its manifest in place any more: this one is another by then.
        """
        unnamed = self._unnamed()
        if unnamed and self.manifest is not None:
            self.replace(replace(self.manifest, fence=uuid.uuid4().hex))
        for folder in unnamed:
            self._delete(folder)
            path = join_path(self.path, folder)
            say(f"note: deleted {safe_text(path)}, which a killed run had left", stream=sys.stderr)
        self._tidy()

    def end(self) -> None:
        """Leave nothing that no finished run needs; where another run has been here meanwhile, nothing of its own."""
        is_ours = read_version(join_path(self.path, INDEX)) == self._version
        for folder in self._unnamed():
            if is_ours or folder.rpartition("/")[0] in self._made:
                self._delete(folder)
        if is_ours and self._is_new and self.manifest is not None and not self.manifest.crawls:
            delete_file(join_path(self.path, INDEX))
        self._tidy()

    def _unnamed(self) -> list[str]:
        if self.manifest is None:
            return []
        return [folder for folder in table_folders(self.path) if folder not in self.manifest.folders]

    def _delete(self, folder: str) -> None:
        delete_folder(join_path(self.path, *folder.split("/")))

    def _tidy(self) -> None:
        if is_local(self.path):
            _remove_empty(join_path(self.path, CRAWLS))


@contextmanager
def held_index(path: str | os.PathLike[str], must_exist: bool = False) -> Iterator[IndexFolder]:
    """Hold an index for this run alone, made if it is not there; what it has written and not named goes at the end.

    Raises UserError where another run holds it, it is another thing or of a newer version, and with `must_exist` where
    there is none.
    """
    place = normalise(path)
    was_there = exists(place)
    if must_exist and not exists(join_path(place, INDEX)):
        raise _no_index(place)
    _refuse_other(place)
    make_folder(place)
    with ExitStack() as stack:
        if is_local(place):
            stack.callback(_remove_if_empty, place, was_there)
            way_out = f"choose another {argument('index')}"
            stack.enter_context(held(place, join_path(place, LOCK), way_out))
        else:
            stack.enter_context(Heartbeat(place, alone=True, setting="index"))
        version = read_version(join_path(place, INDEX))
        folder = IndexFolder(place, None if version.text is None else parse(place, version.text), version)
        folder.remove_leftovers()
        try:
            yield folder
        finally:
            folder.end()


def read_index(path: str | os.PathLike[str]) -> Manifest:
    """Return the manifest of an index, as it is now. Raises UserError where there is none."""
    place = normalise(path)
    version = read_version(join_path(place, INDEX))
    if version.text is None:
        raise _no_index(place)
    return parse(place, version.text)


def _no_index(place: str) -> UserError:
    return UserError(f"{place}: holds no {INDEX}, so it is no index; name one that `dedup --index` has made")


def check_index(
    index: str | os.PathLike[str] | None,
    crawl: str | None,
    settings: Settings,
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None,
    thresholds: Sequence[float] = (),
    resume: bool = False,
) -> None:
    """Refuse what cannot work with an index, before anything is read."""
    if index is None:
        if crawl is not None:
            raise UserError(f"{argument('crawl', crawl)}: name the {argument('index')} that it is to go into")
        return
    if crawl is None:
        raise UserError(f"{argument('crawl')} is missing: name the crawl that these documents are, as jan-2026")
    check_crawl_name(crawl)
    if thresholds:
        raise UserError(f"{argument('index')}: an index is of one {argument('threshold')}; keep one for each")
    if resume:
        raise UserError(
            f"{argument('resume', True)}: a run with {argument('index')} notes no stages; leave that out and it starts "
            "anew, with the index as it was"
        )
    if settings.rule != "leader":
        raise UserError(
            f"{argument('rule', settings.rule)}: a new document may join two of an index that both were kept, so that "
            f"their order cannot hold; take {argument('rule', 'leader')} with {argument('index')}"
        )
    refuse_same_place(inputs, output=output, index=index)


def _refuse_other(place: str) -> None:
    """Refuse a folder that holds something, and no index."""
    if is_local(place):
        if os.path.lexists(place) and not os.path.isdir(place):
            raise UserError(f"{argument('index', place)} is a file; name a folder")
        strangers = set(os.listdir(place)) - {LOCK} if os.path.isdir(place) else set()
    elif exists(join_path(place, INDEX)):
        return
    else:
        from sparkprep.io.aws import bucket_client
        from sparkprep.io.objects import objects  # with boto3, which local work need not wait for

        bucket, key = split_s3(place)
        if not key:
            raise UserError(f"{argument('index', place)} is a whole bucket; name a folder in it")
        names = (name[len(key) + 1 :] for name in objects(bucket_client(bucket, place), bucket, f"{key}/"))
        strangers = set(islice((name for name in names if name not in ("", HEARTBEAT)), 1))
    if INDEX not in strangers and strangers:
        raise UserError(
            f"{place}: holds {min(strangers)} and no {INDEX}: it is no index; choose another {argument('index')}"
        )


def _remove_empty(folder: str) -> None:
    """Delete the empty folders below a local folder."""
    for above, _, _ in os.walk(folder, topdown=False):
        if above != folder and not os.listdir(above):
            os.rmdir(above)


def _remove_if_empty(place: str, was_there: bool) -> None:
    """Take away a folder that this run has made, where it became no index; the lock's file stays beside one."""
    if not os.path.exists(os.path.join(place, INDEX)):
        for name in (CRAWLS, LOCK):
            path = os.path.join(place, name)
            with suppress(OSError):
                (os.rmdir if name == CRAWLS else os.remove)(path)
        if not was_there:
            with suppress(OSError):
                os.rmdir(place)
