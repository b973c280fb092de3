"""The pages of `sparkprep browse`: made here whole, without a script, from the index and the result's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jinja2 import Template
from markupsafe import Markup, escape

from sparkprep.dedup.audit.finished import FinishedRun
from sparkprep.dedup.audit.index import KINDS, ORDERS, Index, is_miss
from sparkprep.dedup.report import page as report
from sparkprep.pages.environment import environment, excerpt

ROWS = 50
"""Of a list on a page."""
MOST_FOUND = 500
"""Documents whose texts hold what is searched for, that are shown."""
_EXCERPT = 240


class NotThere(Exception):
    """There is no such page."""


@dataclass(frozen=True)
class Pages:
    """What each address shows."""

    run: FinishedRun
    index: Index

    def page(self, address: str) -> str:
        """Return the HTML of an address, such as "/pairs?kind=near&page=2". Raises NotThere."""
        parts = urlsplit(address)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        make = {"/": self._pairs, "/pairs": self._pairs, "/pair": self._pair, "/clusters": self._clusters}
        make |= {"/cluster": self._cluster, "/texts": self._texts}
        if parts.path not in make:
            raise NotThere(address)
        name, values = make[parts.path](asked)
        tools = {"link": _link, "paging": _paging, "attribute": _attribute}
        return self._template.render(
            m=self.run.metrics, folder=self.run.folder, here=name, **tools, **{**_NOTHING, **values}
        )

    @cached_property
    def _template(self) -> Template:
        source = resources.files(__package__).joinpath("browse.html").read_text(encoding="utf-8")
        return environment(report.__package__).from_string(source)

    def _pairs(self, asked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        kind, order = asked.get("kind", "removed"), asked.get("order", "least")
        if kind not in KINDS or order not in ORDERS:
            raise NotThere(str(asked))
        search, number = asked.get("search", ""), _page(asked)
        total, rows = self.index.links(kind, order, search, number * ROWS, ROWS)
        _refuse_beyond(number, total)
        values = {"kind": kind, "order": order, "search": search, "total": total, "rows": rows, "page": number}
        return "pairs", values

    def _texts(self, asked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        words = asked.get("words", "").strip()
        if not words:
            return self._pairs({})
        total, rows = self.index.texts_with(words, MOST_FOUND)
        return "texts", {"words": words, "total": total, "rows": rows}

    def _pair(self, asked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        listed = self.index.link(_number(asked, "row"), _number(asked, "kept"))
        if listed is None:
            raise NotThere(str(asked))
        link = listed.link
        one, other = self.run.both(link)
        pair = {
            "id": link.id,
            "kept_id": link.kept_id,
            "jaccard": link.jaccard,
            "rule": link.rule,
            "source": one.source,
            "kept_source": other.source,
            "text": one.text[: report.TEXT_LIMIT],
            "kept_text": other.text[: report.TEXT_LIMIT],
        }
        return "pair", {"pair": report.with_difference(pair), "one": one, "other": other, "miss": is_miss(listed)}

    def _clusters(self, asked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        number = _page(asked)
        total, rows = self.index.clusters(number * ROWS, ROWS)
        _refuse_beyond(number, total)
        return "clusters", {"total": total, "rows": rows, "page": number}

    def _cluster(self, asked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        kept_row, number = _number(asked, "kept"), _page(asked)
        total, rows = self.index.members(kept_row, number * ROWS, ROWS)
        if not total:
            raise NotThere(str(asked))
        _refuse_beyond(number, total)
        documents = self.run.documents([kept_row, *(listed.link.row for listed in rows)])
        excerpts = {place: excerpt(document.text[:_EXCERPT], _EXCERPT) for place, document in documents.items()}
        one = documents.get(kept_row) or self.run.both(rows[0].link)[1]
        excerpts.setdefault(kept_row, "")
        values = {"total": total, "rows": rows, "page": number, "one": one, "excerpts": excerpts}
        return "cluster", values


_NOTHING = {"kind": "removed", "order": "least", "search": "", "words": "", "page": 0, "text_limit": report.TEXT_LIMIT}


def _link(path: str, **values: object) -> Markup:
    """Return an address for an attribute: nothing of a user stands in it as it is."""
    return Markup(path.lstrip("/") + "?" + urlencode(values).replace("&", "&amp;").replace("'", "%27"))


def _attribute(text: str) -> Markup:
    """Return a text for an attribute, where an element that marks what hides could not stand."""
    return escape(text)


def _paging(page: int, total: int) -> dict[str, int | None]:
    """Return first and last row shown, from 1, and the pages before and after, where there are such."""
    last = min(total, (page + 1) * ROWS)
    return {
        "first": min(total, page * ROWS + 1),
        "last": last,
        "before": page - 1 if page else None,
        "after": page + 1 if last < total else None,
    }


def _refuse_beyond(page: int, total: int) -> None:
    """Raise NotThere for a page behind the last; the first is there for an empty list too."""
    if page and page * ROWS >= total:
        raise NotThere(f"page {page} of {total} rows")


def _page(asked: Mapping[str, str]) -> int:
    return _number(asked, "page") if "page" in asked else 0


def _number(asked: Mapping[str, str], name: str) -> int:
    text = asked.get(name, "")
    digits = text.removeprefix("-") if name == "kept" else text  # of documents of an index, rows are negative
    if not text.isascii() or not digits.isdigit() or len(text) > 16:  # with ROWS to a page still a number of SQLite's
        raise NotThere(str(asked))
    return int(text)
