"""Decontamination from end to end: documents and evaluation sets in, documents without these out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TextIO, Unpack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.decontaminate import metrics, report
from sparkprep.decontaminate.contents import AUDIT, KEPT, MADE, METRICS, REMOVED, REPORT
from sparkprep.decontaminate.index import Index, Searched, read_index
from sparkprep.decontaminate.kernels.grams import I64
from sparkprep.decontaminate.result import DecontaminateResult
from sparkprep.decontaminate.searching import COUNTS, Columns, Search, audit_schema, audited, clean
from sparkprep.decontaminate.settings import REPORT_ONLY, DecontaminateKeywords, DecontaminateSettings
from sparkprep.decontaminate.tally import Tally
from sparkprep.documents.keys import id_column
from sparkprep.documents.opening import Given, Source, name_of, open_source, paths_of, place_of_output, source_of
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.documents.surroundings import Surroundings
from sparkprep.io.files import write_text
from sparkprep.io.listing import list_input
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.io.results import place_of
from sparkprep.options import from_keywords
from sparkprep.spark.displays import display_for
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.forecast import COUNT, DECONTAMINATE
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores, get_session
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import INTERMEDIATE, Form, Table, Written, split_writer
from sparkprep.spark.tasks import run

_COUNTS = "counts"


@dataclass(frozen=True)
class _Told:
    """What the task of a piece tells: its parts, and what it has counted."""

    written: list[Written]
    tally: Tally


@dataclass(frozen=True)
class _Tables:
    """What a run writes. found: the documents that hold something: removed/, or audit/ where all stay."""

    kept: Table
    found: Table
    counts: Table
    found_name: str


def decontaminate_documents(
    source: Given,
    settings: DecontaminateSettings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    resume: bool = False,
    **fields: Unpack[DecontaminateKeywords],
) -> DecontaminateResult:
    """Remove the documents that hold long runs of words of evaluation sets, and tell of which questions.

    source: documents: the path(s) of Parquet or JSON Lines files or folders, what `deduplicate` or another step returns
    or its folder, a DataFrame of Spark or pandas, a PyArrow table, a dataset of Hugging Face. settings: a
    `DecontaminateSettings`; its fields may be given as keywords too, which win. output: the folder to write; by default
    a temporary one that is deleted when Python exits. progress: a bar, by default in a notebook alone, elsewhere lines
    in the log `sparkprep`; False: nothing but warnings there. stream: where to tell of it instead, as a program does on
    stderr. work: where intermediate tables lie meanwhile, which all nodes of a cluster see; by default beside the
    output. keep_work: keep them where the run fails; the error says where. resume: go on from where an earlier run of
    the same has failed or was killed, if one has.

    Raises UserError where the input, a benchmark, a setting or the output cannot work, and where files hold no
    document.

    >>> from sparkprep import decontaminate_documents
    >>> result = decontaminate_documents(documents, benchmark="hellaswag_val.jsonl")    # doctest: +SKIP
    >>> result.kept.count(), result.metrics["benchmarks"]                               # doctest: +SKIP
    """
    keywords = ("output", "overwrite", "spark", "progress", "stream", "work", "keep_work", "resume")
    settings = from_keywords(DecontaminateSettings, settings, fields, keywords)
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
    index, searched = read_index(settings)  # before Spark starts: a file may not be what its name says
    spark = spark or (
        documents.sparkSession if isinstance(documents, DataFrame) else get_session("sparkprep decontaminate")
    )
    preflight(spark)
    costs = DECONTAMINATE if settings.most_documents is None else {**COUNT, **DECONTAMINATE}
    told = Progress(spark, stream or display_for(progress), costs)
    place = place_of_output(output, resume)
    with OutputFolder(place, overwrite, paths_of(documents), MADE, work, keep_work, resume) as folder:
        with tasks_ended(spark), explained():
            figures = _open_and_run(spark, documents, settings, (index, searched), folder, told)
        folder.commit()
    told.warn(figures["warnings"])
    return DecontaminateResult(figures, folder.path, spark)


def _open_and_run(
    spark: SparkSession,
    source: Source,
    settings: DecontaminateSettings,
    benchmarks: tuple[Index, list[Searched]],
    folder: OutputFolder,
    progress: Progress,
) -> dict[str, Any]:
    """Open the input, search its documents, write what stays and what goes, and return the metrics."""
    index, searched = benchmarks
    listing = list_input(source, settings.text_column) if isinstance(source, list) else None
    options = {**asdict(settings), "benchmark_files": [each.sha256 for each in searched]}
    stages = Stages(folder, progress, "decontaminate", options, listing, cores(spark))
    opened, columns = open_source(
        spark, source, listing, settings, folder, progress, stages, partial(_columns, settings=settings)
    )
    progress.expect(opened.summary.bytes)
    documents = plan(opened.summary, stages.tasks)
    tables = _tables(documents.schema, columns, settings, folder)
    shared = spark.sparkContext.broadcast(index)
    try:
        held, ignored = None, None
        if settings.most_documents is not None:
            stages.once(
                "count", lambda: _count(spark, documents, columns, shared, tables.counts, progress), (), [tables.counts]
            )
            held = _sums(tables.counts, index.size)
            ignored = held > settings.most_documents
        written = [tables.kept, tables.found, *([tables.counts] if ignored is None else [])]
        tally = stages.once(
            "search",
            lambda: _search(spark, documents, columns, settings, shared, ignored, written, progress, stages),
            (Tally,),
            written,
        )
    finally:
        shared.destroy()
    _check(documents.summary.rows, tally, tables, settings, stages)
    if held is None:
        held = _sums(tables.counts, index.size)
    opened.listing.check_unchanged()
    parts = {KEPT: tables.kept.manifest(), tables.found_name: tables.found.manifest()}
    if settings.mode == REPORT_ONLY:
        nothing = Table(join_path(folder.work, REMOVED), tables.found.schema, tables.found.form)
        nothing.save_empty()
        parts[REMOVED] = nothing.manifest()
    surroundings = Surroundings(
        job="decontaminate",
        spark=spark.version,
        settings=settings,
        opened=opened,
        output=folder.path,
        paths=source if isinstance(source, list) else None,
        table=None if isinstance(source, list) else name_of(source),
        resumed=stages.figures(),
        fingerprint=stages.fingerprint,
        parts=parts,
    )
    return _report(surroundings, tally, index, searched, held, folder, progress)


def _columns(schema: pa.Schema, settings: DecontaminateSettings) -> Columns:
    """Return the columns of an input. Raises UserError for one that is named and not there."""
    return Columns(settings.text_column, id_column(settings.id_column, schema.names))


def _tables(schema: pa.Schema, columns: Columns, settings: DecontaminateSettings, folder: OutputFolder) -> _Tables:
    form = Form("snappy", (columns.text,))
    name = AUDIT if settings.mode == REPORT_ONLY else REMOVED
    return _Tables(
        Table(join_path(folder.work, KEPT), schema, form),
        Table(join_path(folder.work, name), audit_schema(schema), form),
        Table(join_path(folder.scratch, _COUNTS), COUNTS, INTERMEDIATE),
        name,
    )


def _count(
    spark: SparkSession,
    documents: Documents,
    columns: Columns,
    shared: Broadcast[Index],
    counts: Table,
    progress: Progress,
) -> None:
    """Read the texts, and write how many documents hold each n-gram."""

    def task(number: int) -> Iterator[pa.RecordBatch]:
        yield from Search(shared.value, columns, None).counted(documents, number)

    with progress.stage("count", documents.summary.rows):
        counts.write_tasks(spark, range(len(documents.pieces)), task)


def _sums(counts: Table, size: int) -> I64:
    """Return how many documents hold each n-gram, int64 (n-grams,), from what the tasks have counted."""
    held = np.zeros(size, np.int64)
    for batch in counts.batches(COUNTS.names):
        held[np.asarray(batch["gram"])] += np.asarray(batch["documents"])  # each n-gram once in a batch
    return held


def _search(
    spark: SparkSession,
    documents: Documents,
    columns: Columns,
    settings: DecontaminateSettings,
    shared: Broadcast[Index],
    ignored: npt.NDArray[np.bool_] | None,
    written: Sequence[Table],
    progress: Progress,
    stages: Stages,
) -> Tally:
    """Write kept/ and removed/ or audit/, a part of each for every piece.

    Where nothing was counted before, a part of the counts is written too.
    """
    stays = settings.mode == REPORT_ONLY
    write_parts, many = split_writer(written), len(written)
    notes = stages.notes("search", written, (_Told, Tally))

    def searched(number: int) -> _Told:
        search = Search(shared.value, columns, ignored)

        def groups() -> Iterator[Sequence[pa.RecordBatch]]:
            nothing = pa.RecordBatch.from_pylist([], COUNTS)
            for batch, findings in search.searched(documents, number):
                found = audited(batch, columns, findings, shared.value)
                yield batch if stays else clean(batch, findings), found, nothing
            yield nothing, nothing, search.held()

        return _Told(write_parts(number, (group[:many] for group in groups())), search.tally)

    def task(number: int) -> Iterator[_Told]:
        yield notes.once(number, lambda: searched(number))

    whole = Tally()
    with progress.stage("search", documents.summary.rows) as stage:
        told = run(spark, range(len(documents.pieces)), task)
        for each in told:
            whole.add(each.tally)
        stage.bytes = whole.text_bytes
    for which, table in enumerate(written):
        table.note(each.written[which] for each in told)
    return whole


def _check(rows: int, whole: Tally, tables: _Tables, settings: DecontaminateSettings, stages: Stages) -> None:
    """Let the folders hold their parts and no others; check that no document got lost on the way."""
    for table in (tables.kept, tables.found):
        if not table.rows:
            table.save_empty()
    stages.sweep((tables.kept, tables.found))
    kept, found, stays = tables.kept.rows, tables.found.rows, settings.mode == REPORT_ONLY
    if not kept + (0 if stays else found) == rows == whole.documents or found != whole.contaminated:
        raise RuntimeError(
            f"{rows:,} documents went in, but {kept:,} were kept and {found:,} told of ({whole.contaminated:,} were to "
            "be): nothing was put in place; please report this"
        )


def _report(
    surroundings: Surroundings[DecontaminateSettings],
    tally: Tally,
    index: Index,
    searched: Sequence[Searched],
    held: I64,
    folder: OutputFolder,
    progress: Progress,
) -> dict[str, Any]:
    """Write metrics.json and report.html, and return the metrics."""
    with progress.reporting() as so_far:
        figures = metrics.build(surroundings, tally, index, searched, held)
        figures |= so_far()
        report.write(join_path(folder.work, REPORT), figures, tally, index)
        write_text(join_path(folder.work, METRICS), json.dumps(figures, indent=1) + "\n")
    return figures
