"""Load a result and a truth, bring their ids on common numbers, and compute the figures."""

import html
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.console import safe_text
from sparkprep.errors import UserError, argument
from sparkprep.grade import figures
from sparkprep.grade.figures import F1_DEFINITION, Figure, Ints, Mask, Scores
from sparkprep.grade.loading import (
    Audit,
    Documents,
    Floats,
    cluster_numbers,
    load_result,
    note_unknown,
    require_common,
    run_facts,
    true_pairs,
    truth_ids,
    truth_kind,
)
from sparkprep.grade.settings import GradeSettings
from sparkprep.grade.shown import table
from sparkprep.grade.tables import ParquetTable, open_table

THRESHOLD, ID_COLUMN = 0.8, "id"
"""Where neither the caller nor the run's metrics.json says otherwise."""
JACCARD_TOLERANCE = 1e-6  # a stated Jaccard farther from the true one is reported


@dataclass(frozen=True, repr=False)
class Grade:
    """The figures of one result, and what they rest on.

    truth      pairs, clusters or kept
    threshold  Jaccard from which a pair is true; None where the truth has no Jaccard
    counts     documents, kept, removed, and what the truth holds
    scores     removed documents first
    notes      sentences about what was odd or left out
    """

    truth: str
    threshold: float | None
    counts: dict[str, int]
    scores: list[Scores]
    notes: list[str]

    @property
    def precision(self) -> Figure:
        """The figure that a least precision applies to: of the removed documents."""
        return self.scores[0].precision

    @property
    def recall(self) -> Figure:
        """The figure that a least recall applies to: of the pairs; against a list of kept ids, of removed documents."""
        return self.scores[0 if self.truth == "kept" else 1].recall

    def __repr__(self) -> str:
        return "\n".join([f"against {self.truth}: {self.counted()}", table(self.scores), *map(safe_text, self.notes)])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return f"<pre>{html.escape(repr(self))}</pre>"

    def counted(self) -> str:
        """Return the counts in words, and the threshold."""
        counts = " · ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in self.counts.items())
        return counts + (f" (Jaccard >= {self.threshold:g})" if self.threshold is not None else "")

    def as_dict(self) -> dict[str, object]:
        """Return, for JSON, every figure with value, counts and definition."""
        return {
            "format": 1,
            "truth": self.truth,
            "threshold": self.threshold,
            "counts": self.counts,
            "figures": {
                scores.subject.replace(" ", "_"): {
                    "precision": _figure_as_dict(scores.precision),
                    "recall": _figure_as_dict(scores.recall),
                    "f1": {"value": scores.f1, "definition": F1_DEFINITION},
                }
                for scores in self.scores
            },
            "notes": self.notes,
        }


def grade(
    output: str,
    truth: str,
    *,
    threshold: float | None = None,
    id_column: str | None = None,
    input: str | None = None,
) -> Grade:
    """Grade the result in `output` against `truth`.

    output     a job's folder (kept/ with the input's rows, removed/ with id, kept_id, jaccard), or the kept documents
               alone: a Parquet file or folder
    truth      Parquet; its columns say which: (id_a, id_b[, jaccard]) all true pairs; (id, cluster_id) clusters;
               otherwise a list of kept ids in the column `id` (or `id_column`)
    threshold  in (0, 1]; a pair of the truth counts from this Jaccard on; without a jaccard column every pair counts.
               By default the one that the run was given (metrics.json), else 0.8
    id_column  the identifier in kept/ and in `input`; by default that of the run, else `id`
    input      Parquet with the documents that the job read; needed where `output` is the kept documents alone and the
               truth does not list every document

    Ids are compared as text. A document is an id: it is kept if any row with that id is. Documents are the ids of
    kept/, removed/ and `input`; truth about others is left out, with a note. A document of `input` that is in neither
    folder counts as removed, with a note. Documents that were removed for one of an earlier crawl of an index are left
    out, with a note: what is graded is what the run decided among its own. Raises `UserError` for anything missing,
    unreadable or not matching.
    """
    GradeSettings(threshold=threshold, id_column=id_column)  # refuses what cannot be
    # What was named for this grade first: a slip there is likelier than a fault of the result's.
    truth_table = open_table(truth, "truth")
    input_table = None if input is None else open_table(input, "input")
    run = run_facts(output)
    id_column = id_column or run.id_column or ID_COLUMN
    kept_ids, audit = load_result(output, id_column, run.crawl)
    input_ids = None if input_table is None else input_table.strings(id_column, "id_column")
    kind = truth_kind(truth_table, id_column)
    named = truth_ids(truth_table, kind, id_column)

    parts = [kept_ids] + ([audit.removed] if audit else [])
    of_output = Documents(parts)
    require_common(of_output, f"output {output}", named, f"truth {truth}")
    if input_ids is not None:
        require_common(of_output, f"output {output}", [input_ids], f"input {input}")
        parts.append(input_ids if audit is None else _without(input_ids, audit.elsewhere))
    elif audit is None and kind == "clusters":
        parts += named
    elif audit is None:
        raise UserError(f"{output} has no removed/ folder, so what was removed is not known: give {argument('input')}")
    documents = Documents(parts)

    notes = _left_out(audit)
    kept = documents.mask(kept_ids)
    stated = None if audit is None else _stated(audit, documents)  # once: each look-up hashes all ids anew
    _note_odd_ids(notes, kept_ids, kept, stated, None if input_ids is None else documents.mask(input_ids))
    judged = _Judged(documents, kept, audit, stated, notes)
    if kind == "pairs":
        notes += _told_of_threshold(threshold, run.threshold) if "jaccard" in truth_table.columns else []
        return _against_pairs(judged, truth_table, named, threshold or run.threshold or THRESHOLD)
    if kind == "clusters":
        return _against_clusters(judged, truth_table, named[0])
    return _against_kept(judged, named)


