"""The contract between the stages: every table that one stage of a run writes and another reads, and its place.

A stage gets the `Workspace`, or tables of it, and knows no other stage's file names. All tables but the results lie in
the run's scratch, which driver and tasks both see, and which goes when the run ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from pyspark.sql import SparkSession

from sparkprep.dedup.columns import (
    BANDS,
    BEST_OF_COPIES,
    COPIES,
    NAMED_DECISIONS,
    REMOVED_KEYS,
    pairs_schema,
    removed_schema,
    signatures_schema,
)
from sparkprep.dedup.contents import AUDIT_PAIRS, AUDIT_ROWS, KEPT, REMOVED
from sparkprep.dedup.index.indexed import IndexedDocuments
from sparkprep.dedup.kernels.bands import Banding
from sparkprep.dedup.kernels.buckets import NOTHING_DECIDED, Standing
from sparkprep.dedup.search_tables import CandidateTables, Comparison, GraphTables, Search, Ties
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns
from sparkprep.dedup.thresholds import folder_of
from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.listing import Listing
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import RESULT, Form, Table

MOST_SEARCHES = 10
"""Two or three are usual where buckets are oversized, one where they are not."""

AUDIT_GROUP_BYTES = 4 << 20
"""Of removed rows in a row group: they are written beside kept/, and looked at one by one."""


@dataclass
class Workspace:
    """One run's surroundings: the session, the settings, the input as opened, and all its tables."""

    spark: SparkSession
    settings: Settings
    output: OutputFolder
    progress: Progress
    inputs: list[str] | None
    """what the user named; None for a DataFrame"""
    listing: Listing
    """its files"""
    documents: Documents
    """the Parquet files that hold the documents, perhaps spooled from the input, as tasks read them; and the index's"""
    columns: Columns
    stages: Stages
    text_bytes: int = 0
    """of all documents, once they are read"""
    rejected: int = 0
    single_file: str | None = None
    table: str | None = None
    """what held the documents, where they were no files"""
    sample: dict[str, Any] | None = None
    """which embedded subset the input is, if one"""
    warnings: list[str] = field(default_factory=list)
    scans: list[dict[str, Any]] = field(default_factory=list)
    """passes over the documents so far, of all thresholds together (`note_scan`)"""
    thresholds: tuple[float, ...] = ()
    """of the run, where it was asked for several, to begin with that of the settings"""
    place: str = ""
    """the folder of a view's tables, in the scratch and in the output; of the run itself none"""
    index: IndexedDocuments | None = None
    """the documents of earlier crawls, where the run has an index"""
    index_figures: dict[str, Any] | None = None
    """what the run has done with it, for the metrics"""
    inner: str | None = None
    """where the tables of the result go, if they are not wanted as such"""
    _searches: dict[tuple[str, int], Search] = field(default_factory=dict)

    @property
    def summary(self) -> InputSummary:
        return self.documents.summary

    @property
    def standing(self) -> Standing:
        """Which keys are those of documents that were decided on before."""
        return self.index.standing if self.index else NOTHING_DECIDED

    @property
    def own_pieces(self) -> range:
        """The pieces of the input."""
        return range(self.index.own_pieces if self.index else len(self.documents.pieces))

    @cached_property
    def each(self) -> list[Workspace]:
        """The run for each of its thresholds: where there are several, views of it; where there is one, itself.

        To be asked for when the signature rows are there, which the views share, as they do the session and the input.
        """
        if not self.thresholds:
            return [self]
        views = [
            replace(
                self, settings=settings, place=folder_of(settings.threshold), warnings=list(self.warnings), _searches={}
            )
            for settings in self._settings
        ]
        for view in views:
            view.signatures = self.signatures
        return views

    @property
    def _settings(self) -> list[Settings]:
        return [replace(self.settings, threshold=at) for at in self.thresholds] or [self.settings]

    @property
    def bandings(self) -> dict[str, Banding]:
        """The columns of band keys that the signature rows have, each once, and what is in them."""
        return {self._bands_of(settings.banding): settings.banding for settings in self._settings}

    @property
    def bands(self) -> str:
        """The one of these columns that is searched."""
        return self._bands_of(self.settings.banding)

    def _bands_of(self, banding: Banding) -> str:
        return f"{BANDS}_{banding.bands}x{banding.rows}" if self.thresholds else BANDS

    def note_scan(self, stage: str, pieces: Iterable[int], columns: Sequence[str]) -> None:
        """Note that tasks read these columns of these pieces of the documents, each once.

        Counted are the rows that are decoded, those before the piece's own in a row group that was cut among them.
        """
        spans = (span for piece in pieces for span in self.documents.pieces[piece].spans)
        rows = sum(span.skip + span.rows for span in spans)
        passes = round(rows / self.summary.rows, 4) if self.summary.rows else 0.0
        self.scans.append({"stage": stage, "documents": rows, "passes": passes, "columns": list(columns)})

    @cached_property
    def signatures(self) -> Table:
        """The signature rows, a part for each piece of the documents."""
        return self._intermediate("signatures", signatures_schema(self.bandings))

    @property
    def own_signatures(self) -> Table:
        """Those of the input alone, once they are written."""
        return self.signatures.limited(self.own_pieces)

    @cached_property
    def candidates(self) -> CandidateTables:
        """The candidates of search 0."""
        return CandidateTables(self._scratch("candidates"))

    def search(self, place: Literal["driver", "cluster"], number: int) -> Search:
        """Return the tables of that search, from 0, as the module of `resolve` writes them that works in that place.

        Each has its own: the cluster starts anew where the driver has given up.
        """
        return self._searches.setdefault((place, number), Search(self._scratch(place, f"search-{number}")))

    def comparison(self, place: Literal["driver", "cluster"], number: int) -> Comparison:
        """Return the tables of that comparison of the run, from 0: of all thresholds together."""
        return Comparison(join_path(self.output.scratch, place, f"comparison-{number}"))

    @cached_property
    def copies(self) -> Table:
        """The exact copies (on the cluster only)."""
        return self._intermediate("copies", COPIES)

    @cached_property
    def ties_of_copies(self) -> Ties:
        """What tells apart exact copies that are equal in the keep order (on the cluster only)."""
        return Ties(self._scratch("ties_of_copies"))

    @cached_property
    def best_of_copies(self) -> Table:
        """The best of each set of exact copies (on the cluster only)."""
        return self._intermediate("best_of_copies", BEST_OF_COPIES)

    @cached_property
    def misses(self) -> Table:
        """The near misses (on the cluster only)."""
        return self._intermediate("misses", NAMED_DECISIONS)

    @cached_property
    def ties_of_misses(self) -> Ties:
        """What tells apart the documents of near misses that are equal in the keep order (on the cluster only)."""
        return Ties(self._scratch("ties_of_misses"))

    @cached_property
    def levels(self) -> GraphTables:
        """The pairs down to the near misses, by which other thresholds are tried (on the cluster only)."""
        return GraphTables(self._scratch("levels"))

    @cached_property
    def removed_keys(self) -> Table:
        """The documents that are removed in the end, addressed to the pieces."""
        return self._intermediate("removed_keys", REMOVED_KEYS)

    @cached_property
    def ties_of_index(self) -> Ties:
        """What tells apart all documents that are equal in the keep order, for the index."""
        return Ties(self._scratch("ties_of_index"))

    @cached_property
    def kept(self) -> Table:
        """The result: the input's rows and columns, without the removed rows; a part for each piece."""
        return Table(self.result(KEPT), self.documents.schema, Form("snappy", (self.columns.text,)))

    @cached_property
    def removed(self) -> Table:
        """The result: REMOVED_COLUMNS of each removed document."""
        return Table(self.result(REMOVED), removed_schema(self.id_type, self.index is not None), RESULT)

    @cached_property
    def removed_rows(self) -> Table:
        """The result: the input's removed rows, as they came; a part for each piece."""
        form = Form("snappy", (self.columns.text,), row_group_bytes=AUDIT_GROUP_BYTES)
        return Table(self.result(AUDIT_ROWS), self.documents.schema, form)

    @cached_property
    def pairs(self) -> Table:
        """The result: which document was removed for which, and the near misses, by the rows' places."""
        return Table(self.result(AUDIT_PAIRS), pairs_schema(self.id_type, self.index is not None), RESULT)

    @property
    def results(self) -> dict[str, Table]:
        """The tables of the result, by the names of their folders in it."""
        return {KEPT: self.kept, REMOVED: self.removed, AUDIT_ROWS: self.removed_rows, AUDIT_PAIRS: self.pairs}

    @property
    def id_type(self) -> pa.DataType:
        """The type of the documents' identifiers, which removed/ has too."""
        return self.documents.schema.field(self.columns.id).type if self.columns.id else pa.string()

    def result(self, name: str) -> str:
        """Return the path of something in the folder that becomes the output."""
        return join_path(self.inner or self.output.work, *filter(None, (self.place, name)))

    def _scratch(self, *names: str) -> str:
        return join_path(self.output.scratch, *filter(None, (self.place, *names)))

    def _intermediate(self, name: str, schema: pa.Schema) -> Table:
        return Table(self._scratch(name), schema)

    @property
    def cores(self) -> int:
        """Tasks that run at once."""
        return cores(self.spark)
