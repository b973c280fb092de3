"""The figures of a grading as text."""

import math
from collections.abc import Sequence

from sparkprep.grade.figures import F1_DEFINITION, Figure, Scores


def table(scores: Sequence[Scores]) -> str:
    """Return the figures as aligned lines, each with its counts and its definition."""
    rows = [("", "", "value", "counts", "definition")]
    for each in scores:
        rows.append((each.subject, "precision", *_cells(each.precision)))
        rows.append(("", "recall", *_cells(each.recall)))
        rows.append(("", "F1", decimal(each.f1), "", F1_DEFINITION))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    )


def decimal(value: float | None) -> str:
    """Return four places, rounded down: 1.0000 is printed only for a figure without any error."""
    return "n/a" if value is None else f"{math.floor(value * 10_000) / 10_000:.4f}"


def _cells(figure: Figure) -> tuple[str, str, str]:
    counts = "" if figure.total is None else f"{figure.right:,} / {figure.total:,}"
    return decimal(figure.value), counts, figure.definition
