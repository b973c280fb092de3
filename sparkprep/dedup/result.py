"""What a run of near-duplicate removal leaves behind, to be looked at: its figures, its tables, its report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Self

from pyspark.sql import DataFrame, SparkSession

from sparkprep.dedup import wording
from sparkprep.dedup.audit.removed import removed_with_text
from sparkprep.dedup.contents import KEPT, METRICS, REMOVED
from sparkprep.dedup.report.plots import figures_of
from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import is_local, join_path, normalise, spark_uri
from sparkprep.io.results import refuse_several, results_in
from sparkprep.pages.drawing import Figures
from sparkprep.pages.reported import Reported
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import read_parts


@dataclass(repr=False)
class KeptAndRemoved(Reported):
    """A result folder of kept and removed documents. The DataFrames read what the run has written."""

    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with kept/, removed/, metrics.json and report.html"""
    spark: SparkSession

    _own: ClassVar[Mapping[str, type]] = {}
    """what metrics.json of such a run has, and that of no other"""

    @classmethod
    def open(cls, output: str | os.PathLike[str], spark: SparkSession | None = None) -> Self:
        """Return the result that an earlier run has left in a folder. Raises UserError where there is none."""
        folder = normalise(output)
        if not exists(join_path(folder, METRICS)):
            raise UserError(f"{folder}: holds no {METRICS}: name the output folder of such a run")
        refuse_several(folder)
        keys = {"counts": dict, "settings": dict, "parts": dict, **cls._own}
        figures = read_json(join_path(folder, METRICS), "name the output folder of such a run", keys)
        return cls(figures, folder, spark or get_session("sparkprep"))

    @cached_property
    def kept(self) -> DataFrame:
        """The input's rows and columns, without the removed rows."""
        return self._read(KEPT)

    @cached_property
    def removed(self) -> DataFrame:
        """The removed documents, a row for each."""
        return self._read(REMOVED)

    def _read(self, name: str) -> DataFrame:
        """Read a folder of the result by Spark, or, where it may have no way to S3, by PyArrow in tasks."""
        folder = join_path(self.output, name)
        if is_local(folder):
            return self.spark.read.parquet(spark_uri(folder))
        return read_parts(self.spark, folder, self.metrics["parts"][name])


@dataclass(repr=False)
class Result(KeptAndRemoved):
    """What `deduplicate` returns. The DataFrames read what the run has written; nothing is computed again.

    removed: id, kept_id, jaccard, rule: one row for each removed document; with an index also kept_crawl.
    """

    _own = MappingProxyType({"candidates": dict})

    def removed_with_text(self) -> DataFrame:
        """Return removed/ with texts: id, kept_id, jaccard, rule, text, its url or source, kept_text.

        Read by their places from what the run has kept in the result, when it is used: identifiers may be of any type,
        repeated or absent, and the input may be gone; kept_text is null where the kept document is of an earlier crawl.
        Raises UserError for a result of a version that kept no removed
        rows.
        """
        return removed_with_text(self.spark, self.output, self.metrics)

    def plots(self) -> Figures:
        """Return the report's figures for a notebook: how likely a pair is found, pairs by similarity, clusters."""
        return Figures({name: svg for name, svg in figures_of(self.metrics).items() if svg})

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it, five lines."""
        counts, settings, recall = self.metrics["counts"], self.metrics["settings"], self.metrics["recall"]
        share = f"{100 * counts['removed'] / counts['input']:.1f} %" if counts["input"] else "-"
        rejected = f", {counts['rejected']:,} rejected" if counts["rejected"] else ""
        found = "no pair was found"
        if recall["estimate"] is not None:
            found = wording.recall(recall)
        return [
            (
                "documents",
                f"{counts['input']:,}: {counts['kept']:,} kept, {counts['removed']:,} removed ({share}; "
                f"{counts['exact']:,} exact, {counts['near']:,} near){rejected}",
            ),
            ("threshold", f"{settings['threshold']:g}, rule {settings['rule']}, keep {settings['keep']}"),
            ("recall", found),
            ("output", f"{self.output} (.kept, .removed, .removed_with_text())"),
            ("report", f"{self.report} (.show_report())"),
        ]


@dataclass(repr=False, eq=False)
class ThresholdResults(Reported, Mapping[float, Result]):
    """What `deduplicate` returns for several thresholds: threshold -> `Result`, in ascending order.

    >>> results = deduplicate(documents, threshold=[0.7, 0.8, 0.9])   # doctest: +SKIP
    >>> {at: result.kept.count() for at, result in results.items()}   # doctest: +SKIP
    """

    metrics: dict[str, Any]
    """what metrics.json above the results holds: the counts of each threshold"""
    output: str
    """the folder with a result for each threshold, metrics.json and report.html, which compare them"""
    spark: SparkSession

    @classmethod
    def open(cls, output: str | os.PathLike[str], spark: SparkSession | None = None) -> Self:
        """Return what an earlier run with several thresholds has left. Raises UserError where there is none."""
        folder = normalise(output)
        if not results_in(folder):
            raise UserError(f"{folder}: holds no results of several thresholds: name the output folder of such a run")
        figures = read_json(join_path(folder, METRICS), "name the output folder of such a run")
        return cls(figures, folder, spark or get_session("sparkprep"))

    @cached_property
    def _results(self) -> dict[float, Result]:
        return {
            each["threshold"]: Result.open(join_path(self.output, each["folder"]), self.spark)
            for each in self.metrics["thresholds"]
        }

    def __getitem__(self, threshold: float) -> Result:
        return self._results[threshold]

    def __iter__(self) -> Iterator[float]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of them: a line for each threshold, and where they lie."""
        lines = [
            (f"{each['threshold']:g}", f"{counts['kept']:,} kept, {counts['removed']:,} removed")
            for each in self.metrics["thresholds"]
            for counts in [each["counts"]]
        ]
        documents = self.metrics["thresholds"][0]["counts"]["input"]
        return [
            ("documents", f"{documents:,}"),
            *lines,
            ("output", f"{self.output} ([{lines[0][0]}] and so on)"),
            ("report", f"{self.report} (.show_report())"),
        ]
