"""The compiled rules decide as their statements in plain Python do, and each one decides something."""

import random

import hypothesis
import plain_rules
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.filter.kernels.judge import Judgement, judge
from sparkprep.filter.questions import questions_of
from sparkprep.filter.rules import C4, NUMBERS, RULES, SETS
from sparkprep.filter.settings import FilterSettings

PIECES = (
    "the", "of", "and", "to", "be", "I", "Wörter", "naïve", "it's", "can't", "e.g.", "U.S.", "No.", "Yes!", "why?",
    "...", "…", "#", "-", "•", "{", "[1]", "[edit]", "[citation needed]", "12", "3.5km", "foo_bar()", "http://a.org/x-y",
    "JavaScript", "Lorem ipsum", "privacy policy", "use coo\u212aies", "日本語。", "\x1c", "\u2028", "\u00a0", "\r\n",
    "x" * 40, "'", '"', "。", "(self):", "🙂", "۳",
)  # fmt: skip
words = st.sampled_from(PIECES)
line = st.lists(words, max_size=12).map(" ".join)
block = st.one_of(line, st.sampled_from(["The same line stands here again and again.", "", " "]))
text = st.lists(block, max_size=14).flatmap(
    lambda lines: st.sampled_from(["\n", "\n\n", "\n \n"]).map(lambda s: s.join(lines))
)
loose = FilterSettings(
    rules=SETS,
    gopher_min_words=3,
    gopher_max_words=60,
    c4_max_word_chars=30,
    c4_min_sentences=1,
    gopher_min_word_length=2,
    gopher_stop_words=1,
    fineweb_duplicate_line_chars=0.3,
)
SETTINGS = [
    *(FilterSettings(rules=name) for name in SETS),
    loose,
    FilterSettings(rules=SETS, skip=("c4-terminal-punctuation", "c4-citations", "c4-lorem-ipsum", "gopher-min-words")),
    FilterSettings(rules=(C4, "fineweb", "gopher-repetition"), c4_lines="keep", c4_min_sentences=0),
]


def judged(texts: list[str], settings: FilterSettings) -> Judgement:
    return judge(pa.array(texts, pa.string()), questions_of(settings))


def answers(texts: list[str], settings: FilterSettings) -> list[plain_rules.Answer]:
    found = judged(texts, settings)
    left = texts if found.texts is None else [each.decode() for each in found.texts.to_pylist()]
    rules = [RULES[place].name if place >= 0 else None for place in found.rule.tolist()]
    return list(zip(rules, left, strict=True))


@hypothesis.settings(max_examples=40)
@given(texts=st.lists(text, min_size=1, max_size=5))
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings.rules))
def test_every_decision_is_that_of_the_rules_in_plain_python(settings: FilterSettings, texts: list[str]) -> None:
    for whole, (rule, left) in zip(texts, answers(texts, settings), strict=True):
        plain = plain_rules.decide(whole, settings)
        assert rule == plain[0]
        assert rule is not None or left == plain[1]


def prose(seed: int, words: int = 80, end: str = ".") -> str:
    """Lines of eight different words, which no rule removes."""
    picked = random.Random(seed)
    made = ["".join(picked.choices("abcdefghijklmnop", k=5)) for _ in range(words)]
    made[::9] = ["the"] * len(made[::9])
    made[4::9] = ["of"] * len(made[4::9])
    return "\n".join(" ".join(made[i : i + 8]) + end for i in range(0, words, 8))


