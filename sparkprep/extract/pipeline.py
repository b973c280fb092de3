"""Extraction from end to end: archives in, documents out."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from sparkprep.errors import UserError, flag
from sparkprep.extract.archives import Archives, distinct_names, list_archives, tell_unread
from sparkprep.extract.contents import DOCUMENTS, MADE, METRICS, REJECTED, SKIPPED
from sparkprep.extract.outcomes import (
    DAMAGED,
    DOCUMENTS_SCHEMA,
    NO_PAGE,
    REASONS,
    REJECTED_SCHEMA,
    SKIPPED_SCHEMA,
    outcomes,
)
from sparkprep.extract.page import check_extractor
from sparkprep.extract.page_process import PageProcess
from sparkprep.extract.report.examples import ARCHIVES, Examples, Ranked
from sparkprep.extract.report.page import PLACES, render
from sparkprep.extract.settings import ExtractSettings
from sparkprep.extract.site_blocks import HOSTS_SHOWN, Removed, SiteBlocks
from sparkprep.extract.tally import HOSTS, Host, Tally
from sparkprep.extract.telling import by_kind, warnings_of
from sparkprep.io.files import open_input, write_text
from sparkprep.io.left_out import name_left_out
from sparkprep.io.listing import DataFile, stamps
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.options import changed
from sparkprep.pages.reported import REPORT
from sparkprep.spark.displays import Display
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.forecast import EXTRACT
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import Form, SplitWriter, Table, Written, split_writer
from sparkprep.spark.tasks import run
from sparkprep.spark.versions import versions

_Rows = tuple[list[dict[str, object]], list[dict[str, object]], list[dict[str, object]]]
"""Of documents/, rejected/ and skipped/."""
_PAGES = Form("snappy", plain=("text", "title", "url", "id"), row_group_bytes=32 << 20)
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 2_000
_MOST_HOSTS_TOLD = 100_000
"""By all tasks together: what they tell comes to the driver."""


@dataclass(frozen=True)
class _Archive:
    """What a task reads. name: by which documents are called that have no identifier. has_examples: for the report."""

    number: int
    path: str
    name: str
    has_examples: bool


@dataclass(frozen=True)
class _Told:
    """What the task of an archive tells: its parts, and what its records gave; removed: of their texts. fault: what is
    wrong with its first bytes that are damaged."""

    archive: int
    written: list[Written]
    tally: Tally
    examples: Examples
    text_bytes: int
    removed: Removed
    fault: str = ""


_KEPT = (_Told, Tally, Host, Examples, Ranked, Removed)
"""What a task tells is made of, as far as it is kept for a run that goes on."""


def extract(
    spark: SparkSession,
    source: Archives | Sequence[str],
    output: str,
    settings: ExtractSettings | None = None,
    *,
    overwrite: bool = False,
    stream: Display | TextIO | None = None,
    work: str | None = None,
    keep_work: bool = False,
    resume: bool = False,
) -> dict[str, Any]:
    """Write the documents of crawl archives to `output`/documents/; return the metrics, which metrics.json there holds.

    source: archives of WARC or WET, folders, patterns and lists of them, local or on S3; or what `list_archives` has
    made of these. stream: where to tell of progress. work, keep_work, resume: as for the other jobs. Raises UserError
    where input, settings or output cannot work, and where no record of any archive can be read.
    """
    settings = settings or ExtractSettings()
    check_extractor(settings.extractor)
    archives = source if isinstance(source, Archives) else list_archives(source, settings.list_prefix)
    preflight(spark)
    progress = Progress(spark, stream, EXTRACT)
    with OutputFolder(output, overwrite, archives.places, MADE, work, keep_work, resume) as folder:
        with tasks_ended(spark):
            stages = Stages(folder, progress, "extract", asdict(settings), archives, cores(spark))
            refuse_unseen(spark, archives.files, [folder.work, folder.scratch])
            progress.expect(archives.bytes)
            documents = Table(join_path(folder.work, DOCUMENTS), DOCUMENTS_SCHEMA, _PAGES)
            rejected = Table(join_path(folder.work, REJECTED), REJECTED_SCHEMA, _PAGES)
            skipped = Table(join_path(folder.work, SKIPPED), SKIPPED_SCHEMA, _PAGES)
            told = _extract(spark, archives.files, settings, (documents, rejected, skipped), progress, stages)
            archives.check_unchanged()
        metrics = _metrics(archives, settings, (documents, rejected, skipped), told)
        metrics |= {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": _command(source, output, settings),
            "output": folder.path,
            "resumed": stages.figures(),
            "fingerprint": stages.fingerprint,
            "versions": versions(spark.version, ("resiliparse", "pyarrow")),
        }
        _report(folder.work, metrics, told, rejected, progress)
        folder.commit()
    return metrics


def _command(source: Archives | Sequence[str], output: str, settings: ExtractSettings) -> str:
    """Return the command line that makes this run anew."""
    given = source.given if isinstance(source, Archives) else source
    words = [word for name, value in changed(settings).items() for word in _flag(name, value)]
    return shlex.join(["sparkprep", "extract", "--input", *given, "--output", output, *words])


def _flag(name: str, value: object) -> list[str]:
    if value is True:
        return [flag(name)]
    return [flag(name), ",".join(value) if isinstance(value, tuple) else str(value)]


def _report(folder: str, metrics: dict[str, Any], told: Sequence[_Told], rejected: Table, progress: Progress) -> None:
    """Write metrics.json and report.html, and the time of both into both: what follows is the writing of two files."""
    examples = Examples()
    for each in told:
        examples.merge(each.examples)
    with progress.reporting() as so_far:

        def timed() -> dict[str, Any]:
            metrics.update(so_far())
            return metrics

        places = list(islice(_rows(rejected), PLACES))
        write_text(join_path(folder, REPORT), render(metrics, {**examples.rows(), "places": places}, timed))
        write_text(join_path(folder, METRICS), json.dumps(metrics, indent=1) + "\n")


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    for batch in table.batches(None):
        yield from batch.to_pylist()


def _extract(
    spark: SparkSession,
    files: Sequence[DataFile],
    settings: ExtractSettings,
    tables: tuple[Table, Table, Table],
    progress: Progress,
    stages: Stages,
) -> list[_Told]:
    """Run a task for each archive, the largest first, each of which writes its parts of all tables."""
    order = sorted(range(len(files)), key=lambda number: -files[number].size)
    sizes = [files[number].size for number in order]
    write_parts = split_writer(tables)
    names = distinct_names(files)
    every = -(-len(files) // ARCHIVES)
    hosts = max(HOSTS, _MOST_HOSTS_TOLD // len(files))

    notes = stages.notes("extract", tables, _KEPT, "archive")

    def read(number: int) -> _Told:
        archive = _Archive(number, files[number].path, names[number], number % every == 0)
        told = _extract_archive(archive, settings, write_parts)
        told.tally.forget_hosts(hosts)
        return told

    def task(number: int) -> Iterator[_Told]:
        yield notes.once(number, lambda: read(number))

    with explained(), progress.stage("extract", things="archives", sizes=sizes) as stage:
        told = sorted(run(spark, order, task), key=lambda each: each.archive)
        stage.documents = sum(each.tally.documents for each in told)
    for which, table in enumerate(tables):
        table.note(each.written[which] for each in told)
        if not table.rows:
            table.save_empty()
    stages.sweep(tables)
    _check_counts(tables, told)
    return told


def _check_counts(tables: tuple[Table, Table, Table], told: Sequence[_Told]) -> None:
    """Raise RuntimeError unless each record that may be a page has its row in one of the tables."""
    documents, rejected, skipped = (table.rows for table in tables)
    extracted = sum(each.tally.documents for each in told)
    if documents != extracted:
        raise RuntimeError(f"{extracted:,} documents were extracted, {documents:,} written; please report this")
    others = sum(each.tally.records - each.tally.reasons[NO_PAGE] for each in told) - documents
    if rejected + skipped != others:
        raise RuntimeError(
            f"{others:,} pages gave no document, {rejected:,} + {skipped:,} were written; please report this"
        )


@lru_cache(maxsize=1)
def _pages(seconds: float) -> PageProcess:
    """Return the process of this worker that extracts pages."""
    return PageProcess(seconds)


def _extract_archive(archive: _Archive, settings: ExtractSettings, write: SplitWriter) -> _Told:
    """Read an archive as a stream and write its parts of all tables."""
    tally, examples = Tally(), Examples()
    sizes: Counter[str] = Counter()
    sites = SiteBlocks(settings.site_pages, settings.site_share)
    faults: list[str] = []

    def groups() -> Iterator[tuple[pa.RecordBatch, ...]]:
        rows: _Rows = ([], [], [])
        held = 0
        with open_input(archive.path) as stream:
            found = outcomes(stream, archive.path, settings, _pages(settings.max_seconds), archive.name)
            for outcome in sites.without(found) if settings.site_boilerplate == "remove" else found:
                tally.add(outcome)
                if outcome.reason == DAMAGED and not faults:
                    faults.append(str((outcome.rejected or {}).get("detail", "")))
                if archive.has_examples:
                    examples.add(outcome)
                for of_table, row in zip(rows, outcome.rows(archive.path), strict=True):
                    of_table.extend([row] if row is not None else [])
                if outcome.document is not None:
                    held += len(str(outcome.document["text"]))
                if held >= _BATCH_BYTES or sum(map(len, rows)) >= _BATCH_ROWS:
                    yield _batches(rows, sizes)
                    rows, held = ([], [], []), 0
        yield _batches(rows, sizes)

    written = write(archive.number, groups())
    return _Told(archive.number, written, tally, examples, sizes["text"], sites.removed(), *faults)


def _batches(rows: _Rows, sizes: Counter[str]) -> tuple[pa.RecordBatch, ...]:
    schemas = (DOCUMENTS_SCHEMA, REJECTED_SCHEMA, SKIPPED_SCHEMA)
    batches = tuple(pa.RecordBatch.from_pylist(*each) for each in zip(rows, schemas, strict=True))
    sizes["text"] += pc.sum(pc.binary_length(batches[0].column("text"))).as_py() or 0
    return batches


def _metrics(
    archives: Archives, settings: ExtractSettings, tables: tuple[Table, Table, Table], told: Sequence[_Told]
) -> dict[str, Any]:
    """Return what was read and written. records == documents + the sum of "without_document"."""
    total = Tally()
    for each in told:
        total.merge(each.tally)
    counts, records = total.reasons, total.records
    damaged = [archives.files[each.archive].path for each in told if each.tally.reasons[DAMAGED]]
    unread = {
        archives.files[each.archive].path: each.fault
        for each in told
        if each.tally.records == each.tally.reasons[DAMAGED]
    }
    if len(unread) == len(told):
        raise UserError(tell_unread(unread, len(told)))
    torn = [path for path in damaged if path not in unread]
    removed = _removed(archives, told)
    warnings = warnings_of(archives, unread, torn, counts, removed["forgotten"])
    return {
        "records": records,
        "documents": counts[""],
        "without_document": {reason: counts[reason] for reason in REASONS if counts[reason]},
        "site_boilerplate": removed,
        "archives": len(archives.files),
        "archive_bytes": archives.bytes,
        "text_bytes": sum(each.text_bytes for each in told),
        "damaged_archives": damaged,
        "by_archive": [
            {"archive": archives.files[each.archive].path, "records": each.tally.records, **_named(each.tally.reasons)}
            for each in told
        ],
        **total.figures(),
        "left_out": name_left_out(archives.left_out),
        "warnings": [each.text for each in warnings],
        "warnings_by_kind": by_kind(warnings),
        "asked": {"input": stamps(archives.files), "settings": asdict(settings)},
        "parts": {name: table.manifest() for name, table in zip((DOCUMENTS, REJECTED, SKIPPED), tables, strict=True)},
    }


def _removed(archives: Archives, told: Sequence[_Told]) -> dict[str, Any]:
    """Return what was removed from texts as boilerplate of their sites, and examples. A host counts in each archive."""
    sums = {
        name: sum(getattr(each.removed, name) for each in told)
        for name in ("hosts", "pages", "blocks", "bytes", "forgotten")
    }
    hosts = [{"archive": archives.files[each.archive].path, **host} for each in told for host in each.removed.by_host]
    hosts.sort(key=lambda host: -host["blocks"])
    return {**sums, "by_host": hosts[:HOSTS_SHOWN]}


def _named(counts: Counter[str]) -> dict[str, int]:
    return {"documents": counts.get("", 0), **{reason: counts[reason] for reason in REASONS if counts.get(reason)}}
