"""The thresholds of a run decided in step, so that what any of them wants compared is compared together, and once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

Pairs = TypeVar("Pairs")
"""Distinct pairs of documents, as a place of work holds them, that one threshold has not asked for before."""
Similar = TypeVar("Similar")
"""The same with their similarities."""
Decided = TypeVar("Decided")


class Rounds(Generic[Pairs, Similar, Decided]):
    """Generators, one for each threshold, that yield pairs to be compared and are sent their similarities.

    compare: answers what those asked for that have not decided yet, in the order of the generators.

    >>> def steps(pairs):
    ...     similar = yield pairs
    ...     return max(similar)
    >>> rounds = Rounds([steps([1, 2]), steps([2, 3])], lambda asked: [[pair / 10 for pair in each] for each in asked])
    >>> while rounds.go_on():
    ...     pass
    >>> rounds.decided()
    [0.2, 0.3]
    """

    def __init__(
        self,
        steps: Sequence[Generator[Pairs, Similar, Decided]],
        compare: Callable[[Sequence[Pairs]], Sequence[Similar]],
    ) -> None:
        self._steps, self._compare = steps, compare
        self._answers: dict[int, Similar | None] = dict.fromkeys(range(len(steps)))
        self._decided: dict[int, Decided] = {}

    def go_on(self) -> bool:
        """Let each go on with its answer until it asks again, and answer; return whether any has asked."""
        asked: dict[int, Pairs] = {}
        for number, answer in self._answers.items():
            try:
                asked[number] = self._steps[number].send(answer)  # type: ignore[arg-type]  # first None, as it must be
            except StopIteration as end:
                self._decided[number] = end.value
        self._answers = dict(zip(asked, self._compare(list(asked.values())), strict=True)) if asked else {}
        return bool(asked)

    def decided(self) -> list[Decided]:
        """Return what they have come to, in their order, when none asks any more."""
        return [self._decided[number] for number in range(len(self._steps))]
