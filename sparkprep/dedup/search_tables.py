"""The tables of one search of the buckets, and of what is compared and decided after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sparkprep.dedup.columns import (
    CANDIDATES,
    DECISIONS,
    GROUPS,
    KEYS,
    LINKS,
    NAMED_DECISIONS,
    PAIRS,
    ROW_HASHES,
    SIMILAR_PAIRS,
    SIZED_GROUPS,
)
from sparkprep.io.paths import join_path
from sparkprep.spark.tables import Table


@dataclass
class CandidateTables:
    """What a search of the buckets writes."""

    folder: str

    @cached_property
    def buckets(self) -> Table:
        """What the buckets hold, those within the cap searched."""
        return Table(join_path(self.folder, "buckets"), CANDIDATES)

    @cached_property
    def split(self) -> Table:
        """The same of oversized buckets, split by further bands; only where there are any."""
        return Table(join_path(self.folder, "split"), CANDIDATES)

    @cached_property
    def ordered(self) -> Table:
        """The same of buckets too large even so, compared along the keep order; only where there are any."""
        return Table(join_path(self.folder, "ordered"), CANDIDATES)

    @cached_property
    def hot(self) -> Table:
        """The documents in oversized buckets, addressed to the pieces."""
        return Table(join_path(self.folder, "hot"), KEYS)

    @cached_property
    def still_hot(self) -> Table:
        """Those whose buckets the further bands did not split, addressed to the pieces."""
        return Table(join_path(self.folder, "still_hot"), KEYS)

    @cached_property
    def all(self) -> tuple[Table, ...]:
        """The tables of (kind, a, b) that together hold the candidates; not all of them need be there."""
        return self.buckets, self.split, self.ordered


@dataclass
class ComparisonPart:
    """Groups of documents to compare, and the pairs compared in them."""

    folder: str
    long_texts: bool
    """whether the groups hold texts of LONG_TEXT bytes and more, which are brought together through files"""

    @property
    def texts_folder(self) -> str:
        """Where these texts lie."""
        return join_path(self.folder, "texts")

    def text_file(self, key: int) -> str:
        """Return the file of a document's text."""
        return join_path(self.texts_folder, f"{key}.parquet")

    @cached_property
    def groups(self) -> Table:
        """The groups, addressed to the pieces."""
        return Table(join_path(self.folder, "groups"), GROUPS)

    @cached_property
    def pairs(self) -> Table:
        """The pairs with their similarity; only where there are groups."""
        return Table(join_path(self.folder, "pairs"), SIMILAR_PAIRS)


@dataclass
class Comparison:
    """The tables of one exact comparison of pairs."""

    folder: str

    @cached_property
    def asked(self) -> Table:
        """The pairs that some threshold asks for and none has yet (of several, on the cluster)."""
        return Table(join_path(self.folder, "asked"), PAIRS)

    def answer(self, number: int) -> Table:
        """Return what one of the thresholds is answered (of several, on the cluster)."""
        return Table(join_path(self.folder, f"answer-{number}"), SIMILAR_PAIRS)

    @cached_property
    def sized_groups(self) -> Table:
        """All groups, before they are told apart by size (on the cluster only)."""
        return Table(join_path(self.folder, "sized_groups"), SIZED_GROUPS)

    @cached_property
    def ordinary(self) -> ComparisonPart:
        return ComparisonPart(join_path(self.folder, "ordinary"), long_texts=False)

    @cached_property
    def long(self) -> ComparisonPart:
        return ComparisonPart(join_path(self.folder, "long"), long_texts=True)

    @cached_property
    def pairs(self) -> tuple[Table, Table]:
        """The tables of compared pairs; not all of them need be there."""
        return self.ordinary.pairs, self.long.pairs


@dataclass
class Ties:
    """Documents that are equal in the keep order, and what tells them apart."""

    folder: str

    @cached_property
    def documents(self) -> Table:
        """These documents, addressed to the pieces."""
        return Table(join_path(self.folder, "documents"), KEYS)

    @cached_property
    def row_hashes(self) -> Table:
        """The hashes of their rows; only where there are any."""
        return Table(join_path(self.folder, "row_hashes"), ROW_HASHES)


@dataclass
class GraphTables:
    """A graph of similar pairs, and what brings its documents together by component and in keep order."""

    folder: str
    rounds: int | None = None
    """of `stars` until its components stood; None until they do"""

    @cached_property
    def edges(self) -> Table:
        """The pairs, once in each direction."""
        return Table(join_path(self.folder, "edges"), SIMILAR_PAIRS)

    @cached_property
    def ties(self) -> Ties:
        """What tells apart its documents that are equal in the keep order."""
        return Ties(join_path(self.folder, "ties"))

    def star_round(self, number: int) -> Table:
        """Return the links after so many rounds of `stars`."""
        return Table(join_path(self.folder, "stars", f"round-{number:02d}"), LINKS)


@dataclass
class Search:
    """The tables of one search of the buckets, and of what is compared and decided after it. The first is search 0."""

    folder: str

    @cached_property
    def left_out(self) -> Table:
        """The documents that are not searched again, being removed, addressed to the pieces; none for search 0."""
        return Table(join_path(self.folder, "left_out"), KEYS)

    @cached_property
    def candidates(self) -> CandidateTables:
        """What this search finds; what search 0 finds lies in `Workspace.candidates`, from which all start."""
        return CandidateTables(join_path(self.folder, "candidates"))

    @cached_property
    def pairs(self) -> Table:
        """The distinct candidate pairs that no earlier search had (on the cluster only)."""
        return Table(join_path(self.folder, "pairs"), PAIRS)

    @cached_property
    def ties(self) -> Ties:
        """What tells apart, among the documents with an edge or a copy, those that are equal in the keep order."""
        return Ties(join_path(self.folder, "ties"))

    @cached_property
    def graph(self) -> GraphTables:
        """The similar pairs of all searches so far (on the cluster only, as all below)."""
        return GraphTables(join_path(self.folder, "graph"))

    @cached_property
    def near(self) -> Table:
        """The decisions about documents that no exact copy stands for."""
        return Table(join_path(self.folder, "near"), DECISIONS)

    @cached_property
    def removed(self) -> Table:
        """The removed documents, exact copies included."""
        return Table(join_path(self.folder, "removed"), NAMED_DECISIONS)

    @cached_property
    def completed(self) -> Table:
        """`removed` with the similarities of those that no edge joins with their kept ones (rule `component`)."""
        return Table(join_path(self.folder, "completed"), NAMED_DECISIONS)
