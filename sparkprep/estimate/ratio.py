"""Totals of a whole from a sample of it, each with its interval: the ratio estimator of survey sampling.

The whole is cut into strata of equal size, and in each one window is drawn. With s_k the size of window k, known of the
whole too (rows, or bytes of the files), and v_k what was counted in it, the total is S * sum(v) / sum(s), and its
variance, with K windows and f the share of the whole that they are,

    S**2 * (1 - f) * K / (K - 1) * sum((v_k - v/s * s_k)**2) / sum(s)**2

(Cochran, Sampling Techniques, 1977, sections 6.4 and 9A.4): windows, not documents, are what was drawn, since
neighbours are alike. That they lie in strata makes the truth vary less than this tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sparkprep.emr.cost.formula import Factor

UNKNOWN = 2.0
"""Where one window was read, it tells nothing of how windows differ: half and twice are assumed."""
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Two-sided 95 % quantiles of Student's t, of 1 to 9 degrees of freedom; 2.05 covers those from 30 on, 2.26 between."""


def total(sizes: Sequence[float], values: Sequence[float], whole: float) -> Factor:
    """Return the total of what was counted in windows of these sizes, of a whole of this size, with a 95 % interval.

    It is never below what was counted. Of windows that are the whole the interval has no width.
    """
    size, value = np.asarray(sizes, np.float64), np.asarray(values, np.float64)
    seen = float(value.sum())
    if not size.sum():
        return Factor(0.0, 0.0, 0.0)
    ratio = seen / float(size.sum())
    expected, share = ratio * whole, float(size.sum()) / whole
    if share >= 1:
        return Factor(seen, seen, seen)
    count = len(size)
    if count < 2:
        return Factor(max(seen, expected / UNKNOWN), expected, expected * UNKNOWN)
    spread = float(((value - ratio * size) ** 2).sum()) * count / (count - 1)
    error = whole * math.sqrt((1 - share) * spread) / float(size.sum())
    wide = _student(count - 1) * error
    return Factor(max(seen, expected - wide), expected, expected + wide)


def _student(freedom: int) -> float:
    return _STUDENT[min(freedom, len(_STUDENT)) - 1] if freedom < 30 else 2.05
