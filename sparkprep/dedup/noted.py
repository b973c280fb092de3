"""What a stage leaves in the workspace beside its tables: noted with what it told, for a run that goes on from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sparkprep.dedup.workspace import Workspace
from sparkprep.spark.tables import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Noted:
    """What a stage told. scans, warnings: what it added to those of the run, and of each threshold's view."""

    value: Any
    scans: list[dict[str, Any]]
    warnings: list[list[str]]


def once(
    work: Workspace,
    name: str,
    do: Callable[[], T],
    kinds: Sequence[type],
    tables: Iterable[Table],
    views: Sequence[Workspace],
) -> T:
    """Do the work of a stage, or return what it told in an earlier run (`Stages.once`), with all that it has noted.

    views: of the thresholds that the stage works for, or the run itself where it works for all.
    """
    done = False

    def noted() -> Noted:
        nonlocal done
        done = True
        scans, warnings = len(work.scans), [len(view.warnings) for view in views]
        value = do()
        added = [view.warnings[number:] for view, number in zip(views, warnings, strict=True)]
        return Noted(value, work.scans[scans:], added)

    told = work.stages.once(name, noted, (Noted, *kinds), list(tables))
    if not done:
        work.scans += told.scans
        for view, added in zip(views, told.warnings, strict=True):
            view.warnings += added
    return told.value  # type: ignore[no-any-return]
