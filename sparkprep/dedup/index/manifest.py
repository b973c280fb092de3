"""The manifest of an index, `index.json`: which crawls are in it, by which settings, in which files."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from sparkprep.dedup.index.layout import MOST_CRAWLS, TABLES
from sparkprep.dedup.kernels.bands import SLOTS
from sparkprep.dedup.settings import Settings
from sparkprep.errors import UserError, argument
from sparkprep.io.json_files import checked_object
from sparkprep.io.leftovers import INDEX_KIND
from sparkprep.io.paths import join_path

FORMAT = 1
"""To be raised whenever what is kept of a document, or any hash of it, changes."""
UNICODE = 14
"""Of the table by which texts are split into words (`kernels/unicode14.npz`)."""
_ADVICE = "name a folder that `dedup --index` has made, or restore this one"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_FLAGS = ("threshold", "keep", "rule", "shingle_words", "bands", "rows", "seed")


@dataclass(frozen=True)
class Part:
    """A file of a table: the number of its piece, its rows, bytes and SHA-256.

    page_checksums: whether each page of it has one, by which what is read of it is checked; those that were written
    before there were any have none.
    """

    number: int
    rows: int
    bytes: int
    sha256: str
    page_checksums: bool = False


@dataclass(frozen=True)
class StoredTable:
    """Where a table of a crawl lies in the index, and its files."""

    folder: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Crawl:
    """A crawl in the index.

    serial: a number that no other crawl of the index ever has. fingerprint: of what the index knows of its documents.
    pieces: how many documents each piece of it had. counts: documents, kept, removed, without_words. tables: by name.
    """

    name: str
    serial: int
    date: str
    fingerprint: str
    pieces: tuple[int, ...]
    counts: Mapping[str, int]
    tables: Mapping[str, StoredTable]

    @property
    def bytes(self) -> int:
        """Of its files."""
        return sum(part.bytes for table in self.tables.values() for part in table.parts)


@dataclass(frozen=True)
class Manifest:
    """What index.json holds.

    settings: those on which the documents' rows and decisions depend (`settings_of`). id_type: of the identifiers, as
    Arrow writes a schema, by base64. fence: anything, changed by a run that takes over from one that seems dead.
    """

    settings: Mapping[str, Any]
    id_type: str = ""
    next_serial: int = 0
    crawls: tuple[Crawl, ...] = ()
    fence: str = ""

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps({"kind": INDEX_KIND, "format": FORMAT, **asdict(self)}, indent=1) + "\n"

    def place_of(self, name: str) -> int | None:
        """Return the number of the crawl of that name in the order of the crawls, or None."""
        return next((number for number, crawl in enumerate(self.crawls) if crawl.name == name), None)

    def with_crawl(self, crawl: Crawl) -> Manifest:
        """Return the manifest with one more crawl, the last."""
        return replace(self, next_serial=crawl.serial + 1, crawls=(*self.crawls, crawl))

    def without(self, order: int, behind: Sequence[Crawl]) -> Manifest:
        """Return the manifest without a crawl, by its number, and with these in the place of those behind it."""
        return replace(self, crawls=(*self.crawls[:order], *behind))

    @property
    def ids(self) -> pa.DataType:
        """The type of the identifiers."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.id_type))).field(0).type

    @property
    def folders(self) -> set[str]:
        """The folders of all tables, as they stand below the index."""
        return {table.folder for crawl in self.crawls for table in crawl.tables.values()}


def encoded_type(kind: pa.DataType) -> str:
    """Return a type as `Manifest.id_type` has it."""
    return base64.b64encode(pa.schema([pa.field("id", kind)]).serialize().to_pybytes()).decode()


def settings_of(settings: Settings, id_type: object) -> dict[str, Any]:
    """Return what two runs must have in common for one index, the type of the identifiers among it."""
    banding = settings.banding
    named = {name: getattr(settings, name) for name in _FLAGS}
    named |= {"bands": banding.bands, "rows": banding.rows}
    return {**named, "slots": SLOTS, "unicode": UNICODE, "ids": str(id_type)}


def check_settings(path: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise UserError, with both values of all that differs, where an index was made by other settings."""
    told = [
        f"{_called(name)}: {there.get(name)!r} there, {value!r} here"
        for name, value in wanted.items()
        if there.get(name) != value
    ]
    if told:
        raise UserError(
            f"{path}: this index was made by other settings ({'; '.join(told)}): take those, or begin another index"
        )


def find_crawl(path: str, manifest: Manifest, name: str) -> int:
    """Return the number of a crawl of the index at `path` in their order. Raises UserError where there is none."""
    found = manifest.place_of(name)
    if found is None:
        there = ", ".join(each.name for each in manifest.crawls) or "none"
        raise UserError(f"{argument('crawl', name)}: {path} has no such crawl; crawls there are: {there}")
    return found


def _called(name: str) -> str:
    others = {"ids": "the type of the identifiers", "slots": "slots of a signature", "unicode": "version of Unicode"}
    return others.get(name) or argument(name)


def check_crawl_name(name: str) -> None:
    """Refuse a name that cannot be one of a folder everywhere. Raises UserError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"{argument('crawl', name)}: the name of a crawl has letters of ASCII, digits, '_', '.' and '-', begins "
            "with a letter or a digit, and is no longer than 100 characters"
        )


def parse(path: str, text: str) -> Manifest:
    """Return the manifest of the index at `path`. Raises UserError for what is none, and for one of a newer version."""
    file = join_path(path, "index.json")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not sound JSON ({error}); {_ADVICE}") from error
    keys = {"format": int, "settings": dict, "id_type": str, "next_serial": int, "crawls": list}
    if not isinstance(value, dict) or value.get("kind") != INDEX_KIND:
        raise UserError(f"{file}: this is no index of crawls; {_ADVICE}")
    number = value.get("format")
    if isinstance(number, int) and number != FORMAT:
        version = "a newer" if number > FORMAT else "an older"
        raise UserError(
            f"{file}: written by {version} sparkprep (format {number}, this one knows {FORMAT}); take that version, or "
            "begin another index"
        )
    value = checked_object(value, file, _ADVICE, keys)
    try:
        crawls = tuple(_crawl(each) for each in value["crawls"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: not the JSON that was expected: {error!r}; {_ADVICE}") from error
    return Manifest(value["settings"], value["id_type"], value["next_serial"], crawls, str(value.get("fence", "")))


def _crawl(value: Mapping[str, Any]) -> Crawl:
    tables = {
        name: StoredTable(value["tables"][name]["folder"], _parts(value["tables"][name]["parts"])) for name in TABLES
    }
    if not 0 <= value["serial"] < MOST_CRAWLS:
        raise ValueError(f"serial {value['serial']}")
    return Crawl(**{**value, "pieces": tuple(value["pieces"]), "tables": tables})


def _parts(values: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(Part(**each) for each in values)
