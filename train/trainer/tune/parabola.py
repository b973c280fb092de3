"""Parabolas and lines by least squares, as the course's strategies want them: a vertex a rung, a line through rungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_POINTS = 5
"""About the best, that a parabola goes through: farther out a bowl is none."""
_NOISE = 0.005
"""Nats, where too few points are left over to tell it."""

_BEND = 0.1
"""Octaves that a line may bend by for each doubling between the largest rung and the target: optima of published
ladders curve at scale (arXiv 2606.29158), which no line through small rungs can see."""


@dataclass(frozen=True)
class Vertex:
    """The bottom of a rung: log2 of its rate, its deviation in octaves, and nats for a squared octave.

    on_edge: whether the least loss stood at an end of the points, so that the bottom may lie beyond.
    """

    place: float
    deviation: float
    curvature: float | None
    on_edge: bool


def vertex(points: Sequence[tuple[float, float]]) -> Vertex:
    """Return the vertex of the parabola through the five best (rate, loss) points in log2 of the rate.

    Where three points are not to be had or the parabola opens downwards it is the best point, as uncertain as the
    points are far apart; and a vertex is never placed more than half a spacing outside the points.
    """
    ordered = sorted((math.log2(rate), loss) for rate, loss in points)
    places, losses = (np.array(column) for column in zip(*ordered, strict=True))
    best = int(losses.argmin())
    on_edge = best in (0, len(places) - 1)
    spacing = float(np.median(np.diff(places))) if len(places) > 1 else 1.0
    start = min(max(0, best - _POINTS // 2), max(0, len(places) - _POINTS))
    near = slice(start, start + _POINTS)
    x, y = places[near] - places[best], losses[near]
    if len(np.unique(x)) < 3:
        return Vertex(float(places[best]), spacing, None, on_edge)
    design = np.stack([np.ones_like(x), x, x * x], axis=1)
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    _, slope, curve = (float(value) for value in coefficients)
    if curve <= 0:
        return Vertex(float(places[best]), spacing, None, on_edge)
    freedom = len(x) - 3
    residuals = y - design @ coefficients
    noise = math.sqrt(float(residuals @ residuals) / freedom) if freedom >= 2 else _NOISE
    place = -slope / (2 * curve)
    gradient = np.array([0.0, -1 / (2 * curve), slope / (2 * curve**2)])
    deviation = noise * math.sqrt(float(gradient @ np.linalg.pinv(design.T @ design) @ gradient))
    bounded = min(max(place, float(x.min()) - spacing / 2), float(x.max()) + spacing / 2)
    deviation = math.hypot(deviation, place - bounded)
    return Vertex(float(places[best]) + bounded, min(deviation, 3 * spacing), curve, on_edge)


def extrapolate(
    distances: Sequence[float], vertices: Sequence[Vertex], slope: tuple[float, float] | None = None
) -> tuple[float, float, float]:
    """Return log2 of the rate where the distance is none, its deviation, and the slope of the line through vertices.

    distances: doublings from the target down to each rung. slope: mean and deviation of a belief about the slope,
    taken as one more observation; None: the points alone tell, two at the least.
    """
    deviations = np.maximum([each.deviation for each in vertices], 0.05)
    design = np.stack([np.ones(len(vertices)), np.asarray(distances)], axis=1) / deviations[:, None]
    values = np.array([each.place for each in vertices]) / deviations
    if slope is not None:
        design = np.vstack([design, [0.0, 1 / slope[1]]])
        values = np.append(values, slope[0] / slope[1])
    covariance = np.linalg.pinv(design.T @ design)
    line = covariance @ design.T @ values
    freedom = len(values) - 2
    misfit = float(np.sum((values - design @ line) ** 2)) / freedom if freedom else 1.0
    deviation = math.hypot(math.sqrt(covariance[0, 0] * max(1.0, misfit)), _BEND * min(distances))
    return float(line[0]), deviation, float(line[1])
