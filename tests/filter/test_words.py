"""Words and sentences, as the rules count them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparkprep.filter.kernels.words import sentence_spans, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t\u2003", []),
        ("Don't panic!", "Do n't panic !"),
        ("We’ll cannot, id?", "We ’ll can not , i d ?"),
        ("(see Mr. Ng, e.g. p. 5.)", "( see Mr. Ng , e.g. p. 5 . )"),
        ("well-known and/or either/or", "well - known and/or either / or"),
        ("It's U.S. law.Really", "It 's U.S. law . Really"),
        ("5km 10% $3.50 3pm", "5 km 10 % $ 3.50 3 pm"),
        ("at http://a.org/b-c?d=e, or me@a.org.", "at http://a.org/b-c?d=e , or me@a.org ."),
        ("def f(self):", "def f(self ):"),
        ("wait... what…", "wait ... what …"),
        ('"«Quoted»"', '" « Quoted » "'),
        ("a.b.c os.path 1.2.3 x=y", "a.b.c os.path 1.2.3 x = y"),
        ("日本語。", "日本語 。"),
        ("🙂hi🙂", "🙂 hi 🙂"),
    ],
)
def test_words_are_those_of_a_linguist(text: str, words: str | list[str]) -> None:
    assert split_words(text) == (words.split() if isinstance(words, str) else words)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("He said 'No.' Then: nothing", ["He said 'No.'", "Then: nothing"]),
        ("Dr. Roe paid 3.5 e.g. for it.", ["Dr. Roe paid 3.5 e.g. for it."]),
        ("What?! (Yes.)", ["What?! (", "Yes.)"]),
        ("   ", []),
    ],
)
def test_sentences_end_with_terminal_marks(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(st.text(st.one_of(st.characters(), st.sampled_from(" .,:;'\"-()/%$…\u00a0\n…+*s5"))))
@example("." * 3000)
@example("(" * 2000 + "a")
@example("a." * 2000)
@example("http://" + "a-" * 500 + ".org@" * 300)
@example("don't" * 500)
@example("\ud800 lone")
def test_words_hold_all_of_a_text_but_white_space(text: str) -> None:
    words = split_words(text)
    assert "".join(words) == "".join(text.split())
    assert all(words)
    spans = sentence_spans(text)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(words)
