"""Settings: one field gives the flag, its default, its check and its row in the documentation."""

import argparse
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest

from sparkprep.errors import UserError, called_by_flags
from sparkprep.kinds import Integer, Number, OneOf, SomeOf, Switch, Text, ZeroOrOne
from sparkprep.options import (
    Keywords,
    add_options,
    check_options,
    from_arguments,
    from_keywords,
    markdown_table,
    option,
    options_of,
)
from sparkprep.parser import Parser


@dataclass(frozen=True)
class Example(Keywords):
    share: float = option(0.5, "a share, 100 % at most", Number(0, 1, above=True), "X")
    count: int = option(1_000_000, "a count | of things", Integer(1, special=-1), short=("-n",))
    word: str | None = option(None, "a word", Text(), "WORD")
    rule: str = option("one", "which rule", OneOf(("one", "two")))
    quick: bool = option(False, "in a hurry", Switch())
    old: bool = option(True, "llm.c's way", ZeroOrOne(), "0|1", ("-o",))
    extra: int = 3

    def __post_init__(self) -> None:
        check_options(self)


def parsed(*words: str) -> Example:
    parser = Parser(prog="example")
    add_options(parser, Example)
    return from_arguments(Example, parser.parse_args(words))


def test_without_words_the_command_line_gives_the_defaults() -> None:
    assert parsed() == Example()


