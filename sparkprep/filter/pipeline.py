"""Curation from end to end: documents in, kept and removed documents out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TextIO, Unpack

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.dedup.kernels.rank import has_order
from sparkprep.documents.keys import DEFAULT_SOURCE, id_column, named_column
from sparkprep.documents.opening import Given, Source, name_of, open_source, paths_of, place_of_output, source_of
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.documents.surroundings import Surroundings
from sparkprep.errors import UserError, argument
from sparkprep.filter import metrics, report
from sparkprep.filter.contents import KEPT, MADE, METRICS, REMOVED, REPORT
from sparkprep.filter.judging import LEAST_SOURCES, MOST_SOURCES, Columns, Tally, judged, removed_schema
from sparkprep.filter.questions import questions_of
from sparkprep.filter.result import FilterResult
from sparkprep.filter.settings import FilterKeywords, FilterSettings
from sparkprep.io.files import write_text
from sparkprep.io.listing import list_input
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.io.results import place_of
from sparkprep.options import from_keywords
from sparkprep.spark.displays import display_for
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.forecast import FILTER
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores, get_session
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import Form, Table, Written, split_writer
from sparkprep.spark.tasks import run


@dataclass(frozen=True)
class _Told:
    """What the task of a piece tells: its parts, and what it has counted."""

    written: list[Written]
    tally: Tally


def filter_documents(
    source: Given,
    settings: FilterSettings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    resume: bool = False,
    **fields: Unpack[FilterKeywords],
) -> FilterResult:
    """Keep the documents that published rules of curation let through.

    source: documents: the path(s) of Parquet or JSON Lines files or folders, what `deduplicate` returns or its folder
    or that of `sparkprep extract`, a DataFrame of Spark or pandas, a PyArrow table, a dataset of Hugging Face.
    settings: a `FilterSettings`; its fields may be given as keywords too, which win. output: the folder to write; by
    default a temporary one that is deleted when Python exits. progress: a bar, by default in a notebook alone,
    elsewhere lines in the log `sparkprep`; False: nothing but warnings there. stream: where to tell of it instead, as a
    program does on stderr. work: where documents that are written anew lie meanwhile, which all nodes of a cluster see;
    by default beside the output. keep_work: keep them where the run fails; the error says where. resume: go on from
    where an earlier run of the same has failed or was killed, if one has.

    Raises UserError where the input, a setting or the output cannot work, and where files hold no document.

    >>> from sparkprep import filter_documents
    >>> result = filter_documents(documents, rules="gopher-quality c4")     # doctest: +SKIP
    >>> result.kept.count(), result.metrics["rules"]                        # doctest: +SKIP
    """
    keywords = ("output", "overwrite", "spark", "progress", "stream", "work", "keep_work", "resume")
    settings = from_keywords(FilterSettings, settings, fields, keywords)
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
    documents = source_of(place_of(source))
    spark = spark or (documents.sparkSession if isinstance(documents, DataFrame) else get_session("sparkprep filter"))
    preflight(spark)
    told = Progress(spark, stream or display_for(progress), FILTER)
    place = place_of_output(output, resume)
    with OutputFolder(place, overwrite, paths_of(documents), MADE, work, keep_work, resume) as folder:
        with tasks_ended(spark), explained():
            figures = _open_and_run(spark, documents, settings, folder, told)
        folder.commit()
    told.warn(figures["warnings"])
    return FilterResult(figures, folder.path, spark)


def _open_and_run(
    spark: SparkSession, source: Source, settings: FilterSettings, folder: OutputFolder, progress: Progress
) -> dict[str, Any]:
    """Open the input, judge its documents, write what stays and what goes, and return the metrics."""
    listing = list_input(source, settings.text_column) if isinstance(source, list) else None
    stages = Stages(folder, progress, "filter", asdict(settings), listing, cores(spark))
    opened, columns = open_source(
        spark, source, listing, settings, folder, progress, stages, partial(_columns, settings=settings)
    )
    progress.expect(opened.summary.bytes)
    documents = plan(opened.summary, stages.tasks)
    form = Form("snappy", (columns.text,))
    kept = Table(join_path(folder.work, KEPT), documents.schema, form)
    removed = Table(join_path(folder.work, REMOVED), removed_schema(documents.schema), form)
    tally = stages.once(
        "filter",
        lambda: _filter(spark, documents, columns, settings, (kept, removed), progress, stages),
        (Tally,),
        (kept, removed),
    )
    _check(documents.summary.rows, tally, kept, removed, stages)
    opened.listing.check_unchanged()
    surroundings = Surroundings(
        job="filter",
        spark=spark.version,
        settings=settings,
        opened=opened,
        output=folder.path,
        paths=source if isinstance(source, list) else None,
        table=None if isinstance(source, list) else name_of(source),
        resumed=stages.figures(),
        fingerprint=stages.fingerprint,
        parts={KEPT: kept.manifest(), REMOVED: removed.manifest()},
    )
    return _report(surroundings, columns, tally, folder, progress)


def _columns(schema: pa.Schema, settings: FilterSettings) -> Columns:
    """Return the columns of an input. Raises UserError for one that is named and not there, or is no text."""
    source = named_column("source_column", settings.source_column, DEFAULT_SOURCE, schema.names)
    if source is not None and not has_order(schema.field(source).type):
        if settings.source_column is not None:
            kind = schema.field(source).type
            raise UserError(f"{argument('source_column')}: column {source!r} ({kind}) is no text; name another")
        source = None
    return Columns(settings.text_column, id_column(settings.id_column, schema.names), source)


def _filter(
    spark: SparkSession,
    documents: Documents,
    columns: Columns,
    settings: FilterSettings,
    tables: tuple[Table, Table],
    progress: Progress,
    stages: Stages,
) -> Tally:
    """Write kept/ and removed/, a part of each for every piece."""
    write_parts, questions = split_writer(tables), questions_of(settings)
    sources = max(LEAST_SOURCES, MOST_SOURCES // max(1, len(documents.pieces)))
    notes = stages.notes("filter", tables, (_Told, Tally))

    def judge(number: int) -> _Told:
        tally = Tally()
        written = write_parts(number, judged(documents, number, columns, settings, questions, tally))
        tally.forget_sources(sources)
        return _Told(written, tally)

    def task(number: int) -> Iterator[_Told]:
        yield notes.once(number, lambda: judge(number))

    whole = Tally()
    with progress.stage("filter", documents.summary.rows) as stage:
        told = run(spark, range(len(documents.pieces)), task)
        for each in told:
            whole.add(each.tally)
        stage.bytes = whole.text_bytes
    for which, table in enumerate(tables):
        table.note(each.written[which] for each in told)
    return whole


def _check(rows: int, whole: Tally, kept: Table, removed: Table, stages: Stages) -> None:
    """Let both folders hold their parts and no others; check that no document got lost on the way."""
    for table in (kept, removed):
        if not table.rows:
            table.save_empty()
    stages.sweep((kept, removed))
    gone = sum(whole.by_rule.values())
    if not kept.rows + removed.rows == rows == whole.documents or removed.rows != gone:
        raise RuntimeError(
            f"{rows:,} documents went in, but {kept.rows:,} were kept and {removed.rows:,} removed ({gone:,} were to "
            "be): nothing was put in place; please report this"
        )


def _report(
    surroundings: Surroundings[FilterSettings],
    columns: Columns,
    tally: Tally,
    folder: OutputFolder,
    progress: Progress,
) -> dict[str, Any]:
    """Write metrics.json and report.html, and return the metrics."""
    with progress.reporting() as so_far:
        figures = metrics.build(surroundings, columns, tally)
        figures |= so_far()
        report.write(join_path(folder.work, REPORT), figures, report.borderline(tally, surroundings.settings))
        write_text(join_path(folder.work, METRICS), json.dumps(figures, indent=1) + "\n")
    return figures
