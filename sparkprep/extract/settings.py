"""What extraction can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from sparkprep.options import Integer, Keywords, Number, OneOf, Switch, Text, check_options, option

EXTRACTOR_NAMES = ("blocks", "resiliparse", "all", "trafilatura")
"""`main_text.EXTRACTORS` has them; named here, where no parser of HTML is loaded."""
DEFAULT_EXTRACTOR = "blocks"


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
    list_prefix: str = option(
        "s3://commoncrawl/", "what stands before the `crawl-data/...` paths of a list of archives", Text(), "PLACE"
    )

    def __post_init__(self) -> None:
        check_options(self)


class ExtractKeywords(TypedDict, total=False):
    """The fields of `ExtractSettings`, as a function takes them by keyword."""

    extractor: str
    max_bytes: int
    max_seconds: float
    keep_truncated: bool
    list_prefix: str
