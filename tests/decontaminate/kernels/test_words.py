"""Texts to the words of n-grams: hashes and lower-cased words against `re.findall` on Python's lower case."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plain_ngrams import plain_words

from sparkprep.decontaminate.kernels.words import lowered_words, word_hashes
from sparkprep.dedup.kernels.unicode import table

same_tables = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason=f"the kernels follow Unicode 14, this Python has {unicodedata.unidata_version}",
)
NASTY = "ΣσςİıIéÉßẞǅȺЖ²½Ⅷ日本กखია\u0307\u0345ʰ\u00adﬁ😀𝔸_-'\0\t aAbBzZ09@[`{.·:\u2019Å\u1cd0"
texts = st.one_of(st.text(max_size=60), st.text(st.sampled_from(NASTY), max_size=40))


def hashes(text: str) -> list[int]:
    data = np.frombuffer(text.encode(), np.uint8)
    out = np.empty((len(data) + 1) // 2, np.uint64)
    return out[: word_hashes(data, 0, len(data), table(), out)].tolist()


@same_tables
@given(texts)
@example("ΑΣ漢ΑΣ ΑΣ'Β")
@example("İİaİ")
@example("ȺȺ Ⱥ")
def test_words_are_those_of_the_definition_with_their_places(text: str) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    lowered, starts, places = lowered_words(data, 0, len(data), table())
    words = lowered.tobytes().decode().split(" ")[:-1]
    assert words == plain_words(text)
    assert [lowered[a : b - 1].tobytes().decode() for a, b in pairwise(starts)] == words
    originals = [text.encode()[start:end].decode() for start, end in places.tolist()]
    assert [plain_words(each) for each in originals if "Σ" not in each] == [
        [word] for word, each in zip(words, originals, strict=True) if "Σ" not in each
    ]


@given(texts)
def test_a_word_has_one_hash_wherever_it_stands(text: str) -> None:
    words = plain_words(text)
    assert len(hashes(text)) == len(words)
    assert hashes(" ".join(words)) == hashes(text)
    assert hashes(f"{text} 漢")[: len(words)] == hashes(text), "a letter without blanks changes nothing but itself"
