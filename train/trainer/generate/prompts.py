"""A prompt's bytes -> token ids: GPT-2's own encoding, or the greedy one of llm.c's course version.

In both the word `<|endoftext|>` becomes its token, 50256.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate

from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, END_OF_TEXT_WORD

LONGEST_TOKEN = 128
"""Bytes of GPT-2's longest token: a prompt of n tokens has at most n times as many."""


def encode(prompt: bytes) -> list[int]:
    """Return the ids that GPT-2's byte pair encoding gives a prompt, as the models were trained on them.

    Bytes that are no UTF-8 count as U+FFFD, since the encoding is one of characters.
    """
    tokenizer = Tokenizer()
    ids: list[int] = []
    for number, part in enumerate(prompt.split(END_OF_TEXT_WORD)):
        ids += [END_OF_TEXT] if number else []
        ids += tokenizer.encode_one(part.decode("utf-8", "replace")).tolist()
    return ids


def encode_greedy(prompt: bytes) -> list[int]:
    """Return the ids of a prompt, each the longest token that fits from the left, as in llm.c's course version.

    It works on bytes, whatever they are. Its ids are often others than those of `encode`, on which models are trained.
    """
    id_of, beginnings = _table()
    ids: list[int] = []
    start = 0
    while start < len(prompt):
        best = end = start + 1
        # On while there is a token that begins so, which need not be a token itself.
        while end <= len(prompt) and (part := prompt[start:end]) in beginnings:
            if part in id_of:
                best = end
            end += 1
        ids.append(id_of[prompt[start:best]])
        start = best
    return ids


@cache
def _table() -> tuple[dict[bytes, int], frozenset[bytes]]:
    """Return the id of each token, end-of-text included, and every beginning of a token."""
    ids = {**vocabulary.ranks(), END_OF_TEXT_WORD: END_OF_TEXT}
    begun = {begin for token in ids for begin in accumulate(token[i : i + 1] for i in range(len(token)))}
    return ids, frozenset(begun)
