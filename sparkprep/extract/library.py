"""Extraction as a library gives it: archives in, a result out that shows itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TextIO, Unpack

from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.documents.opening import place_of_output
from sparkprep.errors import UserError, argument
from sparkprep.extract.contents import DOCUMENTS, METRICS, REJECTED, SKIPPED
from sparkprep.extract.pipeline import extract
from sparkprep.extract.report.plots import figures_of
from sparkprep.extract.settings import ExtractKeywords, ExtractSettings
from sparkprep.io.files import exists
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import is_local, join_path, normalise, spark_uri
from sparkprep.options import from_keywords
from sparkprep.pages.drawing import Figures
from sparkprep.pages.reported import Reported
from sparkprep.spark.displays import display_for
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import read_parts
from sparkprep.units import counted, human_bytes

_KEYS = {"records": int, "without_document": dict, "parts": dict}


@dataclass(repr=False)
class ExtractResult(Reported):
    """What `extract_documents` returns. The DataFrames read what the run has written; nothing is computed again."""

    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with documents/, skipped/, rejected/, metrics.json and report.html"""
    spark: SparkSession = field(repr=False)

    @classmethod
    def open(cls, output: str | os.PathLike[str], spark: SparkSession | None = None) -> ExtractResult:
        """Return the result that an earlier run has left in a folder. Raises UserError where there is none."""
        folder = normalise(output)
        if not exists(join_path(folder, METRICS)):
            raise UserError(f"{folder}: holds no {METRICS}: name the output folder of such a run")
        figures = read_json(join_path(folder, METRICS), "name the output folder of such a run", _KEYS)
        return cls(figures, folder, spark or get_session("sparkprep extract"))

    @cached_property
    def documents(self) -> DataFrame:
        """id, url, text, title, language, language_score, declared_language, date, archive, offset, payload_bytes: one
        row for each document."""
        return self._read(DOCUMENTS)

    @cached_property
    def rejected(self) -> DataFrame:
        """archive, offset, bytes, url, reason, detail: one row for each damaged place, and page that was given up."""
        return self._read(REJECTED)

    @cached_property
    def skipped(self) -> DataFrame:
        """url, archive, offset, reason, detail: one row for each other page without a document."""
        return self._read(SKIPPED)

    def _read(self, name: str) -> DataFrame:
        """Read a folder of the result by Spark, or, where it may have no way to S3, by PyArrow in tasks."""
        folder = join_path(self.output, name)
        if is_local(folder):
            return self.spark.read.parquet(spark_uri(folder))
        return read_parts(self.spark, folder, self.metrics["parts"][name])

    def plots(self) -> Figures:
        """Return the report's figures for a notebook: documents by length, and by how much of their HTML is text."""
        return Figures(figures_of(self.metrics))

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it."""
        figures = self.metrics
        lost = ", ".join(f"{count:,} {reason}" for reason, count in figures["without_document"].items())
        return [
            ("archives", f"{figures['archives']:,}, {human_bytes(figures['archive_bytes'])}"),
            ("records", f"{figures['records']:,}: {figures['documents']:,} documents" + (f"; {lost}" if lost else "")),
            ("text", f"{human_bytes(figures['text_bytes'])}, out of {human_bytes(figures['payload_bytes'])} of HTML"),
            *(
                [("damaged", f"{counted(len(figures['damaged_archives']), 'archive')} (.rejected)")]
                if figures["damaged_archives"]
                else []
            ),
            ("output", f"{self.output} (.documents, .skipped, .rejected)"),
            ("report", f"{self.report} (.show_report())"),
        ]


def extract_documents(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: ExtractSettings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    resume: bool = False,
    **fields: Unpack[ExtractKeywords],
) -> ExtractResult:
    """Turn crawl archives into documents: the main text of each page of HTML.

    source: the path(s) of WARC or WET archives (plain, .gz, .zst), folders of them, patterns, or lists of paths such as
    Common Crawl's `warc.paths.gz`; local or s3://. settings: an `ExtractSettings`; its fields may be given as keywords
    too, which win. output: the folder to write; by default a temporary one that is deleted when Python exits. progress,
    stream, work, keep_work, resume: as for `deduplicate`, which takes what this returns. Raises UserError where input,
    a setting or the output cannot work, and where no record of any archive can be read.

    >>> from sparkprep import extract_documents
    >>> pages = extract_documents("crawl/*.warc.gz")             # doctest: +SKIP
    >>> pages.documents.count(), pages.metrics["without_document"]    # doctest: +SKIP
    """
    keywords = ("output", "overwrite", "spark", "progress", "stream", "work", "keep_work", "resume")
    settings = from_keywords(ExtractSettings, settings, fields, keywords)
    check_arguments(
        output=output,
        overwrite=overwrite,
        spark=spark,
        progress=progress,
        stream=stream,
        work=work,
        keep_work=keep_work,
        resume=resume,
    )
    paths = _paths(source)
    spark = spark or get_session("sparkprep extract")
    display, folder = stream or display_for(progress), normalise(place_of_output(output, resume))
    metrics = extract(
        spark,
        paths,
        folder,
        settings,
        overwrite=overwrite,
        stream=display,
        work=None if work is None else os.fspath(work),
        keep_work=keep_work,
        resume=resume,
    )
    if stream is None:
        Progress(spark, display).warn(metrics["warnings"])
    return ExtractResult(metrics, folder, spark)


def _paths(source: object) -> list[str]:
    """Return the paths that a program has handed over. Raises UserError for what is none."""
    given = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(given, Sequence) or not all(isinstance(path, str | os.PathLike) for path in given):
        raise UserError(f"{argument('source')} takes the path or paths of archives, not a {type(source).__name__}")
    if any(not os.fspath(path) for path in given):
        raise UserError(f"{argument('source')}: an empty value was given, as from a variable that is not set")
    return [os.fspath(path) for path in given]
