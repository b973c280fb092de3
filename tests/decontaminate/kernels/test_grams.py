"""Which n-grams stand in a text: the compiled search against ten lines of plain Python."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_ngrams import plain_hits, plain_ngrams

from sparkprep.decontaminate.index import Index, read_index
from sparkprep.decontaminate.kernels.grams import has_key, hits_of, may_hold, run_key, scan
from sparkprep.decontaminate.kernels.words import word_hashes
from sparkprep.decontaminate.settings import DecontaminateSettings
from sparkprep.dedup.kernels.unicode import table
from sparkprep.errors import UserError
from sparkprep.io.arrow import text_buffers

WORDS = ("a", "b", "B!", "ß", "漢", "字x", "Σ", "c-d", "_", "é", "9")
some = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)


def index_of(texts: list[list[str]], width: int, least: int) -> Index:
    """The index of questions, each of an empty context and some endings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "b.jsonl")
        path.write_text("".join(json.dumps({"ctx": "", "endings": each}) + "\n" for each in texts))
        options = {"ngram_words": width, "min_question_words": least, "benchmark_columns": "ctx,endings"}
        return read_index(DecontaminateSettings(benchmark=str(path), **options))[0]


def hits(index: Index, text: str) -> set[tuple[int, tuple[str, ...]]]:
    data, offsets, _ = text_buffers(pa.array([text]))
    firsts, numbers, *_ = hits_of(data, offsets[0], offsets[1], table(), index.grams)
    return {
        (at, tuple(index.words_of(gram).split(" "))) for at, gram in zip(firsts.tolist(), numbers.tolist(), strict=True)
    }


@given(
    st.lists(st.lists(some, min_size=1, max_size=3), min_size=1, max_size=4),
    st.lists(some, min_size=1, max_size=4),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_the_hits_of_any_texts_are_those_of_the_definition(
    questions: list[list[str]], documents: list[str], width: int, least: int
) -> None:
    ngrams = plain_ngrams([text for each in questions for text in each], width, least)
    try:
        index = index_of(questions, width, least)
    except UserError:  # all too short, or without a word
        assert not ngrams
        return
    assert {tuple(index.words_of(number).split(" ")) for number in range(index.size)} == ngrams
    documents = [*documents, *(f"zz {text}" for each in questions for text in each)]  # a hit at the end of a text
    data, offsets, _ = text_buffers(pa.array(documents))
    found = np.zeros(len(documents), np.uint8)
    scan(data, offsets, table(), index.grams, found)
    for text, seems in zip(documents, found.tolist(), strict=True):
        expected = plain_hits(text, ngrams)
        assert hits(index, text) == expected
        assert seems == bool(expected)


@pytest.mark.parametrize("width", range(1, 21))
def test_one_hit_is_found_at_any_place_of_a_long_text(width: int) -> None:
    question = " ".join(f"q{n}" for n in range(width))
    index = index_of([[question]], width, width)
    for before in range(25):
        for after in (0, 1, 30):
            text = " ".join([*(f"x{n}" for n in range(before)), question.upper(), *(f"y{n}" for n in range(after))])
            words = np.empty(len(text), np.uint64)
            n = word_hashes(np.frombuffer(text.encode(), np.uint8), 0, len(text), table(), words)
            assert may_hold(words, n, index.grams)
            assert not may_hold(words, before + width - 1, index.grams), "the last word is missing"
            assert [at for at, _ in hits(index, text)] == [before]


def test_the_questions_of_an_n_gram_are_all_that_hold_it() -> None:
    index = index_of([["a b c d", "x a b c"], ["a b c"], ["b c d e"]], 3, 3)
    of = {
        index.words_of(gram): index.questions[index.offsets[gram] : index.offsets[gram + 1]].tolist()
        for gram in range(index.size)
    }
    assert of == {"a b c": [0, 1], "b c d": [0, 2], "x a b": [0], "c d e": [2]}


def test_other_words_of_the_same_hash_are_no_hit() -> None:
    index = index_of([["one two three four five"]], 5, 5)
    text = "six seven eight nine ten"
    words = np.empty(len(text), np.uint64)
    word_hashes(np.frombuffer(text.encode(), np.uint8), 0, len(text), table(), words)
    key = run_key(words, 0, 5)
    grams = index.grams
    slot = int(key >> np.uint64(1)) & (grams.keys.size - 1)
    number = int(grams.numbers.max())
    grams.keys[:], grams.numbers[:] = 0, -1
    grams.keys[slot], grams.numbers[slot] = key, number
    grams.anchors[:] = np.uint64(0xFFFFFFFFFFFFFFFF)
    assert has_key(grams, key)
    assert may_hold(words, 5, grams)
    assert hits(index, text) == set()