def _left_out(audit: Audit | None) -> list[str]:
    """Return a note where documents are not graded, as a list of notes."""
    number = 0 if audit is None else len(audit.elsewhere)
    return [f"{number:,} documents were removed for documents of earlier crawls: not graded"] if number else []


def _without(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids without those that are among others; nulls stay."""
    return ids.filter(pc.invert(pc.is_in(ids, value_set=others, skip_nulls=True)))


def _stated(audit: Audit, documents: Documents) -> Ints:
    """Return the rows of removed/ as the numbers of (removed, kept), int64[k, 2]."""
    return np.column_stack([documents.numbers(audit.removed), documents.numbers(audit.kept)])


def _told_of_threshold(asked: float | None, of_run: float | None) -> list[str]:
    """Return a note where the pairs are judged by another threshold than the reader or the run may have in mind."""
    if of_run is None or of_run == (asked or THRESHOLD):
        return []
    if asked is None:
        return [f"the threshold is that of the run, {of_run:g} (metrics.json)"]
    return [f"the run's own threshold was {of_run:g} (metrics.json); pairs are judged by {asked:g}, as asked"]


@dataclass(frozen=True)
class _Judged:
    """A result as it is held against a truth.

    documents  all of them, by number
    kept       bool[n], which of them were kept
    audit      removed/, where there is such a folder
    stated     int64[k, 2], its rows as numbers of (removed, kept)
    notes      what is said of both so far
    """

    documents: Documents
    kept: Mask
    audit: Audit | None
    stated: Ints | None
    notes: list[str]

    def counts(self, **of_truth: int) -> dict[str, int]:
        """Return the counts of the grade."""
        kept = int(np.sum(self.kept))
        return {"documents": len(self.kept), "kept": kept, "removed": len(self.kept) - kept, **of_truth}

    def audit_pairs(self) -> Ints | None:
        """Return the rows of removed/ that can be judged, None where there is no such folder."""
        return None if self.audit is None or self.stated is None else _audit_pairs(self.audit, self.stated, self.notes)


def _against_pairs(judged: _Judged, truth: ParquetTable, ends: list[pa.ChunkedArray], threshold: float) -> Grade:
    audit_pairs = judged.audit_pairs()
    pairs, jaccard = true_pairs(truth, ends, judged.documents, judged.notes)
    if jaccard is not None:
        _note_jaccards(judged, pairs, jaccard, threshold)
        pairs = pairs[jaccard >= threshold]
    scores = figures.against_pairs(judged.kept, pairs, audit_pairs)
    counts = judged.counts(true_pairs=len(pairs))
    return Grade("pairs", None if jaccard is None else threshold, counts, scores, judged.notes)


def _against_clusters(judged: _Judged, truth: ParquetTable, ids: pa.ChunkedArray) -> Grade:
    audit_pairs = judged.audit_pairs()
    clusters = cluster_numbers(truth, ids, judged.documents, judged.notes)
    scores = figures.against_clusters(judged.kept, clusters, audit_pairs)
    return Grade("clusters", None, judged.counts(clusters=int(clusters.max(initial=-1)) + 1), scores, judged.notes)


def _against_kept(judged: _Judged, named: list[pa.ChunkedArray]) -> Grade:
    judged.audit_pairs()  # for its notes, and what it refuses
    note_unknown(judged.documents, named, judged.notes)
    true_kept = judged.documents.mask(named[0])
    scores = figures.against_kept(judged.kept, true_kept)
    return Grade("kept", None, judged.counts(listed=int(np.sum(true_kept))), scores, judged.notes)


def _audit_pairs(audit: Audit, stated: Ints, notes: list[str]) -> Ints:
    """Return the rows of removed/ without those that cannot be judged."""
    nulls = np.asarray(audit.removed.is_null()) | np.asarray(audit.kept.is_null())
    unknown = (stated < 0).any(axis=1) & ~nulls
    if unknown.any():
        row = int(np.argmax(unknown))
        raise UserError(
            f"removed/ names the kept_id {audit.kept[row].as_py()!r} (row {row:,}; {np.sum(unknown):,} such rows), "
            "which is no document of this output: the folder is incomplete, run the job again"
        )
    if null_rows := int(np.count_nonzero(nulls)):
        notes.append(f"{null_rows:,} rows of removed/ have a null id: left out")
    same = (stated[:, 0] == stated[:, 1]) & ~nulls
    if same_rows := int(np.count_nonzero(same)):
        notes.append(f"{same_rows:,} rows of removed/ name the same id twice (duplicate ids): left out of the pairs")
    judged: Ints = stated[~same & ~nulls]
    return judged


def _note_odd_ids(
    notes: list[str], kept_ids: pa.ChunkedArray, kept: Mask, stated: Ints | None, in_input: Mask | None
) -> None:
    if nulls := kept_ids.null_count:
        notes.append(f"{nulls:,} kept rows have a null id: left out")
    if repeated := len(kept_ids) - kept_ids.null_count - int(np.sum(kept)):
        notes.append(f"{repeated:,} kept rows repeat an id: an id counts once, as kept")
    if stated is not None:
        removed, kept_for = (np.zeros(len(kept) + 1, dtype=np.bool_) for _ in range(2))
        removed[stated[:, 0]] = kept_for[stated[:, 1]] = True  # -1, for null, falls on the last place, cut off below
        if both := int(np.sum(kept & removed[:-1])):
            notes.append(f"{both:,} ids are in kept/ and in removed/ (duplicate ids): they count as kept")
        if not_kept := int(np.sum(~kept & kept_for[:-1])):
            notes.append(f"{not_kept:,} ids that removed/ names as kept_id are not in kept/")
        if lost := int(np.sum(~kept & ~removed[:-1])):
            notes.append(f"{lost:,} documents of the input are neither in kept/ nor in removed/: they count as removed")
    if in_input is not None and (new := int(np.sum(~in_input))):
        notes.append(f"{new:,} documents of the output are not in the input")


def _note_jaccards(judged: _Judged, pairs: Ints, jaccard: Floats, threshold: float) -> None:
    """Say where the truth may end above the threshold, and where removed/ states another Jaccard than the true one."""
    audit, stated, notes = judged.audit, judged.stated, judged.notes
    if len(pairs) == 0:
        return
    if jaccard.min() > threshold:
        notes.append(f"the least Jaccard in the truth is {jaccard.min():.4g}: it may lack pairs down to {threshold:g}")
    if audit is None or audit.jaccard is None or stated is None:
        return
    keys, true_keys = (figures.pair_keys(p, len(judged.documents)) for p in (stated, pairs))
    order = np.argsort(true_keys)
    place = np.minimum(np.searchsorted(true_keys[order], keys), len(order) - 1)
    matching = true_keys[order][place] == keys
    difference = np.abs(np.asarray(audit.jaccard.to_numpy()) - jaccard[order][place])[matching]
    if wrong := int(np.count_nonzero(~(difference <= JACCARD_TOLERANCE))):
        notes.append(
            f"{wrong:,} of {len(difference):,} Jaccards stated in removed/ differ from the true ones, "
            f"by up to {np.nanmax(difference, initial=0):.3g}"
        )


def _figure_as_dict(figure: Figure) -> dict[str, object]:
    return {
        "value": figure.value,
        "right": None if figure.total is None else figure.right,
        "total": figure.total,
        "definition": figure.definition,
    }
