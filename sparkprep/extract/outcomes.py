"""One archive's records -> documents, and the reason for each record that gives none. No Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from sparkprep.extract.bodies import Answer, answer_of, body_of
from sparkprep.extract.characters import visible
from sparkprep.extract.languages import Language
from sparkprep.extract.members import Readable
from sparkprep.extract.page import Page
from sparkprep.extract.page_process import PageFailed
from sparkprep.extract.records import Damage, Record, read_records
from sparkprep.extract.settings import ExtractSettings
from sparkprep.extract.shapes import what_else

DOCUMENTS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("title", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("declared_language", pa.string()),
        ("date", pa.timestamp("us", tz="UTC")),
        ("archive", pa.string()),
        ("offset", pa.int64()),
        ("payload_bytes", pa.int64()),
    ]
)
SKIPPED_SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("archive", pa.string()),
        ("offset", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
REJECTED_SCHEMA = pa.schema(
    [
        ("archive", pa.string()),
        ("offset", pa.int64()),
        ("bytes", pa.int64()),
        ("url", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)

DAMAGED, TOO_LARGE, TRUNCATED, TOO_SLOW, CRASHED = "damaged", "too large", "truncated", "too slow", "crashed"
NO_PAGE, NOT_HTTP, NOT_OK, NOT_HTML = "not a page", "not HTTP", "not status 200", "not HTML"
EMPTY, NO_TEXT, OTHER_LANGUAGE, SITE_BOILERPLATE = "empty", "no text", "other language", "site boilerplate"
REASONS = (
    *(NO_PAGE, NOT_HTTP, NOT_OK, NOT_HTML, EMPTY, NO_TEXT, OTHER_LANGUAGE, SITE_BOILERPLATE),
    *(TOO_LARGE, TRUNCATED, TOO_SLOW, CRASHED, DAMAGED),
)
"""Why a record gives no document. "not a page": requests, metadata, warcinfo, revisits."""
_NAMED = {DAMAGED, TOO_SLOW, CRASHED}
"""Reasons for which each record is named in rejected/: those that are no property of the page's kind."""
AS_RECORD, AS_BODY, AS_TEXT = "the record, as it lies", "the body, unpacked", "the text of a record of WET"
"""What of a page is too large."""
_LONGEST_DETAIL = 500
_BY_CRAWLER, _BY_SERVER = "by the crawler", "by the server, or on the way"
_MOST_HTTP_HEAD = 1 << 16
_HTML_TYPES = ("text/html", "application/xhtml+xml", "application/xhtml")
_UNTOLD_TYPES = ("", "application/octet-stream", "unknown/unknown", "content/unknown")


class PageReader(Protocol):
    """What tells the text of a page, as `PageProcess` does."""

    def page_of(self, data: bytes, content_type: str, extractor: str) -> Page:
        """Return what a page says. Raises PageFailed."""

    def language_of(self, text: str) -> Language:
        """Return which language a text is in. Raises PageFailed."""


@dataclass(frozen=True)
class Outcome:
    """What a record has given: a row of DOCUMENTS_SCHEMA, or the reason for none and perhaps a row of rejected/.

    kind: what there is to tell of the reason, such as the status or the type of the answer. language: of its text,
    where that was told, whether or not it is kept. charset: of a page, by Python's name. detail: what there is to tell
    of this record alone, in place of its kind. offset: of the record in its archive.
    """

    document: dict[str, object] | None = None
    reason: str = ""
    rejected: dict[str, object] | None = None
    url: str = ""
    kind: str = ""
    language: str = ""
    charset: str = ""
    detail: str = ""
    offset: int = 0

    def rows(self, archive: str) -> tuple[dict[str, object] | None, dict[str, object] | None, dict[str, object] | None]:
        """Return its row of documents/, of rejected/ and of skipped/: one of them, or none of what is no page."""
        if self.document is not None or self.rejected is not None or self.reason == NO_PAGE:
            return self.document, self.rejected, None
        row: dict[str, object] = {"url": self.url or None, "archive": archive, "offset": self.offset}
        detail = (self.detail or self.kind)[:_LONGEST_DETAIL]
        return None, None, {**row, "reason": self.reason, "detail": detail or None}


def outcomes(
    stream: Readable, archive: str, settings: ExtractSettings, pages: PageReader, name: str = ""
) -> Iterator[Outcome]:
    """Yield what each record of an archive gives, in its order; damage between records counts as one.

    name: of the archive, by which documents are called whose records have no identifier; by default its file's.
    """
    name = name or archive.rpartition("/")[2]
    for record in read_records(stream, settings.max_bytes + _MOST_HTTP_HEAD):
        yield replace(_Extraction(archive, name, settings, pages).outcome(record), offset=record.offset)


