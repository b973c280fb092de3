"""Text from a model: one token after another, with a cache of keys and values, and their bytes as text as they come."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sparkprep.console import without_control
from sparkprep.errors import UserError
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from trainer.generate.sampler import DEFAULT_SEED, Sampler
from trainer.models.layout import Model


def generate(
    model: Model,
    prompt_ids: Sequence[int],
    *,
    max_new: int,
    sampler: Sampler,
    stop_at_end_of_text: bool = True,
    max_seq_len: int | None = None,
) -> Iterator[int]:
    """Yield the ids that follow a prompt, each as soon as it is drawn.

    It ends after `max_new` of them, after an end-of-text (which is given too) if asked, or when prompt and ids fill
    `max_seq_len` positions (by default all that the model has), as llm.c does. The prompt goes through the model in one
    pass, then each token alone. Raises UserError at once for a prompt that is empty or leaves no position free, and for
    more positions than the model has.
    """
    free = free_positions(len(prompt_ids), model.shape.max_seq_len, max_seq_len)
    return _continuation(model, list(prompt_ids), min(max_new, free), sampler, stop_at_end_of_text)


def free_positions(prompt_tokens: int, model_positions: int, max_seq_len: int | None = None) -> int:
    """Return how many tokens may follow a prompt of so many; arguments and errors are those of `generate`."""
    positions = model_positions if max_seq_len is None else max_seq_len
    if positions > model_positions:
        raise UserError(f"{positions:,} positions were asked for, and the model has {model_positions:,}; give fewer")
    if not prompt_tokens:
        raise UserError("an empty prompt has nothing to go on from; begin with end-of-text")
    if prompt_tokens >= positions:
        raise UserError(
            f"the prompt has {prompt_tokens:,} tokens, and of {positions:,} positions one must stay free; shorten it"
        )
    return positions - prompt_tokens


def sample_ids(model: Model, count: int, seed: int = DEFAULT_SEED) -> list[int]:
    """Return what llm.c prints while it trains: the count - 1 ids after an end-of-text, through any in between.

    Fewer where the model has fewer than `count` positions.
    """
    return list(generate(model, [END_OF_TEXT], max_new=count - 1, sampler=Sampler(seed), stop_at_end_of_text=False))


class TextStream:
    """Ids to text that a terminal may be shown, token by token.

    words: the bytes of each id, from the vocabulary or a tokenizer file. A character whose bytes spread over tokens
    comes when it is whole; bytes that are no UTF-8 become U+FFFD; ids beyond the words come as <|id|>. Control
    characters are dropped but for tab, line feed and carriage return, as llm.c drops those that stand alone.
    """

    def __init__(self, words: Sequence[bytes]) -> None:
        self._words = words
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """Return the text that is whole with this token; may be empty."""
        word = self._words[token] if 0 <= token < len(self._words) else b"<|%d|>" % token
        return self._shown(word, False)

    def end(self) -> str:
        """Return what is left of a character that was never finished. The stream may then begin anew."""
        left = self._shown(b"", True)
        self._decoder.reset()
        return left

    def _shown(self, data: bytes, final: bool) -> str:
        return without_control(self._decoder.decode(data, final), keep="\t\n\r")


def text_of(ids: Sequence[int], words: Sequence[bytes]) -> str:
    """Return the text of ids as a TextStream gives it."""
    stream = TextStream(words)
    return "".join([*map(stream.feed, ids), stream.end()])


def _continuation(model: Model, ids: list[int], new: int, sampler: Sampler, stop_at_end_of_text: bool) -> Iterator[int]:
    cache = model.cache(1, len(ids) + max(new, 0))
    for _ in range(new):
        token = sampler.draw(_next_logits(model, ids, cache))
        yield token
        if stop_at_end_of_text and token == END_OF_TEXT:
            return
        ids = [token]


def _next_logits(model: Model, ids: list[int], cache: Any) -> npt.NDArray[np.float32]:
    """Return the float32 logits (vocab_size,) of the token after `ids`, which follow what the cache holds."""
    with torch.no_grad():
        hidden = model.hidden(torch.tensor([ids], device=model.device), cache)
        logits: npt.NDArray[np.float32] = model.logits(hidden[0, -1]).cpu().numpy()
    return logits
