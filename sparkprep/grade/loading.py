"""Read a result and a truth from their files, and give the documents in them common numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.errors import UserError, argument
from sparkprep.grade.figures import Ints, Mask, pair_keys
from sparkprep.grade.tables import ParquetTable, distinct, open_table
from sparkprep.io.files import exists
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import list_written
from sparkprep.io.paths import join_path
from sparkprep.io.results import job_of_metrics

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Audit:
    """The columns of removed/: ids as large_string, jaccard as float64.

    elsewhere: the ids of documents that were removed for one of an earlier crawl, of which this output knows no more;
    the other columns are without them.
    """

    removed: pa.ChunkedArray
    kept: pa.ChunkedArray
    jaccard: pa.ChunkedArray | None
    elsewhere: pa.ChunkedArray


@dataclass(frozen=True)
class RunFacts:
    """What the metrics.json of a result tells of its run; None for what it does not tell.

    sample: size, sha256 and versions of the embedded subset that the run read. crawl: what its index calls its
    documents.
    """

    threshold: float | None = None
    id_column: str | None = None
    sample: dict[str, Any] | None = None
    crawl: str | None = None


def run_facts(output: str) -> RunFacts:
    """Return what is known of the run that made `output`: nothing where it has no metrics.json of a dedup run.

    Raises UserError where it is a result of another job.
    """
    path = join_path(output, "metrics.json")
    if not exists(path):
        return RunFacts()
    content = read_json(path, "restore it, or grade kept/ alone")
    job = job_of_metrics(content)
    if job not in (None, "dedup"):
        raise UserError(
            f"{output}: a result of `{job}`, which removes no near-duplicates: name the output folder of a `dedup`"
        )
    settings, of_input = content.get("settings"), content.get("input")
    settings = settings if isinstance(settings, dict) else {}
    index = content.get("index")
    crawl = index.get("crawl") if isinstance(index, dict) else None
    sample = of_input.get("sample") if isinstance(of_input, dict) else None
    threshold, id_column = settings.get("threshold"), settings.get("id_column")
    return RunFacts(
        float(threshold) if isinstance(threshold, int | float) and 0 < threshold <= 1 else None,
        id_column if isinstance(id_column, str) else None,
        sample if isinstance(sample, dict) else None,
        crawl if isinstance(crawl, str) else None,
    )


class Documents:
    """Numbers for ids: 0..n-1 in the order of first appearance."""

    def __init__(self, columns: Iterable[pa.ChunkedArray]) -> None:
        chunks = [chunk for column in columns for chunk in column.chunks]
        self.ids = distinct(pa.chunked_array(chunks, type=pa.large_string()))

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, ids: pa.ChunkedArray) -> Ints:
        """Return the number of each id, int64 by row; -1 for ids that are none of these documents, and for null."""
        numbers = pc.fill_null(pc.index_in(ids, value_set=self.ids), -1)
        return np.asarray(numbers.to_numpy()).astype(np.int64)

    def mask(self, ids: pa.ChunkedArray) -> Mask:
        """Return bool[n]: which documents are among `ids`."""
        mask = np.zeros(len(self.ids), dtype=np.bool_)
        numbers = self.numbers(ids)
        mask[numbers[numbers >= 0]] = True
        return mask


def truth_ids(table: ParquetTable, kind: str, id_column: str) -> list[pa.ChunkedArray]:
    """Return the columns of a truth that hold ids of documents."""
    if kind == "pairs":
        return [table.strings("id_a"), table.strings("id_b")]
    return [table.strings("id" if "id" in table.columns else id_column)]


def load_result(output: str, id_column: str, crawl: str | None) -> tuple[pa.ChunkedArray, Audit | None]:
    """Return the ids of the kept rows, and removed/ where there is such a folder.

    crawl: of the run, if it had an index. Raises UserError where removed/ tells crawls apart and this one is not known.
    """
    kept_folder, removed_folder = join_path(output, "kept"), join_path(output, "removed")
    if not exists(kept_folder):
        return open_table(output, "output").strings(id_column, "id_column"), None
    kept = open_table(kept_folder, "output").strings(id_column, "id_column")
    if not exists(removed_folder):
        return kept, None
    if not list_written(removed_folder):  # a job that removed nothing may write no part file
        nothing = pa.chunked_array([], type=pa.large_string())
        return kept, Audit(nothing, nothing, None, nothing)
    removed = open_table(removed_folder, "output")
    jaccard = removed.floats("jaccard") if "jaccard" in removed.columns else None
    ids, kept_ids = removed.strings("id"), removed.strings("kept_id")
    if "kept_crawl" not in removed.columns:
        return kept, Audit(ids, kept_ids, jaccard, ids.slice(0, 0))
    if crawl is None:
        raise UserError(
            f"{removed_folder} names crawls (kept_crawl), and {join_path(output, 'metrics.json')} does not say which "
            "is this one's: restore that file, or grade kept/ alone"
        )
    here = pc.fill_null(pc.equal(removed.strings("kept_crawl"), crawl), True)
    jaccard = None if jaccard is None else jaccard.filter(here)
    return kept, Audit(ids.filter(here), kept_ids.filter(here), jaccard, ids.filter(pc.invert(here)))


def truth_kind(table: ParquetTable, id_column: str) -> str:
    """Return pairs, clusters or kept, by the columns. Raises `UserError` that lists them where it is none of these."""
    columns = set(table.columns)
    if {"id_a", "id_b"} <= columns:
        return "pairs"
    if {"id", "cluster_id"} <= columns:
        return "clusters"
    if columns & {"id", id_column}:
        return "kept"
    raise UserError(
        f"truth {table.path} has the columns {', '.join(table.columns)}: "
        "expected id_a and id_b (pairs), id and cluster_id (clusters), or id (kept ids)"
    )


def true_pairs(
    table: ParquetTable, ends: list[pa.ChunkedArray], documents: Documents, notes: list[str]
) -> tuple[Ints, Floats | None]:
    """Return each unordered pair of documents once, int64[m, 2], and its greatest Jaccard where the truth has one.

    ends: the ids of `table`'s pairs, as `truth_ids` returns them.
    """
    note_unknown(documents, ends, notes)
    pairs = np.column_stack([documents.numbers(end) for end in ends])
    jaccard = None
    if "jaccard" in table.columns:
        jaccard = np.asarray(table.floats("jaccard").to_numpy())
    usable = (pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])
    order = np.flatnonzero(usable)
    if jaccard is not None:
        order = order[np.argsort(-jaccard[order], kind="stable")]
    _, first = np.unique(pair_keys(pairs[order], len(documents)), return_index=True)
    order = order[first]
    return pairs[order], None if jaccard is None else jaccard[order]


def cluster_numbers(table: ParquetTable, ids: pa.ChunkedArray, documents: Documents, notes: list[str]) -> Ints:
    """Return each document's cluster number, from 0; a document that the truth does not name is one of its own.

    ids: those of `table`'s rows, as `truth_ids` returns them.
    """
    names = table.strings("cluster_id")
    note_unknown(documents, [ids], notes)
    numbers = documents.numbers(ids)
    encoded = pc.dictionary_encode(names, null_encoding="encode").combine_chunks()
    codes = (encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded).indices.to_numpy()
    cluster = np.arange(len(documents), dtype=np.int64) + len(codes)
    cluster[numbers[numbers >= 0]] = codes[numbers >= 0]
    unnamed = int(np.count_nonzero(cluster >= len(codes)))
    if unnamed:
        notes.append(f"{unnamed:,} documents are in no cluster of the truth: each counts as a cluster of its own")
    numbered: Ints = np.unique(cluster, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbered


def note_unknown(documents: Documents, columns: list[pa.ChunkedArray], notes: list[str]) -> None:
    """Note how many ids of the truth are none of the documents."""
    named = distinct(pa.chunked_array([c for column in columns for c in column.chunks], type=pa.large_string()))
    if unknown := len(named) - int(np.sum(np.asarray(pc.is_in(named, value_set=documents.ids)))):
        notes.append(f"{unknown:,} of {len(named):,} ids of the truth are no documents here: left out")


def require_common(ids: Documents, what: str, columns: list[pa.ChunkedArray], other: str) -> None:
    """Refuse two files that both have ids and have none in common: they are of different data."""
    named = distinct(pa.chunked_array([c for column in columns for c in column.chunks], type=pa.large_string()))
    if len(named) and len(ids) and not pc.any(pc.is_in(named, value_set=ids.ids)).as_py():
        raise UserError(
            f"{what} (ids such as {ids.ids[0].as_py()!r}) and {other} ({named[0].as_py()!r}) have no id in common: "
            f"are they of the same data, and is {argument('id_column')} right?"
        )
