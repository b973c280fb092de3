"""How a token is drawn from logits: llm.c's coins, its walk along the cumulative softmax, and what narrows the choice.

The coins and the walk are those of llm.c's sampler.h (`trainer/xorshift.py`), in float32 as there: in float64 every
tenth to twentieth token would be another. What llm.c does not have works in float64: top-k (Fan et al. 2018), top-p
(the nucleus, Holtzman et al. 2020), temperature. All of it is NumPy in one order, so that a seed gives the same tokens
wherever the logits are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.errors import UserError
from trainer import xorshift

DEFAULT_SEED = 1337

Logits = npt.NDArray[np.floating[Any]]
Probabilities = npt.NDArray[np.float64]


class Coins:
    """llm.c's random numbers: float32 values in [0, 1) with 24 random bits, given as Python floats.

    seed: from 1 to 2^64 - 1, UserError otherwise: xorshift never leaves the state 0.
    """

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        if not 0 < seed <= xorshift.MASK:
            raise UserError(f"the seed {seed} gives no random numbers; give one from 1 to 2^64 - 1")
        self._state = seed

    def next(self) -> float:
        """Return the next one."""
        self._state = xorshift.advance(self._state)
        high = ((self._state * xorshift.MULTIPLIER) & xorshift.MASK) >> 32
        return (high >> 8) / (1 << 24)


@dataclass(frozen=True)
class Choice:
    """What may be drawn, and how evenly. Raises UserError for values that leave nothing to draw from.

    temperature: by which logits are divided; 0 takes the likeliest token always (of equals the least id). top_k: only
    so many of the likeliest. top_p: only the likeliest that together have this share, at least one; counted after
    temperature and top_k. None: no such limit.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(
                f"the temperature {self.temperature} is not a number from 0 on; 1 leaves the model as it is"
            )
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top-k {self.top_k} leaves no token to draw; give 1 or more, or leave it out")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"top-p {self.top_p} is no share of the probability; give one above 0 and up to 1")

    def probabilities(self, logits: Logits) -> Probabilities:
        """Return float64 probabilities (n,), zero for what may not be drawn, of the logits (n,) of one position.

        Raises UserError for logits that are not numbers, as a model gives them whose weights went astray.
        """
        wide = logits.astype(np.float64)
        highest = wide.max()
        if not np.isfinite(highest):
            raise UserError("the model gives no finite logits for the next token; take another checkpoint")
        if self.temperature == 0:
            return _only(np.array([int(np.argmax(wide))]), np.ones(len(wide)))
        with np.errstate(over="ignore"):  # a temperature near 0 takes all but the highest to -inf, and so to 0
            weights = np.exp((wide - highest) / self.temperature)
        if self.top_k is not None and self.top_k < len(weights):
            weights = _only(_by_rank(weights)[: self.top_k], weights)
        if self.top_p is not None and self.top_p < 1:
            order = _by_rank(weights)
            shares = np.cumsum(weights[order]) / weights.sum()
            needed = int(np.searchsorted(shares, self.top_p)) + 1  # up to the first that reaches the share
            weights = _only(order[:needed], weights)
        result: Probabilities = weights / weights.sum()
        return result


class Sampler:
    """Draws one token after another: a Choice with Coins. The same seed draws the same tokens from the same logits."""

    def __init__(self, seed: int = DEFAULT_SEED, choice: Choice | None = None) -> None:
        self.choice = choice or Choice()
        self._coins = Coins(seed)

    def draw(self, logits: Logits) -> int:
        """Return the id drawn from logits (n,) of one position; each draw takes one coin, a greedy one too.

        Where nothing narrows the choice, it is the id that llm.c draws with this coin.
        """
        coin = self._coins.next()
        token = walk_in_float32(logits, coin) if self.choice == Choice() else None
        return pick(self.choice.probabilities(logits), coin) if token is None else token


def walk_in_float32(logits: Logits, coin: float) -> int | None:
    """Return the id that llm.c draws from logits (n,) with a coin from [0, 1), or None where float32 cannot hold them.

    As in its sample_softmax: expf of each logit as it is, their sum in float64, the coin times it in float32, and a
    running sum in float32, whose roundings decide among close tokens. It may end below the coin: then the last id.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp(logits.astype(np.float64)).astype(np.float32)
        total = float(np.cumsum(weights, dtype=np.float64)[-1])
        cumulative = np.cumsum(weights)  # term by term, as the C loop adds
    if not (total > 0 and np.isfinite(cumulative[-1])):
        return None
    reached = int(np.searchsorted(cumulative, np.float32(np.float32(coin) * total), side="right"))
    return min(reached, len(weights) - 1)


def pick(probabilities: Probabilities, coin: float) -> int:
    """Return the first id at which the cumulative sum of probabilities (n,) exceeds the coin, from [0, 1)."""
    cumulative = np.cumsum(probabilities)
    # Of the sum as it came out, which rounding may have left beside 1: so a token without probability is never drawn.
    return int(np.searchsorted(cumulative, coin * cumulative[-1], side="right"))


def _by_rank(weights: Probabilities) -> npt.NDArray[np.intp]:
    """Return ids from the likeliest on; of equals the lesser id first."""
    return np.argsort(-weights, kind="stable")


def _only(ids: npt.NDArray[np.intp], weights: Probabilities) -> Probabilities:
    """Return the weights of these ids, zero for all others."""
    kept = np.zeros_like(weights)
    kept[ids] = weights[ids]
    return kept
