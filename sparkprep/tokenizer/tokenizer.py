"""Texts in an Arrow array -> GPT-2 token ids, exactly as tiktoken's `encode_ordinary` gives them.

fastokens does the work, about ten times as fast as tiktoken. It must prove itself: when it is loaded it encodes a few
hundred strings, and where one id differs from tiktoken's, or it is not installed, tiktoken takes over and says so once.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.io.arrow import python_values
from sparkprep.tokenizer import bpe
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, END_OF_TEXT_WORD, PATTERN, merges, ranks, shown_ranks

Ids = npt.NDArray[np.uint16]
Offsets = npt.NDArray[np.int64]
Engine = Callable[[list[str]], tuple[Ids, Offsets]]

SLICE_BYTES = 4 << 20
"""Text that is encoded at a time: bounds what an engine holds beside the result."""
SELF_CHECK_SHA256 = "062979841323453c639b16a9972a975ddb72565f4fc5261c8260c0483157ba92"
"""Of the ids, as little-endian uint16, that tiktoken 0.14 gives for `self_check_strings` (tested)."""


class Tokenizer:
    """GPT-2's ids of texts. `engine`: "fastokens", "tiktoken", or None for the first if it is there and right."""

    def __init__(self, engine: str | None = None) -> None:
        self.engine, self._encode = _engine(engine)

    def encode(self, texts: pa.Array) -> tuple[Ids, Offsets]:
        """Return ids (uint16, of all texts one after another) and offsets (int64, len(texts) + 1) of a string array.

        The ids of text i are ids[offsets[i]:offsets[i + 1]]. A null has none. The word `<|endoftext|>` in a text is
        text. Bytes that are no UTF-8, which Spark bears in a string, count as U+FFFD.
        """
        ids, offsets = [np.empty(0, np.uint16)], [np.zeros(1, np.int64)]
        total = 0
        for part in _slices(texts):
            part_ids, ends = self._encode([text or "" for text in python_values(part)])
            ids.append(part_ids)
            offsets.append(ends[1:] + total)
            total += len(part_ids)
        return np.concatenate(ids), np.concatenate(offsets)

    def encode_one(self, text: str) -> Ids:
        """Return the ids of one text. Raises UnicodeEncodeError where it holds a lone surrogate."""
        return self.encode(pa.array([text], pa.large_string()))[0]


def self_check_strings() -> list[str]:
    """Return what an engine must encode as tiktoken does: every kind of sign, alone and among others, and traps."""
    signs = [
        "a",
        "Z",
        "é",
        "ß",
        "İ",
        "ǅ",
        "ⅷ",
        "²",
        "½",
        "٣",
        "中",
        "の",
        "ก",
        "क",
        "ि",
        "👩‍🚀",
        "🇩🇪",
        "\u00ad",
        "\u200b",
        "\ufeff",
    ]
    blanks = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085", "\x1c", "\u180e"]
    marks = ["'", "’", "'s", "'S", "'ll", "'re've", ".", "...", "!?", "_", "-", "\x00", "\x7f", "\ufffd"]
    odd = [*signs, *blanks, *marks]
    pairs = [a + b for a in odd for b in ("x", " ", "7", "'")]
    frames = [f"don't {a} stop1{a}2  {a}\n {a}" for a in odd]
    runs = [sign * n for sign in (" ", "\n", "a", "=", "é", "0") for n in (2, 3, 17, 200)]
    words = [
        "",
        END_OF_TEXT_WORD.decode(),
        "Hello world, it's 2024!\n\n  def f(x):",
        "The Github project llm.c is a",
        "  leading and trailing  ",
        "\n\n\nif x:\n\t\treturn  y # ok   ",
        "naïve café — “quotes” … €5 ½ ﬁne",
        "1234567890 3.14159 1e-10 0xDEADBEEF",
    ]
    return [*odd, *pairs, *frames, *runs, *words]


def _slices(texts: pa.Array) -> Iterator[pa.Array]:
    """Yield pieces of SLICE_BYTES or of one text."""
    if len(texts) == 0:
        return
    sizes = np.asarray(pc.fill_null(pc.binary_length(texts), 0))
    start, held = 0, 0
    for row, size in enumerate(sizes.tolist()):
        if held and held + size > SLICE_BYTES:
            yield texts.slice(start, row - start)
            start, held = row, 0
        held += size
    yield texts.slice(start)


@cache
def _engine(name: str | None) -> tuple[str, Engine]:
    if name == "tiktoken":
        return name, _tiktoken()
    problem = ""
    try:
        engine = _fastokens()
        ids, _ = engine(self_check_strings())
        if hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest() == SELF_CHECK_SHA256:
            return "fastokens", engine
        problem = "gives other ids than tiktoken"
    except ImportError:
        problem = "is not installed"
    if name is not None:
        raise RuntimeError(f"the tokenizer engine {name!r} {problem}")
    print(f"sparkprep: fastokens {problem}; tokenizing with tiktoken, about ten times as slow", file=sys.stderr)
    return "tiktoken", _tiktoken()


def _fastokens() -> Engine:
    # It would start a thread for each core, in each of Spark's tasks.
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    import fastokens

    tokenizer = fastokens.Tokenizer.from_json_str(_tokenizer_json())

    def encode(texts: list[str]) -> tuple[Ids, Offsets]:
        ids, offsets = tokenizer.encode_batch_flat(texts, split_special_tokens=True)
        return np.frombuffer(ids, "<u4").astype(np.uint16), np.frombuffer(offsets, "<u8").astype(np.int64)

    return encode


def _tokenizer_json() -> str:
    """Return the vocabulary as a Hugging Face `tokenizer.json`, without special tokens: no text may turn into one."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": shown_ranks(),
                "merges": [f"{left} {right}" for left, right in merges()],
            },
        }
    )


def _tiktoken() -> Engine:
    import tiktoken

    encoding = tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=dict(ranks()), special_tokens={END_OF_TEXT_WORD.decode(): END_OF_TEXT}
    )

    def encode_one(text: str) -> list[int]:
        try:
            return encoding.encode_ordinary(text)
        except BaseException as error:  # its panics are no `Exception`
            if type(error).__name__ != "PanicException":
                raise
            return bpe.encode(text)

    def encode(texts: list[str]) -> tuple[Ids, Offsets]:
        lists = [encode_one(text) for text in texts]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in lists], dtype=np.int64)])
        return np.array([i for ids in lists for i in ids], np.uint16), offsets

    return encode
