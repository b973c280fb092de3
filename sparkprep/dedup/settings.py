"""What a run of near-duplicate removal can be told: each setting, its default and its meaning stand here once.

The command line, the table in the documentation and the report are made from this class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

from sparkprep.dedup.kernels.bands import Banding, check_bands, choose, in_sequence
from sparkprep.documents.jsonl.max_bad import max_bad_option
from sparkprep.errors import UserError, argument
from sparkprep.kinds import Integer, NumberOrSome, OneOf, Text
from sparkprep.options import Keywords, check_options, option
from sparkprep.parser import ORDER


@dataclass(frozen=True)
class Settings(Keywords):
    """Settings of one run. Raises UserError on a value that cannot work."""

    threshold: float = option(
        0.8,
        "Jaccard similarity from which two documents are near-duplicates, in (0, 1]; several make a result for each",
        NumberOrSome(0, 1, above=True),
        "J",
    )
    keep: str = option(
        "longest",
        "who stays: 'longest' (most characters), 'first' (smallest id), a column's name (smallest value) or "
        "-NAME (largest value); ties by id, then by a hash of the row",
        Text(),
        ORDER,
    )
    rule: str = option(
        "leader",
        "'leader': a document goes only if a kept one lies within the threshold; "
        "'component': one stays of each connected component",
        OneOf(("leader", "component")),
    )
    text_column: str = option("text", "column that holds the text", Text(), "NAME")
    id_column: str | None = option(
        None,
        "column that names a document (default: `id` where there is one, else the SHA-256 of the text)",
        Text(),
        "NAME",
    )
    source_column: str | None = option(
        None,
        "column whose values (the host of a URL) the report counts removals by (default: `url` where there is one)",
        Text(),
        "NAME",
    )
    shingle_words: int = option(5, "consecutive words in a shingle", Integer(1))
    bands: int | None = option(
        None, "bands of the LSH, for each threshold alike; chosen from it unless given with --rows", Integer(1)
    )
    rows: int | None = option(None, "slots in a band; chosen from the threshold unless given with --bands", Integer(1))
    seed: int = option(1, "seed of all hashing", Integer(0, (1 << 63) - 1))
    bucket_cap: int = option(200, "a bucket of more documents is split by further bands", Integer(2))
    bucket_leaders: int = option(
        1000,
        "in a bucket that further bands cannot split, a document is compared with this many others at most",
        Integer(1),
    )
    driver_budget: int = option(
        10_000_000,
        "most pairs that the driver holds in its memory (100 bytes each); more are handled on the cluster",
        Integer(0),
    )
    max_bad: str = max_bad_option()

    def __post_init__(self) -> None:
        check_options(self)
        if not self.keep.lstrip("-"):
            raise UserError(f"{argument('keep')} needs 'longest', 'first', a column's name or -NAME")
        if (self.bands is None) != (self.rows is None):
            raise UserError(
                f"{argument('bands')} and {argument('rows')} belong together: give both or neither; given, they serve "
                "each of several thresholds"
            )
        if self.bands is not None and self.rows is not None:
            check_bands(self.bands, self.rows)
        else:
            choose(self.threshold)

    @cached_property
    def banding(self) -> Banding:
        """The banding in force: the one given, or the one computed from the threshold."""
        if self.bands is not None and self.rows is not None:
            return in_sequence(self.bands, self.rows)
        return in_sequence(*choose(self.threshold))


class OtherKeywords(TypedDict, total=False):
    """The fields of `Settings` that serve every threshold, as a function takes them by keyword: for editors."""

    keep: str
    rule: str
    text_column: str
    id_column: str | None
    source_column: str | None
    shingle_words: int
    bands: int | None
    rows: int | None
    seed: int
    bucket_cap: int
    bucket_leaders: int
    driver_budget: int
    max_bad: str


class SettingsKeywords(OtherKeywords, total=False):
    """The fields of `Settings`, as a function takes them by keyword: for editors, which show them."""

    threshold: float
