"""Texts to shingle hashes: the compiled kernel against `re.findall` on Python's lower case, and sets of tuples."""

import doctest
import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit

from sparkprep.dedup.kernels import shingles
from sparkprep.dedup.kernels.shingles import document_shingles, jaccard, shingle_set, words_of
from sparkprep.dedup.kernels.unicode import table

MASK = (1 << 64) - 1
K0, K1 = 0x6A09E667F3BCC909, 0xBB67AE8584CAA73B

same_tables = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason=f"the kernels follow Unicode 14, this Python has {unicodedata.unidata_version}",
)

# What lower-casing and splitting trip over: sigmas, dotted and dotless i, title case, numerals, scripts without blanks,
# marks that split words, marks that do not end a sigma's word, ligatures, characters of four bytes, separators.
NASTY = "ΣσςİıIéÉßẞǅЖ²½Ⅷ日本กखि\u0307\u0345ʰ\u00adﬁ😀𝔸_-'\0\t aAbBzZ09@[`{.·:\u2019Å\u1cd0ა"

arbitrary = st.text(max_size=60)
nasty = st.text(st.sampled_from(NASTY), max_size=40)


def tokens(text: str) -> list[str]:
    """The definition of a word."""
    return re.findall(r"[^\W_]+", text.lower())


def as_bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def word_hashes(data: bytes) -> list[int]:
    out = np.empty(len(data) + 1, np.uint64)
    n, _ = words_of(as_bytes(data), 0, len(data), table(), out)
    return out[:n].tolist()


def hash_alone(token: str) -> int:
    """The hash of a text that is this one word."""
    found = word_hashes(token.encode())
    assert len(found) == 1, f"{token!r} alone is {len(found)} words"
    return found[0]


def hash_in_plain_python(token: str) -> int:
    """The hash of a lower-cased word: 8 bytes at a time, high and low half of a 128-bit product."""
    data, h = token.encode(), K0
    for start in range(0, len(data), 8):
        product = (h ^ int.from_bytes(data[start : start + 8], "little")) * K1
        h = (product >> 64) ^ (product & MASK)
    return h


def whole(data: bytes, width: int = 5) -> tuple[int, int]:
    """(number of shingles, hash of the normalised text)."""
    n, h = document_shingles(as_bytes(data), 0, len(data), table(), width, np.empty(len(data) + 1, np.uint64))
    return n, h


def tuples(units: Sequence[str], width: int) -> set[tuple[str, ...]]:
    """Shingles without any hashing."""
    if not units:
        return set()
    size = min(len(units), width)
    return {tuple(units[i : i + size]) for i in range(len(units) - size + 1)}


@same_tables
@given(arbitrary | nasty)
@example("ΑΣ ΑΣ. ΑΣΑ Α\u0345Σ\u00ad ΣΑΣ 'Σ' ΑΣ'Α")
@example("İSTANBUL ISPARTA ırmak Kelvin \u212a")
@example("abcdefgh abcdefghé abcdefgİh éabcdefgh")
def test_words_are_those_of_python_and_hash_as_each_does_alone(text: str) -> None:
    assert word_hashes(text.encode()) == [hash_alone(token) for token in tokens(text)]


@same_tables
@given(arbitrary | nasty)
def test_a_words_hash_is_that_of_its_lower_cased_bytes(text: str) -> None:
    assert word_hashes(text.encode()) == [hash_in_plain_python(token) for token in tokens(text)]


@njit
def hash_each(data, offsets, lookup, out, counts):  # type: ignore[no-untyped-def]
    """Hash of data[offsets[i]:offsets[i+1]] for each i, and how many words the kernel sees there."""
    for i in range(out.size):
        start, end = offsets[i], offsets[i + 1]
        words = np.empty(end - start + 1, np.uint64)
        counts[i], _ = words_of(data, start, end, lookup, words)
        out[i] = words[0]


