"""What `explain` shows of long texts: where they differ, and how much of them it has not looked at."""

from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.audit import excerpt
from sparkprep.dedup.audit.excerpt import CONTEXT, MOST_CHARACTERS, differing, spans_of
from sparkprep.dedup.report import diff

WORDS = " ".join(f"w{number}" for number in range(20_000))


@given(
    st.text("ab \n日", max_size=30),
    st.text("ab ", max_size=9),
    st.text("ab ", max_size=9),
    st.text("ab 日", max_size=30),
)
def test_parts_and_what_lies_around_them_are_the_whole_texts(head: str, one: str, other: str, tail: str) -> None:
    head, tail = head * 900, tail * 900
    first, second = head + one + tail, head + other + tail
    part = differing(first, second)
    assert first[: part.before] == second[: part.before]
    assert part.after == 0 or first[-part.after :] == second[-part.after :]
    for text, shown, beyond in ((first, part.first, part.beyond[0]), (second, part.second, part.beyond[1])):
        assert text[part.before :].startswith(shown)
        assert part.before + len(shown) + beyond + part.after == len(text)
        assert len(shown) <= MOST_CHARACTERS
        assert len(diff.words(shown)) <= diff.MAX_WORDS


def test_a_change_far_behind_the_limit_is_found_with_what_stands_beside_it() -> None:
    part = differing(f"{WORDS} red {WORDS}", f"{WORDS} green {WORDS}")
    spans, beyond = spans_of(part)
    assert [(span.kind, span.text) for span in spans if span.kind in ("delete", "insert")] == [
        ("delete", "red"),
        ("insert", "green"),
    ]
    assert beyond == (0, 0)
    assert len(WORDS) - 2 * CONTEXT < part.before <= len(WORDS) - CONTEXT + 1
    assert WORDS[part.before - 1] == " "
    assert spans[0].kind == "skip", "of the equal words beside it some are shown"


def test_texts_that_are_equal_where_they_were_cut_say_how_much_was_not_looked_at() -> None:
    first, second = f"one {WORDS} red {WORDS} end", f"two {WORDS} green {WORDS} ende"
    part = differing(first, second)
    spans, beyond = spans_of(part)
    assert spans[-1].kind in ("equal", "skip"), "the cut falls into an equal run"
    shown = [len(first) - beyond[0], len(second) - beyond[1]]
    assert all(0 < each <= MOST_CHARACTERS for each in shown)


def test_equal_texts_show_their_beginning() -> None:
    part = differing(WORDS, WORDS)
    assert (part.before, part.beyond) == (0, (0, 0))
    assert WORDS.startswith(part.first)
    assert part.after > 0


def test_short_texts_are_compared_whole() -> None:
    assert differing("a b", "a c") == excerpt.Excerpt("a b", "a c")
