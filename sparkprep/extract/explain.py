"""Where a page of an archive went: the document that it is, or the reason why it is none; told for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.console import safe_text
from sparkprep.documents.finding import Matches, Places, find_rows, rows_at
from sparkprep.documents.keys import shown_as
from sparkprep.errors import UserError
from sparkprep.extract.contents import DOCUMENTS, METRICS, REJECTED, SKIPPED
from sparkprep.extract.outcomes import DOCUMENTS_SCHEMA, REJECTED_SCHEMA, SKIPPED_SCHEMA
from sparkprep.extract.telling import ABOUT
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import join_path, normalise
from sparkprep.summary import document_line, text_lines

MOST_SHOWN = 5
"""Records of one URL that are told of, and others like it that are named."""
_ADVICE = "name the output folder of a finished extract"
_COLUMNS = {
    DOCUMENTS: DOCUMENTS_SCHEMA.names,
    SKIPPED: SKIPPED_SCHEMA.names,
    REJECTED: REJECTED_SCHEMA.names,
}


class ExtractedRun:
    """A result folder of `extract`, local or on S3."""

    def __init__(self, folder: str) -> None:
        self.folder = normalise(folder)
        keys = {"parts": dict, "documents": int}
        self.parts: dict[str, list[dict[str, Any]]] = read_json(join_path(self.folder, METRICS), _ADVICE, keys)["parts"]

    @property
    def names_skipped(self) -> bool:
        """Whether the run has named the pages that gave no document: those of earlier versions have not."""
        return SKIPPED in self.parts

    def find(self, table: str, column: str, matches: Matches) -> Places:
        """Return the rows of a table whose value in a column is meant."""
        return find_rows(join_path(self.folder, table), self.parts.get(table, []), column, matches, MOST_SHOWN)

    def rows(self, table: str, places: Places) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (what lies where, the row) of the places that are named."""
        for place, row in zip(places.first, rows_at(places.first, _COLUMNS[table]), strict=True):
            yield f"{place.path}, row {place.row:,}", row


def explain_id(run: ExtractedRun, name: str, whole: bool = False) -> str:
    """Return where the documents of an identifier come from. Raises UserError where there is none."""
    found = run.find(DOCUMENTS, "id", lambda values: shown_as(values, name))
    if not found.number:
        raise UserError(
            f"{run.folder}: no document there is named {name!r} (documents are named by column 'id'; ask by URL for a "
            "page that gave none)"
        )
    return _told([_document(place, row, whole) for place, row in run.rows(DOCUMENTS, found)], found.number, "bear it")


def explain_url(run: ExtractedRun, url: str, whole: bool = False) -> str:
    """Return what became of the answers that have a URL. Raises UserError where there is none, naming URLs like it."""

    def matches(values: pa.Array) -> npt.NDArray[np.bool_]:
        return shown_as(values, url)

    found = {table: run.find(table, "url", matches) for table in _COLUMNS}
    number = sum(places.number for places in found.values())
    if not number:
        raise UserError(f"{run.folder}: {_unknown(run, url)}")
    told = [_document(place, row, whole) for place, row in run.rows(DOCUMENTS, found[DOCUMENTS])]
    told += [_skipped(row) for _, row in run.rows(SKIPPED, found[SKIPPED])]
    told += [_rejected(row) for _, row in run.rows(REJECTED, found[REJECTED])]
    return _told(told[:MOST_SHOWN], number, "have it")


def _told(told: list[str], number: int, do: str) -> str:
    if number > 1:
        first = f"; the first {MOST_SHOWN}:" if number > MOST_SHOWN else ":"
        told = [f"{number:,} records {do}{first}", *told]
    return "\n\n".join(told)


def _document(place: str, row: dict[str, Any], whole: bool) -> str:
    declared = f", declared as {safe_text(row['declared_language'])}" if row["declared_language"] else ""
    title = [f"  title      {safe_text(row['title'])}"] if row["title"] else []
    lines = [
        document_line("kept", row["id"], row["url"], len(row["text"])),
        f"  archive    {_place(row)}, {row['payload_bytes']:,} bytes of page",
        f"  language   {row['language']} with a score of {row['language_score']:.2f}{declared}",
        f"  lies in    {safe_text(place)}",
        *title,
        *text_lines(row["text"], whole),
    ]
    return "\n".join(lines)


def _skipped(row: dict[str, Any]) -> str:
    detail = f": {safe_text(row['detail'])}" if row["detail"] else ""
    about = f" ({ABOUT[row['reason']]})" if row["reason"] in ABOUT else ""
    why = f"{safe_text(row['reason'])}{detail}{about}"
    return f"  skipped    {safe_text(row['url'])}\n  archive    {_place(row)}\n  why        {why}"


def _rejected(row: dict[str, Any]) -> str:
    why = f"{safe_text(row['reason'])}: {safe_text(row['detail'])}"
    return (
        f"  rejected   {safe_text(row['url'])}\n  archive    {_place(row)}, {row['bytes']:,} bytes\n  why        {why}"
    )


def _place(row: dict[str, Any]) -> str:
    return f"{safe_text(row['archive'])}, offset {row['offset']}"


def _unknown(run: ExtractedRun, url: str) -> str:
    """Return that no record has a URL, and which URLs there are that differ in nothing but how they are written."""
    variants = pa.array(sorted(variants_of(url)), pa.string())
    like: list[str] = []
    for table in _COLUMNS:
        found = run.find(table, "url", lambda values: np.asarray(pc.is_in(values, value_set=variants)))
        like += [row["url"] for _, row in run.rows(table, found)]
    told = f"no answer of its archives has the URL {url!r}"
    if like:
        return f"{told}; there is {', '.join(dict.fromkeys(like[:MOST_SHOWN]))}"
    if not run.names_skipped:
        return f"{told}, of those that gave a document; an earlier version did not name others: run extract again"
    return f"{told}: it is not in them, or only as a request or a revisit"


def variants_of(url: str) -> set[str]:
    """Return the addresses that differ from a URL in scheme, "www.", a slash at the end or a fragment alone.

    >>> sorted(variants_of("a.org/x"))[:3]
    ['a.org/x', 'a.org/x/', 'http://a.org/x']
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        return {url}
    host = parts.netloc.lower()
    hosts = {host, host.removeprefix("www."), f"www.{host.removeprefix('www.')}"}
    paths = {parts.path, parts.path.rstrip("/"), f"{parts.path.rstrip('/')}/"}
    made = {
        urlunsplit((scheme, host, path, parts.query, ""))
        for scheme in ("http", "https")
        for host in hosts
        for path in paths
    }
    return made | {url, url.rstrip("/"), f"{url.rstrip('/')}/"}
