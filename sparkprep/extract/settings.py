"""What extraction can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from sparkprep.errors import UserError, argument
from sparkprep.extract.archives import LIST_PREFIX
from sparkprep.extract.language_names import Languages
from sparkprep.kinds import Integer, Number, OneOf, Switch, Text
from sparkprep.options import Keywords, changed, check_options, option

EXTRACTOR_NAMES = ("blocks", "resiliparse", "all", "trafilatura")
"""`main_text.EXTRACTORS` has them; named here, where no parser of HTML is loaded."""
DEFAULT_EXTRACTOR = "blocks"
DEFAULT_LANGUAGE_SCORE = 0.5


@dataclass(frozen=True)
class ExtractSettings(Keywords):
    """How records become documents. Raises UserError on a value that cannot work."""

    extractor: str = option(
        DEFAULT_EXTRACTOR,
        "what tells the main text of a page: its blocks; resiliparse's rules; none (all); trafilatura, "
        "where it is installed",
        OneOf(EXTRACTOR_NAMES),
    )
    max_bytes: int = option(
        8_000_000, "bytes of a page, packed or not, beyond which it is too large", Integer(1_000, 200_000_000)
    )
    max_seconds: float = option(
        10.0, "seconds that the extraction of a page may take", Number(0, 3_600, above=True), "S"
    )
    keep_truncated: bool = option(False, "keep the pages that the crawler has cut short, or their server", Switch())
    language: Sequence[str] | None = option(
        None,
        "keep the documents in these languages, by codes or English names between commas (en or eng,German,zh-CN); "
        "count the others by language; all are kept where none is named",
        Languages(),
        "CODE",
    )
    language_score: float = option(
        DEFAULT_LANGUAGE_SCORE,
        "score from which a document is in the language that it seems to be in",
        Number(0, 1),
        "S",
    )
    site_boilerplate: str = option(
        "keep",
        "paragraphs that recur on most pages of a host within an archive (lines, of texts without paragraphs)",
        OneOf(("keep", "remove")),
    )
    site_pages: int = option(10, "different pages of a host on which such a paragraph must be", Integer(2))
    site_share: float = option(0.5, "share of the different pages of a host on which it must be", Number(0, 1), "S")
    list_prefix: str = option(
        LIST_PREFIX, "what stands before the `crawl-data/...` paths of a list of archives", Text(), "PLACE"
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.language is None and self.language_score != DEFAULT_LANGUAGE_SCORE:
            raise UserError(f"{argument('language_score')} says nothing without {argument('language')}")
        for name in ("site_pages", "site_share"):
            if self.site_boilerplate != "remove" and name in changed(self):
                needed = argument("site_boilerplate", "remove")
                raise UserError(f"{argument(name, getattr(self, name))} says nothing without {needed}")


class ExtractKeywords(TypedDict, total=False):
    """The fields of `ExtractSettings`, as a function takes them by keyword."""

    extractor: str
    max_bytes: int
    max_seconds: float
    keep_truncated: bool
    language: Sequence[str] | None
    language_score: float
    site_boilerplate: str
    site_pages: int
    site_share: float
    list_prefix: str