@dataclass(frozen=True)
class _Extraction:
    archive: str
    name: str
    settings: ExtractSettings
    pages: PageReader

    def outcome(self, record: Record | Damage) -> Outcome:
        if isinstance(record, Damage):
            return self._without(record, "", DAMAGED, record.fault)
        url = record.headers.get("warc-target-uri", "").strip("<>")
        most = self.settings.max_bytes + _MOST_HTTP_HEAD
        if record.length > most and (not record.fault or len(record.block) >= most):
            return self._without(record, url, TOO_LARGE, record.fault, AS_RECORD)
        if record.fault:
            return self._without(record, url, DAMAGED, record.fault)
        if record.type == "conversion":
            return self._of_text(record, url)
        if record.type not in ("response", "resource"):
            return Outcome(reason=NO_PAGE, url=url, kind=record.type)
        answer = _answer(record)
        if answer is None:
            return Outcome(reason=NOT_HTTP if record.block else EMPTY, url=url)
        return self._of_answer(record, url, answer)

    def _of_text(self, record: Record, url: str) -> Outcome:
        """Return what a record of a WET file gives, which is text already."""
        if not record.block.strip():
            return Outcome(reason=EMPTY, url=url)
        if len(record.block) > self.settings.max_bytes:
            return Outcome(reason=TOO_LARGE, url=url, kind=AS_TEXT)
        if self._is_cut(record):
            return Outcome(reason=TRUNCATED, url=url, kind=_BY_CRAWLER)
        text = visible(record.block.decode("utf-8", "replace")).strip("\n")
        languages = record.headers.get("warc-identified-content-language", "")
        try:
            language = self.pages.language_of(text)
        except PageFailed as failed:
            return self._without(record, url, failed.reason, f"{len(text):,} characters of text")
        page = Page(text, "", languages.partition(",")[0].strip(), "utf-8", *language)
        return self._of_page(record, url, page, len(record.block))

    def _of_answer(self, record: Record, url: str, answer: Answer) -> Outcome:
        if answer.status != 200:
            leads_to = answer.headers.get("location", "")
            detail = f"{answer.status}, to {leads_to}" if leads_to else ""
            return Outcome(reason=NOT_OK, url=url, kind=str(answer.status), detail=detail)
        kind = answer.headers.get("content-type", "").partition(";")[0].partition(",")[0].strip().lower()
        if kind not in (*_HTML_TYPES, *_UNTOLD_TYPES):
            return Outcome(reason=NOT_HTML, url=url, kind=kind)
        body = body_of(answer, self.settings.max_bytes)
        if body.is_cut:
            return Outcome(reason=TOO_LARGE, url=url, kind=AS_BODY)
        cut_by = _BY_CRAWLER if self._is_cut(record) else _BY_SERVER
        if not body.data.strip():
            if body.is_broken or cut_by == _BY_CRAWLER:
                return Outcome(reason=TRUNCATED, url=url, kind=cut_by)
            return Outcome(reason=EMPTY, url=url)
        other = what_else(body.data, kind in _HTML_TYPES)
        if other is not None:
            told = [other, f"said to be {kind}" if kind else "of no type"]
            return Outcome(reason=NOT_HTML, url=url, kind=", ".join(filter(None, told)))
        if (body.is_broken and not self.settings.keep_truncated) or cut_by == _BY_CRAWLER:
            return Outcome(reason=TRUNCATED, url=url, kind=cut_by)
        try:
            page = self.pages.page_of(body.data, answer.headers.get("content-type", ""), self.settings.extractor)
        except PageFailed as failed:
            return self._without(record, url, failed.reason, f"{len(body.data):,} bytes of HTML")
        if not page.text:
            return Outcome(reason=NO_TEXT, url=url)
        return self._of_page(record, url, page, len(body.data))

    def _of_page(self, record: Record, url: str, page: Page, size: int) -> Outcome:
        """Return what a text gives: a document, if it is in a language that is asked for."""
        language, settings = Language(page.code, page.score), self.settings
        is_asked_for = settings.language is None or language.code in settings.language
        if not is_asked_for or (settings.language and language.score < settings.language_score):
            detail = f"{language.code} with a score of {language.score:.2f}"
            return Outcome(reason=OTHER_LANGUAGE, url=url, kind=language.code, language=language.code, detail=detail)
        row = self._row(record, url, page, size, language)
        return Outcome(row, url=url, language=language.code, charset=page.charset)

    def _is_cut(self, record: Record) -> bool:
        return "warc-truncated" in record.headers and not self.settings.keep_truncated

    def _row(self, record: Record, url: str, page: Page, size: int, language: Language) -> dict[str, object]:
        name = record.headers.get("warc-record-id", "").strip("<>").removeprefix("urn:uuid:")
        return {
            "id": name or f"{self.name}:{record.offset}",
            "url": url,
            "text": page.text,
            "title": page.title or None,
            "language": language.code,
            "language_score": language.score,
            "declared_language": page.language or None,
            "date": _date(record.headers.get("warc-date", "")),
            "archive": self.archive,
            "offset": record.offset,
            "payload_bytes": size,
        }

    def _without(self, record: Record | Damage, url: str, reason: str, detail: str, kind: str = "") -> Outcome:
        if reason not in _NAMED and not detail:
            return Outcome(reason=reason, url=url, kind=kind)
        row = {"archive": self.archive, "offset": record.offset, "bytes": record.lost, "url": url or None}
        return Outcome(reason=reason, rejected={**row, "reason": reason, "detail": detail}, url=url, kind=kind)


def _answer(record: Record) -> Answer | None:
    if record.type == "resource":  # without a head of HTTP, as of files that a crawler has found in another way
        return Answer(200, {"content-type": record.headers.get("content-type", "")}, record.block)
    return answer_of(record.block)


def _date(text: str) -> datetime | None:
    """Return WARC-Date as a time; None for what is none."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None and 1900 < date.year < 2200 else None
