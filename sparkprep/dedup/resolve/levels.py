"""How many documents would go at several thresholds, told from one pass over a component in keep order.

`meet` is given each document once, in keep order, and answers for each threshold, in ascending order, whether it goes.
"""

from __future__ import annotations

from collections.abc import Iterable

Neighbours = Iterable[tuple[int, int]]
"""(a neighbour's key, how many of the thresholds the similarity with it reaches)."""


class Leaders:
    """The rule `leader`: a document goes where one before it stays and reaches the threshold."""

    def __init__(self, thresholds: int) -> None:
        self._all = (1 << thresholds) - 1
        self._stays: dict[int, int] = {}
        """key -> the thresholds at which it stays, a bit for each"""

    def clear(self) -> None:
        """Forget the documents met: another component begins."""
        self._stays = {}

    def meet(self, key: int, neighbours: Neighbours) -> list[bool]:
        """Return at which of the thresholds the next document goes."""
        goes = 0
        for neighbour, reached in neighbours:
            goes |= self._stays.get(neighbour, 0) & ((1 << reached) - 1)
        self._stays[key] = self._all & ~goes
        return [bool(goes >> level & 1) for level in range(self._all.bit_length())]


class Components:
    """The rule `component`: of each connected component one stays, so that one goes with each edge that joins two."""

    def __init__(self, thresholds: int) -> None:
        self._thresholds = thresholds
        self._numbers: dict[int, int] = {}
        self._parents: list[list[int]] = [[] for _ in range(thresholds)]
        """of each threshold a forest, over the documents' numbers"""

    def clear(self) -> None:
        """Forget the documents met: another component begins."""
        self.__init__(self._thresholds)  # type: ignore[misc]

    def meet(self, key: int, neighbours: Neighbours) -> list[int]:
        """Return for each of the thresholds how many fewer components stand alone for the next document."""
        number = self._numbers[key] = len(self._numbers)
        for parents in self._parents:
            parents.append(number)
        joined = [0] * self._thresholds
        for neighbour, reached in neighbours:
            other = self._numbers.get(neighbour)
            if other is None:
                continue
            for level in range(reached):
                parents = self._parents[level]
                a, b = _root(parents, number), _root(parents, other)
                if a != b:
                    parents[max(a, b)] = min(a, b)
                    joined[level] += 1
        return joined


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
