"""The word difference of two texts: complete, readable, in bounded time whatever the texts are."""

import time
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkprep.dedup.report import diff

WORDS = st.lists(st.sampled_from(["a", "b", "the", "fox", "日", "本", "x.", "\u0e01"]), max_size=40)
BLANKS = st.sampled_from([" ", "\n", "\t  ", "\u2003"])


@given(WORDS, WORDS, BLANKS, st.integers(1, 50))
def test_the_spans_give_back_both_texts(removed: list[str], kept: list[str], blank: str, limit: int) -> None:
    result = diff.diff(blank.join(removed), blank.join(kept), max_words=limit)
    joined = {
        kind: [word for span in result.spans if span.kind in ("equal", kind) for word in span.words]
        for kind in ("delete", "insert")
    }
    assert joined == {"delete": removed[:limit], "insert": kept[:limit]}
    assert [diff.words(span.text) for span in result.spans] == [list(span.words) for span in result.spans]
    assert all(span.words for span in result.spans)
    for before, after in pairwise(result.spans):
        assert (before.kind, after.kind) in {
            ("equal", "delete"), ("equal", "insert"), ("delete", "insert"), ("delete", "equal"), ("insert", "equal"),
        }  # fmt: skip
    assert result.cut == (max(len(removed), len(kept)) > limit)


@given(st.text(), st.text())
def test_any_text_can_be_compared(removed: str, kept: str) -> None:
    result = diff.diff(removed, kept)
    assert [w for r in result.spans if r.kind in ("equal", "delete") for w in r.words] == diff.words(removed)
    assert [w for r in result.spans if r.kind in ("equal", "insert") for w in r.words] == diff.words(kept)


def _lcs(a: list[str], b: list[str]) -> int:
    """The textbook table."""
    row = [0] * (len(b) + 1)
    for x in a:
        new = [0]
        for j, y in enumerate(b):
            new.append(row[j] + 1 if x == y else max(row[j + 1], new[j]))
        row = new
    return row[-1]


@given(WORDS, WORDS)
def test_the_matches_are_a_longest_common_subsequence(a: list[str], b: list[str]) -> None:
    matches = diff._matches(a, b)
    assert all(a[i] == b[j] for i, j in matches)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(matches))
    assert len(matches) == _lcs(a, b)


def test_a_replaced_sentence_is_not_broken_by_a_stray_word() -> None:
    result = diff.diff("start red green the blue grey end", "start one two the three four end")
    assert [(span.kind, span.text) for span in result.spans] == [
        ("equal", "start"),
        ("delete", "red green the blue grey"),
        ("insert", "one two the three four"),
        ("equal", "end"),
    ]


def test_unspaced_scripts_are_compared_by_character() -> None:
    result = diff.diff("日本語のテキスト", "日本語テキスト")
    assert [(span.kind, span.text) for span in result.spans] == [
        ("equal", "日本語"),
        ("delete", "の"),
        ("equal", "テキスト"),
    ]


@settings(max_examples=50)
@given(WORDS, WORDS, st.integers(0, 6), st.integers(1, 8), st.booleans())
def test_collapsing_loses_no_word(a: list[str], b: list[str], context: int, least: int, open_end: bool) -> None:
    spans = diff.diff(" ".join(a), " ".join(b)).spans
    out = diff.collapse(spans, context, least, open_end)
    assert [word for span in out for word in span.words] == [word for span in spans for word in span.words]
    assert all(diff.words(span.text) == list(span.words) for span in out)
    assert all(len(span.words) >= least for span in out if span.kind == "skip")
    restored = [k for k, _ in groupby("equal" if span.kind == "skip" else span.kind for span in out)]
    assert restored[:-1] == [span.kind for span in spans][:-1]


@pytest.mark.parametrize(
    ("removed", "kept"),
    [
        ("a " * 10_000, "a b " * 5_000),
        ("本" * 20_000, "日本" * 10_000),
        (" ".join(map(str, range(4000))), " ".join(map(str, range(4000, 8000)))),
        ("x" * 20_000, "x" * 19_999 + "y"),
        (" ".join("ab"[i * i % 7 % 2] for i in range(10_000)), " ".join("ab"[i * i % 11 % 2] for i in range(10_000))),
    ],
    ids=["one word", "one character", "nothing shared", "one huge word", "two words"],
)
def test_the_worst_texts_are_compared_in_bounded_time(removed: str, kept: str) -> None:
    start = time.process_time()
    result = diff.diff(removed, kept)
    assert time.process_time() - start < 2.0
    assert max(result.removed_compared, result.kept_compared) <= diff.MAX_WORDS
    assert [word for span in result.spans if span.kind != "insert" for word in span.words] == diff.words(removed)[
        : diff.MAX_WORDS
    ]