@same_tables
def test_every_code_point_separates_or_joins_as_in_python() -> None:
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    distinct = 0
    for start in range(0, len(points), 1 << 17):
        text = "\n".join(f"a{c}b AB{c}Σ" for c in points[start : start + (1 << 17)])
        expected = tokens(text)
        raw = [token.encode() for token in expected]
        offsets = np.cumsum([0, *map(len, raw)])
        alone, counts = np.empty(len(raw), np.uint64), np.empty(len(raw), np.int64)
        hash_each(as_bytes(b"".join(raw)), offsets, table(), alone, counts)
        assert (counts == 1).all(), f"not one word alone: {expected[int(np.flatnonzero(counts != 1)[0])]!r}"
        data = text.encode()
        found = np.empty(len(data), np.uint64)
        n, _ = words_of(as_bytes(data), 0, len(data), table(), found)
        m = min(n, len(alone))
        wrong = np.flatnonzero(found[:m] != alone[:m])
        assert not len(wrong), f"first word that differs: {expected[int(wrong[0])]!r}"
        assert n == len(expected)
        distinct += len(set(alone.tolist()))
        assert len(set(alone.tolist())) == len(set(expected))
    assert distinct > 200_000  # the letters and numbers of Unicode 14, twice: the test looked at something


@same_tables
@pytest.mark.parametrize("context", ["{}", "{}Σ", "Σ{}", "ΑΣ{}Α", "Ⅷ{}日", "abcdefg{}hijklmn"])
def test_code_points_in_other_contexts(context: str) -> None:
    points = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    for part in range(0, len(points), 1 << 15):
        text = "\n".join(context.format(c) for c in points[part : part + (1 << 15) : 3])
        expected = "\n".join(tokens(text))
        assert word_hashes(text.encode()) == word_hashes(expected.encode())
        assert len(word_hashes(text.encode())) == len(tokens(text))


@pytest.mark.parametrize("last", ["x", "é", "日", "😀", " ", "Σ", "7"])
def test_words_of_any_length_at_any_place(last: str) -> None:
    """Words of 1 to 40 bytes behind 0 to 9 others, and at the very end: the borders of the 8-byte steps."""
    for length in range(1, 41):
        for before in range(9):
            word = ("abcdefghijklmnopqrstuvwxyz" * 2)[:length]
            text = "." * before + word.upper() + last + " " + word
            expected = [hash_in_plain_python(t) for t in tokens(text)]
            assert word_hashes(text.encode()) == expected, text


def test_every_ascii_character_at_every_place_of_the_8_byte_steps() -> None:
    for before in range(17):
        for behind in range(9):
            text = "\n".join(f"{'x' * before}{chr(c)}{'y' * behind}" for c in range(128))
            text = "." * (before + behind) + text  # and the lines start anywhere
            assert word_hashes(text.encode()) == [hash_in_plain_python(t) for t in tokens(text)], (before, behind)


def test_a_document_ends_where_it_ends_whatever_lies_behind_it() -> None:
    for length in range(1, 41):
        for word in ("a" * length, "é" * length, "Σ" * length, "ab " * length):
            data = word.encode()
            expected = word_hashes(data)
            for behind in (b"zzzzzzzzz", "éééé".encode(), b"\xa9" * 8):
                out = np.empty(len(data) + 1, np.uint64)
                n, _ = words_of(as_bytes(data + behind), 0, len(data), table(), out)
                assert out[:n].tolist() == expected
            # and begins where it begins
            out = np.empty(len(data) + 1, np.uint64)
            n, _ = words_of(as_bytes(b"Azzz" + data), 4, 4 + len(data), table(), out)
            assert out[:n].tolist() == expected


