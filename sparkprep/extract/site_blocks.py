"""Blocks of text that recur on most pages of a host within an archive, such as notices and menus, are removed.

The documents of an archive wait in a file while hashes of their blocks are counted, and lose their blocks when they are
read again: so what is removed depends on the archive alone. Memory is bounded by what is counted; where there are more
blocks than that, those seen least often are forgotten, and their number is told.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from sparkprep.extract.outcomes import DOCUMENTS_SCHEMA, SITE_BOILERPLATE, Outcome
from sparkprep.io.spilling import room_in, spill_folder

MOST_COUNTED = 1 << 21
"""Different blocks that are counted, at 16 bytes; five times that while they are merged."""
MOST_TEXTS = 1 << 20
"""Different texts that are known again; of an archive with more, what comes later counts as new."""
HOSTS_SHOWN = 20
_BLOCKS_SHOWN = 3
_LONGEST_SHOWN = 200
_BATCH_CHARS = 4 << 20
_BATCH_ROWS = 2_000
_PARAGRAPHS, _LINES = "\n\n", "\n"
_LETTER = re.compile(r"[^\W\d_]")
_WAITING_SCHEMA = pa.schema([*DOCUMENTS_SCHEMA, ("charset", pa.string()), ("site", pa.uint64()), ("keys", pa.binary())])
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")
_UNCOUNTED = 0
"""The key of a block that stays wherever it is, as it has no letter, and the site of a document without a host."""

Keys = npt.NDArray[np.uint64]


@dataclass
class HostBlocks:
    """What was removed from the pages of a host in an archive. bytes: of UTF-8. counts: block -> pages without it."""

    host: str
    pages: int = 0
    blocks: int = 0
    bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return the counts, and the blocks that were removed most, as JSON knows them."""
        most = sorted(self.counts.items(), key=lambda each: (-each[1], each[0]))[:_BLOCKS_SHOWN]
        sample = [{"text": text, "pages": pages} for text, pages in most]
        return {"host": self.host, "pages": self.pages, "blocks": self.blocks, "bytes": self.bytes, "sample": sample}


@dataclass(frozen=True)
class Removed:
    """What was removed in an archive. forgotten: blocks that were not counted to the end. by_host: those that lost the
    most blocks, as `HostBlocks.shown` has them."""

    hosts: int = 0
    pages: int = 0
    blocks: int = 0
    bytes: int = 0
    forgotten: int = 0
    by_host: tuple[dict[str, Any], ...] = ()


