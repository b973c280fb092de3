"""What a grading can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sparkprep.kinds import Number, Text
from sparkprep.options import Keywords, check_options, option


@dataclass(frozen=True)
class GradeSettings(Keywords):
    """How a result is graded, and below what figures the exit code is 1. Raises UserError on a value that cannot be."""

    threshold: float | None = option(
        None, "a pair is true from this Jaccard on (default: the run's own, else 0.8)", Number(0, 1, above=True), "J"
    )
    id_column: str | None = option(
        None, "identifier in kept/ and --input (default: the run's own, else `id`)", Text(), "NAME"
    )
    min_precision: float | None = option(
        None, "exit 1 if the precision of the removed documents is below", Number(0, 1), "X"
    )
    min_recall: float | None = option(
        None,
        "exit 1 if the recall of the pairs (with a list of kept ids: of the removed documents) is below",
        Number(0, 1),
        "Y",
    )

    def __post_init__(self) -> None:
        check_options(self)
