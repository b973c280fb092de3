"""The contract between the stages: every table that one stage writes and another reads, its columns (those that
`columns` names), and its place.

A stage gets the `Workspace`, or tables of it, and knows no other stage's file names. All tables but the results lie in
the output folder's scratch, which goes when the run ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.dedup.columns import (
    BEST_OF_COPIES,
    CANDIDATES,
    COPIES,
    DECISIONS,
    GROUPS,
    LINKS,
    MASK,
    PAIRS,
    REMOVED_COLUMNS,
    SIMILAR_PAIRS,
    SIZED_GROUPS,
    removed_schema,
    signature_schema,
)
from sparkprep.dedup.contents import KEPT, REMOVED
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet import reading as parquet
from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.io.listing import DataFile
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.spark.progress import Progress
from sparkprep.spark.tables import Table

MOST_SEARCHES = 10
"""Two or three are usual where buckets are oversized, one where they are not."""


@dataclass(frozen=True)
class CandidateTables:
    """What a search of the buckets writes."""

    folder: str

    @property
    def buckets(self) -> Table:
        """What the buckets hold, those within the cap searched."""
        return Table(join_path(self.folder, "buckets"), CANDIDATES)

    @property
    def split(self) -> Table:
        """The same of oversized buckets, split by further bands; only where there are any."""
        return Table(join_path(self.folder, "split"), CANDIDATES)

    @property
    def ordered(self) -> Table:
        """The same of buckets too large even so, compared along the keep order; only where there are any."""
        return Table(join_path(self.folder, "ordered"), CANDIDATES)

    @property
    def hot(self) -> Table:
        """The mask of the documents in oversized buckets."""
        return Table(join_path(self.folder, "hot"), MASK)

    @property
    def still_hot(self) -> Table:
        """The mask of those whose buckets the further bands did not split."""
        return Table(join_path(self.folder, "still_hot"), MASK)

    @property
    def all(self) -> tuple[Table, ...]:
        """The tables of (kind, a, b) that together hold the candidates; not all of them need be there."""
        return self.buckets, self.split, self.ordered


@dataclass(frozen=True)
class ComparisonPart:
    """Groups of documents to compare, and the similar pairs in them."""

    folder: str
    long_texts: bool
    """whether the groups hold texts of LONG_TEXT bytes and more, which go to Python one by one"""

    @property
    def groups(self) -> Table:
        return Table(join_path(self.folder, "groups"), GROUPS)

    @property
    def pairs(self) -> Table:
        """The pairs at or above the threshold; only where there are groups."""
        return Table(join_path(self.folder, "pairs"), SIMILAR_PAIRS)


@dataclass(frozen=True)
class Comparison:
    """The tables of one exact comparison of pairs."""

    folder: str

    @property
    def sized_groups(self) -> Table:
        """All groups, before they are told apart by size (on the cluster only)."""
        return Table(join_path(self.folder, "sized_groups"), SIZED_GROUPS)

    @property
    def ordinary(self) -> ComparisonPart:
        return ComparisonPart(join_path(self.folder, "ordinary"), long_texts=False)

    @property
    def long(self) -> ComparisonPart:
        return ComparisonPart(join_path(self.folder, "long"), long_texts=True)

    @property
    def pairs(self) -> tuple[Table, Table]:
        """The tables of similar pairs; not all of them need be there."""
        return self.ordinary.pairs, self.long.pairs


@dataclass(frozen=True)
class Search:
    """The tables of one search of the buckets, and of what is compared and decided after it. The first is search 0."""

    folder: str
    id_type: T.DataType

    @property
    def left_out(self) -> Table:
        """The mask of the documents that are not searched again, being removed; none for search 0."""
        return Table(join_path(self.folder, "left_out"), MASK)

    @property
    def candidates(self) -> CandidateTables:
        """What this search finds; what search 0 finds lies in `Workspace.candidates`, from which all start."""
        return CandidateTables(join_path(self.folder, "candidates"))

    @property
    def pairs(self) -> Table:
        """The distinct candidate pairs that no earlier search had (on the cluster only)."""
        return Table(join_path(self.folder, "pairs"), PAIRS)

    @property
    def comparison(self) -> Comparison:
        """The comparison of these pairs."""
        return Comparison(join_path(self.folder, "comparison"))

    @property
    def edges(self) -> Table:
        """The similar pairs of all searches so far, once in each direction (on the cluster only, as all below)."""
        return Table(join_path(self.folder, "edges"), SIMILAR_PAIRS)

    def star_round(self, number: int) -> Table:
        """Return the links after so many rounds of `stars`."""
        return Table(join_path(self.folder, "stars", f"round-{number:02d}"), LINKS)

    @property
    def near(self) -> Table:
        """The decisions about documents that no exact copy stands for."""
        return Table(join_path(self.folder, "near"), DECISIONS)

    @property
    def removed(self) -> Table:
        """The removed documents, exact copies included."""
        return Table(join_path(self.folder, "removed"), removed_schema(self.id_type))

    @property
    def unjoined(self) -> Comparison:
        """The comparison of removed documents with their kept ones where no edge joins them (rule `component`)."""
        return Comparison(join_path(self.folder, "unjoined"))

    @property
    def completed(self) -> Table:
        """`removed` with the similarities of `unjoined`."""
        return Table(join_path(self.folder, "completed"), removed_schema(self.id_type))


@dataclass
class Workspace:
    """One run's surroundings: the session, the settings, the input as opened, and all its tables."""

    spark: SparkSession
    settings: Settings
    output: OutputFolder
    progress: Progress
    inputs: list[str]
    """what the user named"""
    files: list[DataFile]
    """the Parquet files that hold the documents, perhaps spooled from the input"""
    summary: InputSummary
    rejected: int = 0
    single_file: str | None = None
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def documents(self) -> DataFrame:
        """All documents, all columns, with KEY; Spark reads from disk only what a stage goes on to use."""
        return parquet.read(self.spark, self.files, self.summary)

    @cached_property
    def signatures(self) -> Table:
        return self._intermediate("signatures", signature_schema(self.documents.schema, self.settings))

    @property
    def candidates(self) -> CandidateTables:
        """The candidates of search 0."""
        return CandidateTables(join_path(self.output.scratch, "candidates"))

    def search(self, place: Literal["driver", "cluster"], number: int) -> Search:
        """Return the tables of that search, from 0, as the module of `resolve` writes them that works in that place.

        Each has its own: the cluster starts anew where the driver has given up.
        """
        return Search(join_path(self.output.scratch, place, f"search-{number}"), self._id_type)

    @property
    def copies(self) -> Table:
        """The exact copies (on the cluster only)."""
        return self._intermediate("copies", COPIES)

    @property
    def best_of_copies(self) -> Table:
        """The best of each set of exact copies (on the cluster only)."""
        return self._intermediate("best_of_copies", BEST_OF_COPIES)

    @property
    def removed_mask(self) -> Table:
        """The mask of the documents that are removed in the end."""
        return self._intermediate("removed_mask", MASK)

    @property
    def kept(self) -> Table:
        """The result: the input's rows and columns, without the removed rows."""
        return Table(self.result(KEPT), self.documents.drop(KEY).schema)

    @property
    def removed(self) -> Table:
        """The result: REMOVED_COLUMNS of each removed document."""
        schema = removed_schema(self._id_type)
        return Table(self.result(REMOVED), T.StructType([schema[name] for name in REMOVED_COLUMNS]))

    def result(self, name: str) -> str:
        """Return the path of something in the folder that becomes the output."""
        return join_path(self.output.work, name)

    @property
    def _id_type(self) -> T.DataType:
        return signature_schema(self.documents.schema, self.settings)["id"].dataType

    def _intermediate(self, name: str, schema: str | T.StructType) -> Table:
        return Table(join_path(self.output.scratch, name), schema)

    @property
    def cores(self) -> int:
        """Tasks that run at once; 8 where Spark does not say (Spark Connect)."""
        try:
            return int(self.spark.sparkContext.defaultParallelism)
        except (PySparkException, AttributeError):
            return 8