class SiteBlocks:
    """Takes blocks that recur on a share of the pages of a host, or on more of them, and on a least number of pages.

    Pages of the same text are one page here: copies of a page do not make all of it boilerplate.
    """

    def __init__(self, least_pages: int, share: float) -> None:
        self._least, self._share = least_pages, share
        self._counts = _Counts(MOST_COUNTED)
        self._pages = array("Q")
        self._texts: set[bytes] = set()
        self._hosts: dict[str, HostBlocks] = {}

    def without(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Yield the outcomes of an archive: first those without a document, then the documents without such blocks.

        A document of which nothing is left has SITE_BOILERPLATE as the reason for none. Raises UserError where the
        documents cannot wait on the disk.
        """
        folder, what = spill_folder(), "documents that wait"
        with room_in(folder, what):
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it is closed below, and by the end of a task
        with file:
            stream = pa.ipc.new_stream(pa.PythonFile(file, mode="w"), _WAITING_SCHEMA, options=_PACKED)
            for each in self._counted(outcomes):
                if isinstance(each, Outcome):
                    yield each
                    continue
                with room_in(folder, what):
                    stream.write_batch(each)
            with room_in(folder, what):
                stream.close()
                file.flush()
            file.seek(0)
            yield from self._shortened(file)

    def removed(self) -> Removed:
        """Return what was removed, when `without` has come to its end."""
        hosts = sorted(self._hosts.values(), key=lambda each: (-each.blocks, each.host))
        return Removed(
            len(hosts),
            sum(each.pages for each in hosts),
            sum(each.blocks for each in hosts),
            sum(each.bytes for each in hosts),
            self._counts.forgotten,
            tuple(each.shown() for each in hosts[:HOSTS_SHOWN]),
        )

    def _counted(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome | pa.RecordBatch]:
        """Yield the documents as batches with their keys, which are counted, and what is no document as it is."""
        rows: list[dict[str, object]] = []
        chars = 0
        for outcome in outcomes:
            if outcome.document is None:
                yield outcome
                continue
            rows.append({**outcome.document, "charset": outcome.charset, **self._keyed(outcome.document)})
            chars += len(str(outcome.document["text"]))
            if chars >= _BATCH_CHARS or len(rows) >= _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, _WAITING_SCHEMA)
                rows, chars = [], 0
        yield pa.RecordBatch.from_pylist(rows, _WAITING_SCHEMA)

    def _keyed(self, document: dict[str, object]) -> dict[str, object]:
        """Return the keys of a document's site and blocks, which are counted."""
        host, text = host_of(str(document["url"])), str(document["text"])
        if not host:
            return {"site": _UNCOUNTED, "keys": b""}
        site, keys = _key(host, ""), _keys(host, text)
        whole = blake2b(f"{host}\n{text}".encode(errors="replace"), digest_size=8).digest()
        if whole not in self._texts:
            if len(self._texts) < MOST_TEXTS:
                self._texts.add(whole)
            self._pages.append(site)
            self._counts.add(set(keys) - {_UNCOUNTED})
        return {"site": site, "keys": array("Q", keys).tobytes()}

    def _shortened(self, file: IO[bytes]) -> Iterator[Outcome]:
        """Read the documents again and yield them without the blocks that recur."""
        sites, pages = np.unique(np.frombuffer(self._pages, np.uint64), return_counts=True)
        with pa.ipc.open_stream(pa.PythonFile(file, mode="r")) as stream:
            for batch in stream:
                for row in batch.to_pylist():
                    charset, site, keys = row.pop("charset"), row.pop("site"), np.frombuffer(row.pop("keys"), np.uint64)
                    if len(keys):
                        of_site = int(pages[np.searchsorted(sites, np.uint64(site))])
                        recurs = self._counts.of(keys) >= max(self._least, self._share * of_site)
                        if recurs.any():
                            row["text"] = self._removed(row, recurs)
                    yield Outcome(
                        row if row["text"] else None,
                        "" if row["text"] else SITE_BOILERPLATE,
                        url=row["url"],
                        language=row["language"],
                        charset=charset,
                        offset=row["offset"],
                    )

    def _removed(self, row: dict[str, Any], recurs: npt.NDArray[np.bool_]) -> str:
        """Return a document's text without the blocks that recur, and note these."""
        host, (separator, blocks) = host_of(row["url"]), _split(row["text"])
        gone = [block for block, is_gone in zip(blocks, recurs.tolist(), strict=True) if is_gone]
        left = [block for block, is_gone in zip(blocks, recurs.tolist(), strict=True) if not is_gone]
        noted = self._hosts.setdefault(host, HostBlocks(host))
        noted.pages += 1
        noted.blocks += len(gone)
        noted.bytes += sum(len(block.encode()) for block in gone)
        for block in {" ".join(block.split())[:_LONGEST_SHOWN] for block in gone}:
            noted.counts[block] = noted.counts.get(block, 0) + 1
        return separator.join(left).strip("\n")


class _Counts:
    """How often keys were added: of all of them, or, where there are more than `most`, of those added most often."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: Keys = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)
        self._fresh = array("Q")
        self.forgotten = 0

    def add(self, keys: Iterable[int]) -> None:
        """Count each of these once more."""
        self._fresh.extend(keys)
        if len(self._fresh) >= self._most // 4:
            self._merge()

    def of(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Return how often each was added; 0 of those that are forgotten."""
        if self._fresh:
            self._merge()
        if not len(self._keys):
            return np.zeros(len(keys), np.int64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._counts[places], 0)

    def _merge(self) -> None:
        fresh, counts = np.unique(np.frombuffer(self._fresh, np.uint64), return_counts=True)
        self._fresh = array("Q")
        keys = np.concatenate([self._keys, fresh])
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], np.concatenate([self._counts, counts])[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        self._keys, self._counts = keys[starts], np.add.reduceat(counts, starts)
        least = 1
        while len(self._keys) > self._most:
            stays = self._counts > least
            self.forgotten += int(np.count_nonzero(~stays))
            self._keys, self._counts = self._keys[stays], self._counts[stays]
            least += 1


def host_of(url: str) -> str:
    """Return the host of an address in lower case; "" where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _split(text: str) -> tuple[str, list[str]]:
    """Return what separates the blocks of a text, and these: its paragraphs; its lines where it has none."""
    separator = _PARAGRAPHS if _PARAGRAPHS in text else _LINES
    return separator, text.split(separator)


def _keys(host: str, text: str) -> list[int]:
    """Return a key for each block of a text, the same for blocks that differ in blanks alone."""
    return [_key(host, block) if _LETTER.search(block) else _UNCOUNTED for block in _split(text)[1]]


def _key(host: str, block: str) -> int:
    words = f"{host}\n{' '.join(block.split())}".encode(errors="replace")
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "little") or 1
