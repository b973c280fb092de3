"""GPT-2's byte pair encoding by its definition: the pattern cuts a text, ranks say which bytes merge.

Slow, and there for what tiktoken cannot do: its pattern matcher gives up on a million blanks.
"""

from __future__ import annotations

import heapq

import regex

from sparkprep.tokenizer.vocabulary import PATTERN, ranks

_PIECES = regex.compile(PATTERN)


def encode(text: str) -> list[int]:
    """Return the ids of a text."""
    rank_of = ranks()
    ids: list[int] = []
    for match in _PIECES.finditer(text):
        piece = match.group().encode("utf-8")
        whole = rank_of.get(piece)
        ids.extend([whole] if whole is not None else merge(piece))
    return ids


def merge(piece: bytes) -> list[int]:
    """Return the ids of one piece.

    Of all neighbours whose join is a token, those with the least rank are joined first, the leftmost of equals before
    the others, until none can be. n log n for n bytes.
    """
    rank_of = ranks()
    start_of_next = list(range(1, len(piece) + 1))
    start_of_previous = list(range(-1, len(piece) - 1))
    alive = [True] * len(piece)
    waiting: list[tuple[int, int, int, int]] = []

    def offer(start: int) -> None:
        """Put the part at `start` and its neighbour on the heap, if their join is a token."""
        middle = start_of_next[start]
        if middle < len(piece):
            end = start_of_next[middle]
            rank = rank_of.get(piece[start:end])
            if rank is not None:
                heapq.heappush(waiting, (rank, start, middle, end))

    for start in range(len(piece) - 1):
        offer(start)
    while waiting:
        _, start, middle, end = heapq.heappop(waiting)
        # An entry is stale where one of its parts has grown or gone meanwhile.
        stale = not alive[start] or start_of_next[start] != middle or start_of_next[middle] != end
        if stale or not alive[middle]:
            continue
        alive[middle] = False
        start_of_next[start] = end
        if end < len(piece):
            start_of_previous[end] = start
        offer(start)
        if start_of_previous[start] >= 0:
            offer(start_of_previous[start])
    ids, start = [], 0
    while start < len(piece):
        ids.append(rank_of[piece[start : start_of_next[start]]])
        start = start_of_next[start]
    return ids
