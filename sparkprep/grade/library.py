"""Grading as a library gives it: a result and a truth in, figures out that show themselves."""

from __future__ import annotations

import os
from typing import Any

from sparkprep.errors import UserError, argument
from sparkprep.grade.grading import Grade, grade
from sparkprep.io.paths import normalise
from sparkprep.io.results import HasOutput, place_of


def grade_result(
    result: HasOutput | str | os.PathLike[str],
    truth: str | os.PathLike[str] | None = None,
    *,
    size: str | None = None,
    threshold: float | None = None,
    id_column: str | None = None,
    input: str | os.PathLike[str] | None = None,
) -> Grade:
    """Hold a near-duplicate removal against what is known to be true: precision, recall and F1.

    result: what `deduplicate` has returned, its output folder, or the kept documents as Parquet. truth: Parquet with
    all true pairs (id_a, id_b, jaccard), clusters (id, cluster_id) or kept ids (id), told by its columns; or, in its
    place, size: the embedded subset that was deduplicated, "1k" or "10k". threshold: from which a pair is true; by
    default the run's own. id_column: the identifier, by default the run's own. input: the documents that were
    deduplicated, to find what was lost. Raises UserError for anything missing, unreadable or not matching.

    >>> grade_result(result, size="10k")                         # doctest: +SKIP
    """
    if (truth is None) == (size is None):
        raise UserError(f"{argument('truth')} or {argument('size')}: give one of them")
    if size is not None:
        from sparkprep.sample import embedded

        subset = embedded(size)  # type: ignore[arg-type]  # which refuses others
        truth, input = subset.pairs, input or subset.documents
    assert truth is not None
    own: dict[str, Any] = getattr(result, "metrics", {}).get("settings", {})
    given: dict[str, Any] = {
        "threshold": threshold or own.get("threshold"),
        "id_column": id_column or own.get("id_column"),
    }
    return grade(
        normalise(place_of(result)),
        normalise(truth),
        input=None if input is None else normalise(input),
        **{name: value for name, value in given.items() if value is not None},
    )