GOOD = prose(0)
FIRST_LINE = GOOD.split("\n")[0]
FAILING = {
    "gopher-empty": "",
    "gopher-duplicate-paragraphs": "\n\n".join(["So.", "So.", GOOD]),
    "gopher-duplicate-paragraph-chars": "\n\n".join([*(prose(n, 24) for n in range(4)), prose(1, 40), prose(1, 40)]),
    "gopher-duplicate-lines": "\n".join(["So.", "So.", "So.", "So.", "So.", prose(0, 56)]),
    "gopher-duplicate-line-chars": "\n".join([GOOD, FIRST_LINE, FIRST_LINE, FIRST_LINE]),
    "gopher-top-2-gram": " ".join(["hic haec", *(w for n in range(14) for w in ("hic haec", prose(n, 3)[4:9]))]),
    "gopher-duplicate-5-grams": " ".join([GOOD.replace("\n", " "), GOOD.replace("\n", "  ")[:150]]),
    "gopher-min-words": prose(0, 49),
    "gopher-max-words": "of the a " * 33_334,
    "gopher-min-word-length": "of ab " * 60,
    "gopher-max-word-length": " ".join([GOOD, *(["abcdefghijklm" * 3] * 20)]),
    "gopher-hashes": f"{GOOD} {'# ' * 12}",
    "gopher-ellipses": GOOD.replace(".", "…", 5).replace("of", "of...", 8),
    "gopher-bullet-lines": "\n".join(f"- {line}" for line in GOOD.split("\n")),
    "gopher-ellipsis-lines": prose(0, 80, end="..."),
    "gopher-alpha-words": GOOD.replace(" the", " 1 2 3").replace(" of", " 4 5"),
    "gopher-stop-words": GOOD.replace("the", "der"),
    "c4-lorem-ipsum": f"{GOOD}\nHere is LOREM IPSUM for you.",
    "c4-curly-bracket": f"{GOOD}\nif (x) then {{ y.",
    "c4-min-sentences": prose(0, 32),
    "fineweb-empty": " \n\t\n",
    "fineweb-line-punctuation": prose(0, 80, end=""),
    "fineweb-short-lines": GOOD.replace(" ", "\n"),
    "fineweb-duplicate-line-chars": f"{GOOD}\n{FIRST_LINE}",
    "fineweb-new-lines": GOOD.replace("\n", "\n\n\n\n"),
}


@pytest.mark.parametrize("name", FAILING)
def test_each_rule_removes_a_text_that_fails_it_alone_and_no_text_of_prose(name: str) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    others = tuple(each.name for each in RULES if each.set == rule.set and each.name != name)
    settings = FilterSettings(rules=rule.set, skip=others)
    assert [answer[0] for answer in answers([GOOD, FAILING[name]], settings)] == [None, name]
    assert answers([FAILING[name]], FilterSettings(rules=rule.set, skip=(*others, name)))[0][0] is None


@pytest.mark.parametrize("size", [3, 4, 6, 7, 8, 9, 10])
def test_runs_of_words_of_every_length_are_found(size: int) -> None:
    name = f"gopher-top-{size}-gram" if size < 5 else f"gopher-duplicate-{size}-grams"
    run = prose(7, size).replace("\n", " ")
    texts = [GOOD, "\n".join(f"{run} {line}" for line in GOOD.split("\n"))]
    others = tuple(each.name for each in RULES if each.set == "gopher-repetition" and each.name != name)
    assert [a[0] for a in answers(texts, FilterSettings(rules="gopher-repetition", skip=others))] == [None, name]


def test_a_threshold_is_the_last_value_that_passes() -> None:
    settings = FilterSettings(rules="gopher-quality", skip=("gopher-alpha-words",))
    found = judged([prose(0, 49), prose(0, 50), prose(0, 50)[:-2]], settings)
    assert found.rule.tolist()[1] == -1
    assert found.value[0] == 49
    assert found.measured[1, NUMBERS["gopher-min-words"]] == 50


def test_c4_leaves_out_lines_and_counts_them_by_rule() -> None:
    bad = {
        "c4-terminal-punctuation": "no end here at all",
        "c4-min-line-words": "Too few.",
        "c4-javascript": "Please turn on JavaScript now.",
        "c4-policy": "We use cookies here.",
        "c4-max-word-chars": f"This is {'x' * 1001} too long.",
    }
    body = GOOD.replace("\n", " [12]\n", 1).replace(".", "[edit].", 1)
    ((rule, left),) = answers(["\n".join([*bad.values(), body.replace(" [12]", "")])], FilterSettings(rules="c4"))
    assert (rule, left) == (None, GOOD)
    found = judged(["\n".join(bad.values())], FilterSettings(rules="c4"))
    counts = {rule.name: int(found.counts[place]) for place, rule in enumerate(RULES) if rule.name in bad}
    assert counts == dict.fromkeys(bad, 1)


def test_bytes_that_are_no_utf_8_and_nulls_are_judged_too() -> None:
    raw = pa.array([b"\xff\xfe" + GOOD.encode(), None, GOOD.encode() + b"\xf0\x9f"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    found = judge(texts, questions_of(FilterSettings(rules=("gopher-quality", "c4"))))
    assert found.rule.tolist()[::2] == [-1, -1]
    assert RULES[found.rule[1]].name == "gopher-min-words"
    assert found.texts is not None
    assert found.texts[0].as_py().decode().startswith("\ufffd\ufffd")
