"""Extraction from end to end: archives in, documents out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from sparkprep import __version__
from sparkprep.errors import UserError
from sparkprep.extract.archives import Archives, list_archives, names_repeated
from sparkprep.extract.contents import DOCUMENTS, MADE, METRICS, REJECTED
from sparkprep.extract.outcomes import DAMAGED, DOCUMENTS_SCHEMA, REASONS, REJECTED_SCHEMA, outcomes
from sparkprep.extract.page import check_extractor
from sparkprep.extract.page_process import PageProcess
from sparkprep.extract.settings import ExtractSettings
from sparkprep.extract.site_blocks import HOSTS_SHOWN, Removed, SiteBlocks
from sparkprep.io.files import open_input, write_text
from sparkprep.io.left_out import name_left_out
from sparkprep.io.listing import DataFile, check_unchanged, stamps
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.spark.displays import Display
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.forecast import EXTRACT
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.tables import Form, SplitWriter, Table, Written, split_writer
from sparkprep.spark.tasks import run

_PAGES = Form("snappy", plain=("text", "title", "url", "id"), row_group_bytes=32 << 20)
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 2_000
_SHOWN = 5


@dataclass(frozen=True)
class _Told:
    """What the task of an archive tells: its parts, and how many records gave what.

    counts: by reason, with "" for documents. languages: (whether they are documents, code) -> records. removed: of
    their texts.
    """

    archive: int
    written: list[Written]
    counts: dict[str, int]
    languages: dict[tuple[bool, str], int]
    text_bytes: int
    removed: Removed


def extract(
    spark: SparkSession,
    source: Sequence[str],
    output: str,
    settings: ExtractSettings | None = None,
    *,
    overwrite: bool = False,
    stream: Display | TextIO | None = None,
    work: str | None = None,
    keep_work: bool = False,
) -> dict[str, Any]:
    """Write the documents of crawl archives to `output`/documents/; return the metrics, which metrics.json there holds.

    source: archives of WARC or WET, folders, patterns and lists of them, local or on S3 (`list_archives`). stream:
    where to tell of progress. work, keep_work: as for the other jobs. Raises UserError where input, settings or output
    cannot work, and where no record of any archive can be read.
    """
    settings = settings or ExtractSettings()
    check_extractor(settings.extractor)
    archives = list_archives(source, settings.list_prefix)
    preflight(spark)
    progress = Progress(spark, stream, EXTRACT)
    with OutputFolder(output, overwrite, [file.path for file in archives.files], MADE, work, keep_work) as folder:
        with tasks_ended(spark):
            progress.expect(archives.bytes)
            documents = Table(join_path(folder.work, DOCUMENTS), DOCUMENTS_SCHEMA, _PAGES)
            rejected = Table(join_path(folder.work, REJECTED), REJECTED_SCHEMA, _PAGES)
            told = _extract(spark, archives.files, settings, (documents, rejected), progress)
            check_unchanged(archives.files)
        metrics = _metrics(archives, settings, documents, told)
        metrics |= {
            "seconds": round(progress.seconds, 1),
            "stages": progress.summary(),
            "sparkprep": __version__,
            "spark": spark.version,
        }
        write_text(join_path(folder.work, METRICS), json.dumps(metrics, indent=1) + "\n")
        folder.commit()
    return metrics


def _extract(
    spark: SparkSession,
    files: Sequence[DataFile],
    settings: ExtractSettings,
    tables: tuple[Table, Table],
    progress: Progress,
) -> list[_Told]:
    """Run a task for each archive, the largest first, each of which writes its parts of both tables."""
    order = sorted(range(len(files)), key=lambda number: -files[number].size)
    write_parts = split_writer(tables)

    def task(number: int) -> Iterator[_Told]:
        yield _extract_archive(number, files[number].path, settings, write_parts)

    with explained(), progress.stage("extract", size=sum(file.size for file in files), things="archives") as stage:
        told = sorted(run(spark, order, task), key=lambda each: each.archive)
        stage.documents = sum(each.counts.get("", 0) for each in told)
    for which, table in enumerate(tables):
        table.note(each.written[which] for each in told)
        if not table.rows:
            table.save_empty()
    extracted = sum(each.counts.get("", 0) for each in told)
    if tables[0].rows != extracted:
        raise RuntimeError(f"{extracted:,} documents were extracted, {tables[0].rows:,} written; please report this")
    return told


@lru_cache(maxsize=1)
def _pages(seconds: float) -> PageProcess:
    """Return the process of this worker that extracts pages."""
    return PageProcess(seconds)


def _extract_archive(number: int, path: str, settings: ExtractSettings, write: SplitWriter) -> _Told:
    """Read an archive as a stream and write its parts of both tables."""
    counts: Counter[str] = Counter()
    languages: Counter[tuple[bool, str]] = Counter()
    sizes: Counter[str] = Counter()
    sites = SiteBlocks(settings.site_pages, settings.site_share)

    def groups() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        documents: list[dict[str, object]] = []
        rejected: list[dict[str, object]] = []
        held = 0
        with open_input(path) as stream:
            found = outcomes(stream, path, settings, _pages(settings.max_seconds))
            for outcome in sites.without(found) if settings.site_boilerplate == "remove" else found:
                counts[outcome.reason] += 1
                if outcome.language:
                    languages[outcome.document is not None, outcome.language] += 1
                if outcome.document is not None:
                    documents.append(outcome.document)
                    held += len(str(outcome.document["text"]))
                if outcome.rejected is not None:
                    rejected.append(outcome.rejected)
                if held >= _BATCH_BYTES or len(documents) + len(rejected) >= _BATCH_ROWS:
                    yield _batches(documents, rejected, sizes)
                    documents, rejected, held = [], [], 0
        yield _batches(documents, rejected, sizes)

    written = write(number, groups())
    return _Told(number, written, dict(counts), dict(languages), sizes["text"], sites.removed())


def _batches(
    documents: list[dict[str, object]], rejected: list[dict[str, object]], sizes: Counter[str]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    batch = pa.RecordBatch.from_pylist(documents, DOCUMENTS_SCHEMA)
    sizes["text"] += pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
    return batch, pa.RecordBatch.from_pylist(rejected, REJECTED_SCHEMA)


def _metrics(archives: Archives, settings: ExtractSettings, documents: Table, told: Sequence[_Told]) -> dict[str, Any]:
    """Return what was read and written. records == documents + the sum of "without_document"."""
    counts: Counter[str] = Counter()
    languages: Counter[tuple[bool, str]] = Counter()
    for each in told:
        counts.update(each.counts)
        languages.update(each.languages)
    damaged = [archives.files[each.archive].path for each in told if each.counts.get(DAMAGED)]
    records = sum(counts.values())
    if not records or records == counts[DAMAGED]:
        raise UserError(
            f"{archives.files[0].path}: no record of WARC could be read, in this or any other archive of the input"
        )
    warnings = archives.warnings
    if damaged:
        shown = ", ".join(damaged[:_SHOWN]) + (f" and {len(damaged) - _SHOWN:,} more" if len(damaged) > _SHOWN else "")
        archive = "archive" if len(damaged) == 1 else "archives"
        warnings = [
            *warnings,
            f"{len(damaged):,} damaged {archive}, read but for the places that {REJECTED}/ names: {shown}",
        ]
    if repeated := names_repeated(archives.files):
        warnings = [*warnings, f"archives of one name in several folders, read as different ones: {repeated[0]}"]
    return {
        "records": records,
        "documents": counts[""],
        "without_document": {reason: counts[reason] for reason in REASONS if counts[reason]},
        "languages": _by_language(languages, of_documents=True),
        "other_languages": _by_language(languages, of_documents=False),
        "site_boilerplate": _removed(archives, told),
        "archives": len(archives.files),
        "archive_bytes": archives.bytes,
        "text_bytes": sum(each.text_bytes for each in told),
        "damaged_archives": damaged,
        "by_archive": [
            {"archive": archives.files[each.archive].path, "records": sum(each.counts.values()), **_named(each.counts)}
            for each in told
        ],
        "left_out": name_left_out(archives.left_out),
        "warnings": warnings,
        "asked": {"input": stamps(archives.files), "settings": asdict(settings)},
        "parts": documents.manifest(),
    }


def _by_language(counts: Counter[tuple[bool, str]], *, of_documents: bool) -> dict[str, int]:
    """Return how many texts are in which language, the most first."""
    chosen = {code: count for (is_document, code), count in counts.items() if is_document == of_documents}
    return dict(sorted(chosen.items(), key=lambda each: (-each[1], each[0])))


def _removed(archives: Archives, told: Sequence[_Told]) -> dict[str, Any]:
    """Return what was removed from texts as boilerplate of their sites, and examples. A host counts in each archive."""
    sums = {
        name: sum(getattr(each.removed, name) for each in told)
        for name in ("hosts", "pages", "blocks", "bytes", "forgotten")
    }
    hosts = [{"archive": archives.files[each.archive].path, **host} for each in told for host in each.removed.by_host]
    hosts.sort(key=lambda host: -host["blocks"])
    return {**sums, "by_host": hosts[:HOSTS_SHOWN]}


def _named(counts: dict[str, int]) -> dict[str, int]:
    return {"documents": counts.get("", 0), **{reason: counts[reason] for reason in REASONS if counts.get(reason)}}
