"""Several thresholds in one run: which may be asked for, and where the result of each lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparkprep.dedup.settings import Settings
from sparkprep.errors import UserError, argument
from sparkprep.options import option_named

MOST_THRESHOLDS = 8
"""A task that writes holds a row group of each."""


def folder_of(threshold: float) -> str:
    """Return the name of the folder, within the output, of the result of one of several thresholds.

    >>> folder_of(0.7), folder_of(1.0)
    ('threshold-0.7', 'threshold-1')
    """
    return f"threshold-{threshold!r}".removesuffix(".0")


def are_several(threshold: object) -> bool:
    """Return whether a threshold as it was given is a list of them, be it of one."""
    return isinstance(threshold, Sequence | np.ndarray) and not isinstance(threshold, str | bytes)


def check_thresholds(given: Sequence[float], settings: Settings) -> tuple[float, ...]:
    """Return several thresholds as plain numbers, in ascending order; settings: the others, which serve each of them.

    Raises UserError where one cannot work, or is given twice, and where there are none, or more than MOST_THRESHOLDS.
    """
    values = list(given)
    checked = [option_named(Settings, "threshold").checked(value) for value in values]
    shown = " ".join(f"{value:g}" for value in checked)
    if not values:
        raise UserError(f"{argument('threshold')}: no threshold is given: name one or several, as 0.7 0.8 0.9")
    twice = next((value for place, value in enumerate(checked) if value in checked[:place]), None)
    if twice is not None:
        raise UserError(f"{argument('threshold')} {shown}: {twice:g} is given twice; each makes a result of its own")
    if len(values) > MOST_THRESHOLDS:
        raise UserError(
            f"{argument('threshold')} {shown}: these are {len(values)}, and a run takes {MOST_THRESHOLDS} at most: a "
            "task holds rows of each while it writes; start several runs"
        )
    for value in checked:
        replace(settings, threshold=value)  # each must have a banding
    return tuple(sorted(checked))