GUARDED = """
import ctypes, mmap, sys
import numpy as np
from sparkprep.dedup.kernels.shingles import document_shingles
from sparkprep.dedup.kernels.unicode import table
page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(address + page), ctypes.c_size_t(page), 0) == 0
whole = np.frombuffer(memory, np.uint8)
buffer = np.empty(page + 1, np.uint64)
for length in range(1, 41):
    for text in ("a" * length, "é" * length, "日" * length, "a." * length, "Σ" * length, "." * length):
        data = text.encode()
        at_the_edge = whole[page - len(data) : page]
        at_the_edge[:] = np.frombuffer(data, np.uint8)
        for cut in range(4):  # also in the middle of a character
            document_shingles(at_the_edge[: len(data)], cut, len(data), table(), 5, buffer)
            document_shingles(whole[page - len(data) - cut : page - cut], 0, len(data), table(), 5, buffer)
print("no read past the end")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_nothing_is_read_past_the_end_of_the_array() -> None:
    """The text lies against a page that may not be read: one byte too many ends the process."""
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or f"ended by signal {-done.returncode}"
    assert done.stdout == "no read past the end\n"


vocabulary = st.lists(st.sampled_from(["a", "B", "cat", "naïve", "12", "longerthaneight", "ΣΑΣ"]), max_size=30)


@given(vocabulary, vocabulary, st.integers(1, 7))
def test_shingle_sets_and_jaccard_are_those_of_python_sets(x: list[str], y: list[str], width: int) -> None:
    a, b = " ".join(x), "-".join(y)
    left, right = (tuples([w.lower() for w in words], width) for words in (x, y))
    assert shingle_set(a, width).size == len(left)
    assert shingle_set(b, width).size == len(right)
    assert np.intersect1d(shingle_set(a, width), shingle_set(b, width)).size == len(left & right)
    expected = len(left & right) / len(left | right) if left and right else 0.0
    assert jaccard(a, b, width) == expected


@given(vocabulary, st.integers(1, 7))
def test_shingles_come_in_text_order_with_repeats(words: list[str], width: int) -> None:
    data = " ".join(words).encode()
    buffer = np.empty(len(data) + 1, np.uint64)
    n, _ = document_shingles(as_bytes(data), 0, len(data), table(), width, buffer)
    windows = [words[i : i + width] for i in range(len(words) - width + 1)] or ([words] if words else [])
    assert n == len(windows)
    assert buffer[:n].tolist() == [int(shingle_set(" ".join(window), width)[0]) for window in windows]


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.lists(st.sampled_from("abc"), min_size=5, max_size=9)
)
def test_a_text_of_fewer_words_shares_nothing_with_longer_ones(short: list[str], long: list[str]) -> None:
    assert shingle_set(" ".join(short)).size == 1
    assert not np.intersect1d(shingle_set(" ".join(short)), shingle_set(" ".join(long))).size


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=5), min_size=2, max_size=2, unique_by=tuple))
def test_different_short_texts_have_different_shingles(pair: list[list[str]]) -> None:
    a, b = (shingle_set(" ".join(words)).tolist() for words in pair)
    assert a != b


def test_a_text_without_words_has_no_shingle() -> None:
    for text in ("", " ", "... --- ...", "_", "\u0307\u0345", "😀😀", "\0"):
        assert whole(text.encode()) == (0, 0)
        assert jaccard(text, text) == 0.0
        assert shingle_set(text).size == 0


# Texts without blanks -------------------------------------------------------------------------------------------------

UNSPACED = {
    "Han": "日本語漢字中文",
    "kana": "ひらがなカタナー",
    "Thai": "กขคงจฉ",
    "Lao": "ກຂຄງ",
    "Khmer": "កខគឃ",
    "Myanmar": "ကခဂဃ",
}
ALL_UNSPACED = "".join(UNSPACED.values())
mixed = st.text(st.sampled_from(ALL_UNSPACED + "abcÉЖΣ12²。、 -"), max_size=40)


def units(text: str) -> tuple[bool, list[str]]:
    """(whether the text goes by characters, its characters or words)."""
    letters = [c for c in text if c.isalpha()]
    by_character = 2 * sum(c in ALL_UNSPACED for c in letters) > len(letters)
    return by_character, [c for c in text.lower() if c.isalnum()] if by_character else tokens(text)


@pytest.mark.parametrize("script", UNSPACED)
def test_a_script_without_blanks_is_cut_by_characters(script: str) -> None:
    letters = UNSPACED[script]
    assert all(c.isalpha() for c in letters)
    text = letters[0] + letters[1] + "。 " + letters[2] + "7\n" + letters[3] + letters[0]
    assert shingle_set(text).size == 2  # six units: 2 + 2 + 2, not three words
    assert shingle_set(text).tolist() == shingle_set(" ".join(text)).tolist()


@same_tables
@given(mixed, mixed, st.integers(1, 7))
def test_a_text_goes_by_characters_if_over_half_of_its_letters_are_unspaced(a: str, b: str, width: int) -> None:
    (a_characters, left), (b_characters, right) = units(a), units(b)
    x, y = tuples(left, width), tuples(right, width)
    assert shingle_set(a, width).size == len(x)
    assert shingle_set(b, width).size == len(y)
    common = len(x & y) if a_characters == b_characters else 0
    assert np.intersect1d(shingle_set(a, width), shingle_set(b, width)).size == common


def test_half_of_the_letters_is_not_more_than_half() -> None:
    words, characters = "日本 ab", "日本語 ab"
    assert shingle_set(words, 2).size == 1  # two words
    assert shingle_set(characters, 2).size == 4  # five characters
    assert shingle_set("日本語 ab 1234567", 2).size == 11  # numbers are no letters


@given(st.text(st.sampled_from(ALL_UNSPACED + "12"), min_size=1, max_size=9), st.integers(1, 3))
def test_characters_and_words_of_one_character_share_no_shingle(text: str, width: int) -> None:
    """The same units with blanks between them, once tipped over to words by Latin letters at the end."""
    as_words = " ".join(text) + " " + " ".join("xyz" * len(text))
    as_characters = text + "日"
    assert not np.intersect1d(shingle_set(as_words, width), shingle_set(as_characters, width)).size


# Bytes that are not UTF-8 ---------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        *(c.encode() for c in "aB 7éΣ日😀𝔸İ"),
        *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe6\x97", b"\xed\xa0\x80", b"\xf0\x9f\x98"),
        *(b"\xf4\x90\x80\x80", b"\xf5", b"\xff", b"\xe0\x80\x80", b"\xf0\x80\x80\x80"),
    ]
)


@same_tables
@given(st.binary(max_size=40) | st.lists(pieces, max_size=20).map(b"".join))
@example(b"a\x80\xce\xa3")
@example(b"\xce\x91\xce\xa3\x80\xce\x91")
def test_bytes_that_are_not_utf8_separate(data: bytes) -> None:
    text = data.decode(errors="replace")  # U+FFFD is a separator too
    assert word_hashes(data) == [hash_in_plain_python(token) for token in tokens(text)]
    assert whole(data) == whole(text.encode())


@same_tables
@pytest.mark.parametrize("tail", [b"", b"\x80", b"\xbf\xbf", b"\x80\x80\x80"])
def test_every_pair_of_bytes_begins_a_character_or_separates_as_in_python(tail: bytes) -> None:
    data = b"\n".join(b"a" + bytes([first, second]) + tail + b"b" for first in range(128, 256) for second in range(256))
    text = data.decode(errors="replace")
    expected = tokens(text)
    found = word_hashes(data)
    assert len(found) == len(expected) > 128 * 256
    wrong = [token for h, token in zip(found, expected, strict=True) if h != hash_in_plain_python(token)]
    assert not wrong[:3]


# The hash of the normalised text --------------------------------------------------------------------------------------

word = st.text("abcxyzéж09", min_size=1, max_size=12)
separator = st.text(" \n\t.,-_!?«»😀", min_size=1, max_size=3)


@given(st.lists(word, max_size=20), st.data())
def test_equal_normalised_texts_have_equal_hashes(words: list[str], data: st.DataObject) -> None:
    other = "".join(
        (w.upper() if data.draw(st.booleans()) else w.title()) + data.draw(separator)
        for w in words  # none of these letters changes its kind by upper and back
    )
    assert whole(" ".join(words).encode()) == whole(other.encode())


@given(st.lists(word, max_size=8), st.lists(word, max_size=8), st.integers(1, 7))
def test_different_normalised_texts_have_different_hashes(x: list[str], y: list[str], width: int) -> None:
    a, b = (whole(" ".join(words).encode(), width)[1] for words in (x, y))
    assert (a == b) == (x == y)


@given(st.lists(st.sampled_from(["a", "b"]), min_size=6, max_size=20), st.integers(1, 2), st.data())
def test_the_order_and_number_of_equal_shingles_counts_for_the_whole(words, width: int, data: st.DataObject) -> None:
    """The same words and often the same shingles as often, but another text."""
    other = data.draw(st.permutations(words))
    a, b, twice = (whole(" ".join(text).encode(), width)[1] for text in (words, other, words + words))
    assert (a == b) == (words == other)
    assert a != twice


def test_many_words_have_as_many_hashes() -> None:
    """Short words and runs of one letter: what a weak hash would let collide."""
    some = [f"{i:x}" for i in range(200_000)] + [c * n for c in "ghijklmnopqrstuvwxyz" for n in range(1, 200)]
    assert len(set(word_hashes(" ".join(some).encode()))) == len(set(some))


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(shingles)
    assert result.attempted > 0
    assert result.failed == 0
