"""Small sums before any money is spent: tokens for a model, steps for tokens, points of a cover, grid against random.

Each result is a dataclass whose text is what a command line prints.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sparkprep.errors import UserError, argument
from trainer.tune.experiments import Scale
from trainer.tune.literature import TOKENS_PER_STEP

TOKENS_PER_PARAMETER = 20
"""Of training for a model that is to be as good as its FLOPs allow (Hoffmann et al., 2022, arXiv 2203.15556)."""
SHOWN = 20
"""Points of a cover that its text names."""
_GOOD = 0.05  # the share of a range that the chances of a grid and of random search are told for (Bergstra & Bengio)


@dataclass(frozen=True)
class OptimalTokens:
    """How long a model of a size is to be trained. steps: whole ones, which see `tokens` or up to a step more."""

    parameters: int
    tokens: int
    tokens_per_step: int
    steps: int

    def __str__(self) -> str:
        return (
            f"{self.parameters:,} parameters x {self.tokens / self.parameters:g} = {self.tokens:,} tokens, "
            f"{self.steps:,} steps of {self.tokens_per_step:,}"
        )


@dataclass(frozen=True)
class Cover:
    """Points so that none of a box is further than `epsilon` from all of them, along any of its axes (maximum norm).

    counts: of points along each axis.
    """

    box: tuple[tuple[Fraction, Fraction], ...]
    epsilon: Fraction
    counts: tuple[int, ...]

    @property
    def size(self) -> int:
        """The covering number: prod ceil((b - a) / (2 epsilon))."""
        return math.prod(self.counts)

    def points(self) -> Iterator[tuple[float, ...]]:
        """Yield the points, the last axis fastest; along an axis they are the middles of equal parts."""
        yield from itertools.product(
            *(
                [float(low + (high - low) * (2 * i + 1) / (2 * count)) for i in range(count)]
                for (low, high), count in zip(self.box, self.counts, strict=True)
            )
        )

    def __str__(self) -> str:
        factors = " x ".join(f"{count:,}" for count in self.counts)
        points = [", ".join(f"{x:.6g}" for x in point) for point in itertools.islice(self.points(), SHOWN)]
        if len(self.box) > 1:
            points = [f"({point})" for point in points]
        more = f" and {self.size - SHOWN:,} more" if self.size > SHOWN else ""
        product = f"{factors} = " if len(self.counts) > 1 else ""
        return f"{product}{self.size:,} point{'' if self.size == 1 else 's'}: {', '.join(points)}{more}"


@dataclass(frozen=True)
class Search:
    """A way to spread runs over `dimensions` parameters of which one matters.

    values: different ones that it tries of the parameter that matters. runs: that it makes. distance: to the optimum
    from the nearest value tried, as expected where the optimum may be anywhere in the range, as a share of the range.
    hit: the chance that a value falls into a stretch of 5 % of the range, wherever it lies.
    """

    name: str
    runs: int
    values: int
    distance: float
    hit: float


@dataclass(frozen=True)
class Comparison:
    """Grid, random search and a Latin hypercube at one budget. cover: points for one within `epsilon`, if asked for."""

    dimensions: int
    budget: int
    searches: tuple[Search, ...]
    take: str
    cover: int | None = None

    def __str__(self) -> str:
        rows = [("", "runs", "values of the one", "distance expected", f"hits the best {_GOOD:.0%}")]
        rows += [
            (each.name, f"{each.runs:,}", f"{each.values:,}", f"{each.distance:.2%}", f"{each.hit:.1%}")
            for each in self.searches
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        cover = (
            [] if self.cover is None else [f"a cover needs {self.cover:,} points; the budget is {self.budget:,} runs"]
        )
        return "\n".join([*lines, *cover, f"take: {self.take}"])


def optimal_tokens(
    depth: int,
    channels: int,
    tokens_per_step: int = TOKENS_PER_STEP,
    per_parameter: float = TOKENS_PER_PARAMETER,
) -> OptimalTokens:
    """Return how many tokens a GPT-2 of a size is to be trained on for the least loss at its FLOPs.

    Heads change no parameter. Raises UserError for a size or batch below 1.
    """
    _positive(depth=depth, channels=channels, tokens_per_step=tokens_per_step, per_parameter=per_parameter)
    parameters = Scale(depth, channels, 1, 1).parameters
    tokens = math.ceil(_exact(per_parameter) * parameters)
    return OptimalTokens(parameters, tokens, tokens_per_step, steps_of(tokens, tokens_per_step))


def steps_of(tokens: int, tokens_per_step: int = TOKENS_PER_STEP) -> int:
    """Return the least number of steps that see so many tokens. Raises UserError for a batch below 1 or no tokens."""
    _positive(tokens=tokens, tokens_per_step=tokens_per_step)
    return -(-tokens // tokens_per_step)


def tokens_of(steps: int, tokens_per_step: int = TOKENS_PER_STEP) -> int:
    """Return the tokens that so many steps see. Raises UserError for a batch below 1 or no steps."""
    _positive(steps=steps, tokens_per_step=tokens_per_step)
    return steps * tokens_per_step


def cover(box: Sequence[tuple[float, float]], epsilon: float) -> Cover:
    """Return the least cover of a box, given as (low, high) of each axis, by cubes of side 2 epsilon.

    Numbers are taken as they are typed, so that 0.3 / 0.1 is 3 and not a little more. An axis without extent takes
    one point. Raises UserError for no axis, one whose ends are in the wrong order, and an epsilon that is not above 0.
    """
    if not box:
        raise UserError("a box without an axis cannot be covered; give the ends of one, such as 1 2")
    _positive(epsilon=epsilon)
    if not all(math.isfinite(end) for axis in box for end in axis):
        raise UserError("a box without end cannot be covered; give finite numbers for the ends of each axis")
    exact = tuple((_exact(low), _exact(high)) for low, high in box)
    for low, high in exact:
        if high < low:
            raise UserError(f"the range from {float(low):g} to {float(high):g} ends before it begins; swap its ends")
    side = 2 * _exact(epsilon)
    return Cover(exact, side / 2, tuple(max(1, math.ceil((high - low) / side)) for low, high in exact))


def rates_cover(low: float, high: float, octaves: float) -> tuple[float, ...]:
    """Return learning rates of which one is within so many octaves (doublings) of any rate from `low` to `high`.

    Raises UserError for a range that ends before it begins or touches 0, and a width that is not above 0.
    """
    _positive(low=low, high=high)
    if high < low:
        raise UserError(f"{argument('low', low)} is above {argument('high', high)}; swap them")
    covered = cover([(math.log2(low), math.log2(high))], octaves)
    return tuple(2**x for (x,) in covered.points())


def grid_or_random(dimensions: int, budget: int, epsilon: float | None = None) -> Comparison:
    """Compare what `budget` runs find of the one parameter that matters among `dimensions`, each of the range 0 to 1.

    A grid tries floor(budget^(1/dimensions)) values of each parameter, evenly spaced; random search as many as there
    are runs, and so does a Latin hypercube, evenly spaced too (Bergstra & Bengio, 2012, JMLR 13; McKay et al., 1979).
    epsilon: how near the optimum of every parameter is to be met, where the cover that ensures it is to be compared.
    Raises UserError for fewer than one dimension or run, and an epsilon that is not above 0.
    """
    _positive(dimensions=dimensions, budget=budget)
    each = _root(budget, dimensions)
    searches = (
        Search("grid", each**dimensions, each, 1 / (4 * each), _grid_hits(each)),
        Search("random", budget, budget, _random_distance(budget), 1 - (1 - _GOOD) ** budget),
        Search("Latin hypercube", budget, budget, 1 / (4 * budget), _grid_hits(budget)),
    )
    needed = None if epsilon is None else cover([(0, 1)] * dimensions, epsilon).size
    return Comparison(dimensions, budget, searches, _advice(dimensions, budget, searches, needed), needed)


def _advice(dimensions: int, budget: int, searches: Sequence[Search], needed: int | None) -> str:
    grid, random, _ = searches
    if dimensions == 1:
        return "the grid: of one parameter it tries as many values as random search, and evenly spaced"
    if needed is not None and budget >= needed:
        return (
            "the grid of the cover: the budget suffices for it, and it holds for any number of parameters that matter"
        )
    values = "1 value" if grid.values == 1 else f"{grid.values:,} values"
    short = "" if needed is None else f"the budget is {budget / needed:.2g} of the cover, and "
    if random.distance < grid.distance:
        return (
            f"random search, best as a Latin hypercube: {short}a grid spends {grid.runs:,} runs on {values} of the "
            f"parameter that matters, random search tries {random.values:,}"
        )
    return (
        f"a Latin hypercube: {short}a grid tries only {values} of the parameter that matters, and plain random draws "
        "are too few to lie nearer"
    )


def _random_distance(draws: int) -> float:
    """Return the mean distance from a uniform point in [0, 1] to the nearest of so many uniform draws.

    The integral over both of (1 - p(r))^n, with p the share of [0, 1] within r of the point: (n + 3) / 2(n + 1)(n + 2).
    """
    return (draws + 3) / (2 * (draws + 1) * (draws + 2))


def _grid_hits(count: int) -> float:
    """Return the chance that a stretch of _GOOD, anywhere in [0, 1], holds one of so many evenly spaced middles."""
    if count * _GOOD >= 1:
        return 1.0
    middles = [(2 * i + 1) / (2 * count) for i in range(count)]
    last = 1 - _GOOD  # the stretch begins between 0 and here
    held, reached = 0.0, 0.0
    for middle in middles:
        begin, end = max(reached, middle - _GOOD, 0.0), min(middle, last)
        if end > begin:
            held, reached = held + end - begin, end
    return min(1.0, held / last)


def _root(number: int, degree: int) -> int:
    """Return the greatest whole number whose power is not above `number`, exactly."""
    root: int = max(1, round(float(number) ** (1 / degree)))
    while root**degree > number:
        root -= 1
    while (root + 1) ** degree <= number:
        root += 1
    return root


def _exact(number: float) -> Fraction:
    """Return a number as it is typed, not as the nearest binary fraction."""
    return Fraction(repr(float(number)))


def _positive(**values: float) -> None:
    """Raise UserError for the first value that is not a finite number above 0, by its name."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{argument(name, value)}: give a finite number above 0")
