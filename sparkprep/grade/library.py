"""Grading as a library gives it: a result and a truth in, figures out that show themselves."""

from __future__ import annotations

import os

from sparkprep.arguments import check_arguments
from sparkprep.errors import UserError, argument
from sparkprep.grade.grading import Grade, grade
from sparkprep.grade.loading import run_facts
from sparkprep.io.paths import normalise
from sparkprep.io.results import HasOutput, place_of, refuse_several
from sparkprep.sample import Subset, embedded


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
    check_arguments(("result",), result=place_of(result), truth=truth, input=input)
    output = normalise(place_of(result))
    refuse_several(output)
    if size is not None:
        subset = embedded(size)  # type: ignore[arg-type]  # which refuses others
        refuse_other_harvest(output, subset)
        truth, input = subset.pairs, input or subset.documents
    assert truth is not None
    return grade(
        output,
        normalise(truth),
        threshold=threshold,
        id_column=id_column,
        input=None if input is None else normalise(input),
    )


def refuse_other_harvest(output: str, subset: Subset) -> None:
    """Raise UserError where a result says that it was made of an embedded subset, and of another than this."""
    made_of = run_facts(output).sample
    if made_of is None:
        return
    truth = subset.origin()
    if made_of.get("size") != truth["size"]:
        raise UserError(
            f"{output} was made of {argument('size', made_of.get('size'))}, not {truth['size']}: grade it by that"
        )
    if made_of.get("sha256") != truth["sha256"]:
        theirs = made_of.get("versions")
        theirs = theirs if isinstance(theirs, dict) else {}
        names = sorted(theirs.keys() | truth["versions"].keys())
        differing = [
            f"{name} {theirs.get(name, 'absent')} then, {truth['versions'].get(name, 'absent')} now"
            for name in names
            if theirs.get(name) != truth["versions"].get(name)
        ]
        why = "; ".join(differing) or "the same packages with other contents"
        raise UserError(
            f"{output} was made of an embedded subset that is not the one built here ({why}): make it anew, or grade "
            "it where those versions are installed"
        )
