"""A crawl taken out of an index: what was decided for its documents is decided anew, from the index alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from sparkprep.dedup.candidates import BucketSearch
from sparkprep.dedup.crawls.adding import decided, new_tables, stored, undecided
from sparkprep.dedup.index.folder import IndexFolder, held_index
from sparkprep.dedup.index.indexed import IndexedDocuments, files_of, index_without, part_of
from sparkprep.dedup.index.layout import KEPT, REMOVED, ROWS, SHINGLES, serial_of
from sparkprep.dedup.index.manifest import Crawl, Manifest, find_crawl
from sparkprep.dedup.index.stored import opened
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.keys import DEFAULT_ID
from sparkprep.documents.parquet.footers import InputSummary, RowGroup
from sparkprep.documents.parquet.pieces import Documents, Piece
from sparkprep.errors import UserError, argument
from sparkprep.io.arrow import from_bytes
from sparkprep.io.files import write_text
from sparkprep.io.listing import Listing
from sparkprep.io.output import PARQUET_FOLDER, OutputFolder
from sparkprep.io.overlap import refuse_same_place
from sparkprep.io.paths import join_path
from sparkprep.spark.displays import display_for
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import RESULT, Table, Written, split_writer
from sparkprep.spark.tasks import run

CHANGES, FIGURES = "changes", "changes.json"
MADE = (r"changes\.json", rf"{CHANGES}/{PARQUET_FOLDER}")
BACK, GOES = "comes back", "goes"


@dataclass(frozen=True)
class Removal:
    """What taking a crawl out has changed. back, goes: by the names of later crawls, how many of their documents."""

    crawl: Crawl
    back: dict[str, int]
    goes: dict[str, int]
    output: str | None


def remove_crawl(
    index: str | os.PathLike[str],
    crawl: str,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    stream: TextIO | None = None,
    driver_budget: int = Settings().driver_budget,
) -> Removal:
    """Take a crawl out of an index, so that it is as if it had never been in it.

    output: the folder for what changes, `changes/` with the columns crawl, id, change ("comes back" or "goes"); it must
    be named where documents of later crawls were removed for some of this one. Raises UserError where there is no such
    crawl, and then too.
    """
    with held_index(index, must_exist=True) as folder:
        assert folder.manifest is not None  # it must exist
        manifest = folder.manifest
        order = find_crawl(folder.path, manifest, crawl)
        gone, behind = manifest.crawls[order], manifest.crawls[order + 1 :]
        number = sum(_removed_for(folder.path, each, gone) for each in behind)
        if not number:
            folder.replace(manifest.without(order, behind))
            return Removal(gone, {}, {}, None)
        if output is None:
            raise UserError(
                f"{folder.path}: {number:,} documents of later crawls were removed for documents of {crawl}, and some "
                f"of them come back: name an {argument('output')} for the table of them"
            )
        refuse_same_place([], output=output, index=folder.path)
        if spark is None:
            from sparkprep.spark.session import get_session

            spark = get_session("sparkprep index remove")
        preflight(spark)
        with OutputFolder(output, overwrite, [folder.path], MADE) as target:
            with tasks_ended(spark), explained():
                progress = Progress(spark, stream or display_for(False))
                removal, crawls = _decide_anew(spark, folder, manifest, order, target, progress, driver_budget)
            folder.replace(manifest.without(order, crawls))
            target.commit()
            return removal


def _removed_for(path: str, crawl: Crawl, other: Crawl) -> int:
    """Return how many documents of a crawl were removed for documents of another."""
    total = 0
    for stored_file in files_of(path, crawl, REMOVED).values():
        with opened(stored_file) as file:
            for batch in file.iter_batches(columns=["kept_place"]):
                total += int((serial_of(np.asarray(batch["kept_place"])) == other.serial).sum())
    return total


def _decide_anew(
    spark: SparkSession,
    folder: IndexFolder,
    manifest: Manifest,
    order: int,
    target: OutputFolder,
    progress: Progress,
    budget: int,
) -> tuple[Removal, list[Crawl]]:
    """Decide the documents of the crawls behind one anew, as if it were not there; write their rows and the changes."""
    refuse_unseen(spark, [], [folder.path, target.work, target.scratch])
    indexed = index_without(folder.path, manifest.crawls, order)
    work = _workspace(spark, manifest, indexed, target, progress, budget)
    with progress.stage("rows"):
        work.signatures.write_tasks(spark, range(len(work.documents.pieces)), indexed.signature_rows)
    with progress.stage("candidates", work.signatures.rows):
        counts = BucketSearch.among_all(work).run(work.cores)
    if on_driver.resolve(work, [counts]) is None:
        on_cluster.resolve(work, [counts])
    with progress.stage("index", work.signatures.rows):
        return _write(work, indexed, folder, manifest, order, target)


def _workspace(
    spark: SparkSession,
    manifest: Manifest,
    indexed: IndexedDocuments,
    target: OutputFolder,
    progress: Progress,
    budget: int,
) -> Workspace:
    """Return the surroundings of a run whose own documents lie in the index: there are no files of documents."""
    schema = pa.schema([pa.field(DEFAULT_ID, manifest.ids), pa.field("text", pa.string())])
    pieces = tuple(Piece(each.first_key, each.rows, 0, ()) for each in indexed.undecided)
    crawls = [manifest.crawls[order] for order in sorted({piece.order for piece in indexed.undecided})]
    rows, size = (sum(numbers) for numbers in ((each.counts["documents"] for each in crawls), map(_set_bytes, crawls)))
    documents = Documents(InputSummary((), schema, "text", (), ((RowGroup(rows, size),),)), pieces)
    names = ("threshold", "keep", "rule", "shingle_words", "bands", "rows", "seed")
    return Workspace(
        spark=spark,
        settings=Settings(**{name: manifest.settings[name] for name in names}, driver_budget=budget),
        output=target,
        progress=progress,
        inputs=None,
        listing=Listing([]),
        documents=indexed.behind(documents),
        columns=Columns("text", DEFAULT_ID, None, None),
        stages=Stages(target, progress, "index", {}, None, cores(spark)),
        text_bytes=size,
        index=indexed,
        inner=join_path(target.scratch, "result"),
    )


def _set_bytes(crawl: Crawl) -> int:
    return sum(part.bytes for part in crawl.tables[SHINGLES].parts)


def _write(
    work: Workspace,
    indexed: IndexedDocuments,
    folder: IndexFolder,
    manifest: Manifest,
    order: int,
    target: OutputFolder,
) -> tuple[Removal, list[Crawl]]:
    """Write the rows of the crawls behind one as they are decided now, and what has changed."""
    behind = manifest.crawls[order + 1 :]
    tables = {each.name: {name: new_tables(folder, each.name)[name] for name in (KEPT, REMOVED)} for each in behind}
    kinds = pa.schema([("crawl", pa.string()), ("id", manifest.ids), ("change", pa.string())])
    changes = Table(join_path(target.work, CHANGES), kinds, RESULT)
    writers = {name: split_writer(list(each.values())) for name, each in tables.items()}
    write_changes, removed, undecided_pieces = split_writer([changes]), work.removed_keys, indexed.undecided

    def task(number: int) -> list[tuple[str, str, Written | dict[str, int]]]:
        piece = undecided_pieces[number]
        gone = pa.Table.from_batches(removed.part(number), removed.schema)
        found: list[pa.RecordBatch] = []
        told: Counter[str] = Counter()

        def rows() -> Iterator[Sequence[pa.RecordBatch]]:
            for batch in piece.batches(ROWS.names):
                before = np.asarray(batch["kept_place"].is_valid())
                others = {name: batch[name] for name in ROWS.names}
                kept, out = decided(undecided(others, len(batch)), piece.first_key, indexed, gone)
                now = np.isin(np.asarray(batch["number"]), np.asarray(out["number"]))
                for change, chosen in ((BACK, before & ~now), (GOES, ~before & now)):
                    told[change] += int(chosen.sum())
                    found.append(_changes(batch.filter(pa.array(chosen)), piece.crawl, change, kinds))
                yield kept, out

        parts = writers[piece.crawl](part_of(piece), rows())
        changed = write_changes(number, ([each] for each in found))[0]
        named = zip((KEPT, REMOVED), parts, strict=True)
        return [*((piece.crawl, name, part) for name, part in named), ("", "", changed), (piece.crawl, "", dict(told))]

    written = run(work.spark, range(indexed.own_pieces), task)
    for crawl, each in tables.items():
        for name, table in each.items():
            table.note(part for of, kind, part in written if (of, kind) == (crawl, name) and isinstance(part, Written))
    changes.note(part for of, _, part in written if not of and isinstance(part, Written))
    if not changes.rows:
        changes.save_empty()
    crawls = [_with_tables(folder.path, each, tables[each.name]) for each in behind]
    by_change = {change: dict.fromkeys((each.name for each in behind), 0) for change in (BACK, GOES)}
    for crawl, _, told in written:
        for change, number in told.items() if isinstance(told, dict) else ():
            by_change[change][crawl] += number
    removal = Removal(manifest.crawls[order], by_change[BACK], by_change[GOES], target.path)
    figures = {"index": folder.path, "crawl": removal.crawl.name, BACK: removal.back, GOES: removal.goes}
    write_text(join_path(target.work, FIGURES), json.dumps(figures, indent=1) + "\n")
    return removal, crawls


def _changes(rows: pa.RecordBatch, crawl: str, change: str, schema: pa.Schema) -> pa.RecordBatch:
    ids = from_bytes(rows["id"], schema.field("id").type)
    words = (pa.array([word] * len(rows), pa.string()) for word in (crawl, change))
    return pa.RecordBatch.from_pydict(dict(zip(("crawl", "change"), words, strict=True)) | {"id": ids}, schema)


def _with_tables(path: str, crawl: Crawl, tables: dict[str, Table]) -> Crawl:
    """Return the entry of a crawl with other rows: the shingle sets stay where they lie."""
    removed = tables[REMOVED].rows
    counts = {**crawl.counts, "removed": removed, "kept": crawl.counts["documents"] - removed}
    new = {name: stored(path, table) for name, table in tables.items()}
    return replace(crawl, counts=counts, tables={**crawl.tables, **new})
