"""The states of xorshift* 64, with shifts of 12, 25 and 27, as llm.c draws from it for sampling and for rounding.

Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. In llm.c it is random_u32
of sampler.h.
"""

from __future__ import annotations

MASK = (1 << 64) - 1
"""All bits of a state; a state of 0 would never be left."""
MULTIPLIER = 0x2545F4914F6CDD1D
"""By which a state is scrambled, modulo 2^64, into the number that is drawn."""


def advance(state: int, draws: int = 1) -> int:
    """Return the state, from 1 to 2^64 - 1, after so many draws."""
    for _ in range(draws):
        state ^= state >> 12
        state ^= (state << 25) & MASK
        state ^= state >> 27
    return state