def test_words_are_read_as_their_kinds_tell() -> None:
    given = parsed("--share", "0.25", "-n", "7", "--word", "w", "--rule", "two", "--quick", "-o", "0")
    assert given == Example(0.25, 7, "w", "two", True, False)
    assert parsed("--count", "-1").count == -1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--share", "0"], "--share: 0 is not above 0"),
        (["--share", "nan"], "--share: 'nan' is not a finite number"),
        (["--count", "0"], "-n/--count: 0 is below 1 (or -1)"),
        (["--count", "x"], "-n/--count: 'x' is not a whole number"),
        (["--rule", "three"], "--rule: 'three' is none of one, two"),
        (["--word", ""], "--word: an empty word was given, as from a variable that is not set"),
        (["--share="], "--share: '' is not a number; an empty value was given, as from a variable that is not set"),
        (["--count", ""], "-n/--count: '' is not a whole number; an empty value was given"),
        (["--rule="], "--rule: '' is none of one, two; an empty value was given"),
        (["-o", ""], "-o/--old: '' is neither 0 nor 1; an empty value was given"),
        ([""], "unknown flag or value ''; an empty value was given"),
        (["-o", "yes"], "-o/--old: 'yes' is neither 0 nor 1"),
        (["--shere", "1"], "unknown flag or value --shere; did you mean --share?"),
        (["--sha", "1"], "unknown flag or value --sha"),
        (["--rule", "Two"], "--rule: 'Two' is none of one, two; did you mean two?"),
        (["--rule", "none"], "--rule: 'none' is none of one, two; did you mean one?"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_flag_and_where_to_look(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        parsed(*words)
    assert str(refused.value).startswith(said)
    assert "`example --help`" in str(refused.value)


def test_values_that_come_without_a_command_line_are_checked_alike_and_all_at_once() -> None:
    with pytest.raises(UserError, match=r"share: None is not a number; count: 1.5 is not a whole number"):
        Example(share=None, count=1.5)  # type: ignore[arg-type]
    with called_by_flags(), pytest.raises(UserError, match="--quick: 1 is neither True nor False"):
        Example(quick=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"share": "0.5"}, "share: '0.5' is not a number: leave out its quotation marks, 0.5"),
        ({"share": "half"}, "share: 'half' is not a number"),
        ({"count": "-1"}, "count: '-1' is not a whole number: leave out its quotation marks, -1"),
        ({"count": True}, "count: True is not a whole number"),
        ({"count": np.bool_(True)}, "count: np.True_ is not a whole number"),
        ({"share": np.float32(1.5)}, "share: 1.5 is above 1"),
        ({"word": 3}, "word: 3 is not a text"),
        ({"rule": ["one"]}, "rule: ['one'] is none of one, two"),
        ({"shere": 0.5}, "Example knows no 'shere'; did you mean share?"),
        (
            {"share": 0.5, "weight": 1},
            "Example knows no 'weight'; there are share, count, word, rule, quick, old, extra",
        ),
    ],
)
def test_a_mistake_in_python_is_told_by_the_name_of_the_argument(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as refused:
        Example(**values)
    assert str(refused.value) == told


def test_numbers_of_numpy_become_those_of_python() -> None:
    made = Example(share=np.float32(0.25), count=np.int64(7), word=np.str_("w"))
    assert made == Example(0.25, 7, "w")
    assert json.loads(json.dumps(asdict(made)))["count"] == 7


def test_keywords_replace_fields_of_settings_that_are_given_and_are_checked_as_they_are() -> None:
    assert from_keywords(Example, None, {"share": 0.25}) == Example(share=0.25)
    assert from_keywords(Example, Example(share=0.25, count=3), {"count": 4}) == Example(share=0.25, count=4)
    with pytest.raises(UserError, match=r"^share: 2 is above 1$"):
        from_keywords(Example, Example(), {"share": 2})
    with pytest.raises(UserError, match=r"knows no 'ouput'; did you mean output\?"):
        from_keywords(Example, None, {"ouput": "x"}, others=["output"])
    with pytest.raises(
        UserError, match=r"^settings: a dict is no Example: give Example\(\*\*settings\), or its fields"
    ):
        from_keywords(Example, {"share": 0.5}, {})  # type: ignore[arg-type]


def test_help_tells_meaning_and_default() -> None:
    parser = Parser(prog="example")
    add_options(parser, Example)
    text = " ".join(parser.format_help().split())
    assert "a share, 100 % at most (default 0.5)" in text
    assert "(default 1,000,000)" in text
    assert "--rule one|two" in text
    assert "in a hurry (default" not in text


def test_the_table_of_the_documentation_has_a_row_for_each_option() -> None:
    rows = markdown_table(options_of(Example)).splitlines()
    assert len(rows) == 2 + 6
    assert rows[3] == "| `-n`, `--count` | `1000000` | a count \\| of things |"
    assert rows[6] == "| `--quick` |  | in a hurry |"
    assert rows[7] == "| `-o`, `--old` | `1` | llm.c's way |"


def test_options_may_be_left_out_of_a_command_line() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, Example, left_out=("word", "old"))
    assert from_arguments(Example, parser.parse_args([])) == Example()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["—sure"], "unknown flag or value —sure; its dash is a typographic one, as in a PDF; type --sure"),
        ([" "], "unknown flag or value ' '; it is a blank: a backslash"),
        (["--count", "–3"], "--count: '–3' is not a whole number; its dash is a typographic one"),
        (["--share", "“0.5”"], "is not a number; its quotation marks are typographic ones"),
    ],
)
def test_what_a_pdf_made_of_a_line_is_told_by_every_parser(words: list[str], told: str) -> None:
    parser = Parser(prog="p")
    parser.add_argument("--sure", action="store_true")
    parser.add_argument("--count", type=Integer())
    parser.add_argument("--share", type=Number())
    with pytest.raises(UserError) as refused:
        parser.parse_args(words)
    assert told in str(refused.value)


def test_some_of_many_words_are_given_in_one_or_as_several() -> None:
    kind = SomeOf(("red", "green", "blue"), "colours")
    assert kind("red,blue") == kind("red blue") == kind.check(["red", "blue"]) == kind.check(("red", "blue"))
    assert kind("red,blue") == ("red", "blue")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("red,gren", "'gren' is none of the 3 colours; the nearest are green"),
        ([], "names no"),
        (3, "names no"),
        ("", "an empty word"),
        ("red,red", "given twice"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_the_nearest(value: Any, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        SomeOf(("red", "green", "blue"), "colours").check(value)
