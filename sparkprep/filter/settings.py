"""What a run of curation can be told: which published rules, their thresholds, and what becomes of texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypedDict

from sparkprep.documents.jsonl.max_bad import max_bad_option
from sparkprep.errors import UserError, argument
from sparkprep.filter.rules import C4, DEFAULT_SETS, FINEWEB, GOPHER_QUALITY, RULES, SETS
from sparkprep.kinds import Integer, Number, OneOf, SomeOf, Text
from sparkprep.options import Keywords, changed, check_options, option

_SHARE, _MANY = Number(0, 1), Integer(0)
_MOST = Number(0)
_RULES = tuple(rule.name for rule in RULES)
_SETTINGS_OF = {
    "gopher_stop_word_list": (GOPHER_QUALITY, "gopher-stop-words"),
    "fineweb_short_line": (FINEWEB, "fineweb-short-lines"),
    "c4_lines": (C4, None),
}
"""Settings that are no threshold -> the set that they are of, and the rule, if they are of one."""


@dataclass(frozen=True)
class FilterSettings(Keywords):
    """Settings of one run. Raises UserError on a value that cannot work."""

    rules: Sequence[str] = option(
        DEFAULT_SETS,
        f"sets of rules, asked in this order until one fails: some of {', '.join(SETS)}",
        SomeOf(SETS),
        "SET",
    )
    skip: Sequence[str] = option((), "single rules of these sets that are not asked, by name", SomeOf(_RULES), "RULE")
    gopher_duplicate_paragraphs: float = option(0.3, "most paragraphs said before, of all", _SHARE, "SHARE")
    gopher_duplicate_paragraph_chars: float = option(0.2, "most characters in them, of all", _SHARE, "SHARE")
    gopher_duplicate_lines: float = option(0.3, "most lines said before, of all", _SHARE, "SHARE")
    gopher_duplicate_line_chars: float = option(0.2, "most characters in them, of all", _SHARE, "SHARE")
    gopher_top_2_gram: float = option(0.2, "most characters in the most frequent 2 words, of all", _SHARE, "SHARE")
    gopher_top_3_gram: float = option(0.18, "the same of 3 words", _SHARE, "SHARE")
    gopher_top_4_gram: float = option(0.16, "the same of 4 words", _SHARE, "SHARE")
    gopher_duplicate_5_grams: float = option(0.15, "most characters in 5 words said before, of all", _SHARE, "SHARE")
    gopher_duplicate_6_grams: float = option(0.14, "the same of 6 words", _SHARE, "SHARE")
    gopher_duplicate_7_grams: float = option(0.13, "the same of 7 words", _SHARE, "SHARE")
    gopher_duplicate_8_grams: float = option(0.12, "the same of 8 words", _SHARE, "SHARE")
    gopher_duplicate_9_grams: float = option(0.11, "the same of 9 words", _SHARE, "SHARE")
    gopher_duplicate_10_grams: float = option(0.10, "the same of 10 words", _SHARE, "SHARE")
    gopher_min_words: int = option(50, "fewest words that are no mere symbols", _MANY)
    gopher_max_words: int = option(100_000, "most words that are no mere symbols", _MANY)
    gopher_min_word_length: float = option(3, "least mean characters of such a word", _MOST)
    gopher_max_word_length: float = option(10, "most mean characters of such a word", _MOST)
    gopher_hashes: float = option(0.1, "most # signs for each word", _MOST)
    gopher_ellipses: float = option(0.1, "most ellipses for each word", _MOST)
    gopher_bullet_lines: float = option(0.9, "most lines that begin with a bullet, of all", _SHARE, "SHARE")
    gopher_ellipsis_lines: float = option(0.3, "most lines that end in an ellipsis, of all", _SHARE, "SHARE")
    gopher_alpha_words: float = option(0.8, "least words with a letter, of all", _SHARE, "SHARE")
    gopher_stop_words: int = option(2, "fewest different stop words", Integer(0, 64))
    gopher_stop_word_list: str = option("the be to of and that have with", "the stop words", Text(), "WORDS")
    c4_max_word_chars: int = option(1_000, "a line with a word of more characters goes", _MANY)
    c4_min_line_words: int = option(3, "a line of fewer words goes", _MANY)
    c4_min_sentences: int = option(5, "fewest sentences in the lines that stay", _MANY)
    c4_lines: str = option(
        "remove",
        "'remove': a text is what C4's rules leave of its lines, for the rules asked after them too; 'keep': they "
        "decide on documents alone",
        OneOf(("remove", "keep")),
    )
    fineweb_line_punctuation: float = option(0.12, "least lines that end as a sentence does, of all", _SHARE, "SHARE")
    fineweb_short_lines: float = option(0.67, "most short lines, of all", _SHARE, "SHARE")
    fineweb_short_line: int = option(30, "characters of the longest line that is a short one", _MANY)
    fineweb_duplicate_line_chars: float = option(0.01, "most characters in lines said before, of all", _SHARE, "SHARE")
    fineweb_new_lines: float = option(0.3, "most line ends for each word", _MOST)
    personal: str = option(
        "keep",
        "e-mail addresses, public IP addresses and telephone numbers in the kept texts, by their form: 'keep' them, "
        "'count' them too, or 'replace' them by ones that are nobody's (email@example.com, 192.0.2.1 or 2001:db8::1, "
        "+1-202-555-0100)",
        OneOf(("keep", "count", "replace")),
    )
    text_column: str = option("text", "column that holds the text", Text(), "NAME")
    id_column: str | None = option(
        None,
        "column that names a document in the report (default: `id` where there is one, else the SHA-256 of the text)",
        Text(),
        "NAME",
    )
    source_column: str | None = option(
        None,
        "column whose values (the host of a URL) the report counts removals by (default: `url` where there is one)",
        Text(),
        "NAME",
    )
    max_bad: str = max_bad_option()

    def __post_init__(self) -> None:
        check_options(self)
        for rule in RULES:
            if rule.name in self.skip and rule.set not in self.rules:
                raise UserError(f"{argument('skip')}: {rule.name} is a rule of {rule.set}, which is not asked")
        self.refuse_unused(changed(self))
        for least, most in (
            ("gopher_min_words", "gopher_max_words"),
            ("gopher_min_word_length", "gopher_max_word_length"),
        ):
            if getattr(self, least) > getattr(self, most) and self.asks(least) and self.asks(most):
                values = f"{getattr(self, least):g} and {getattr(self, most):g}"
                raise UserError(
                    f"{argument(least)} is above {argument(most)}, so that no document could stay: {values}"
                )

    def asks(self, setting: str) -> bool:
        """Return whether the rule is asked whose threshold a setting is."""
        rule = next(rule for rule in RULES if rule.setting == setting)
        return rule.set in self.rules and rule.name not in self.skip

    def refuse_unused(self, names: Collection[str]) -> None:
        """Raise UserError for the first of these settings that is of a rule which is not asked."""
        owners = {rule.setting: (rule.set, rule.name) for rule in RULES if rule.setting} | _SETTINGS_OF
        for name in names:
            owner, rule = owners.get(name, (None, None))
            if owner is not None and owner not in self.rules:
                raise UserError(f"{argument(name)} is of the rules {owner}, which are not asked: {_way_out(owner)}")
            if rule is not None and rule in self.skip:
                raise UserError(f"{argument(name)} is of the rule {rule}, which {argument('skip')} leaves out")


def _way_out(owner: str) -> str:
    return f"name them in {argument('rules')}, or leave it out"


class FilterKeywords(TypedDict, total=False):
    """The fields of `FilterSettings`, as a function takes them by keyword: for editors, which show them."""

    rules: Sequence[str]
    skip: Sequence[str]
    gopher_duplicate_paragraphs: float
    gopher_duplicate_paragraph_chars: float
    gopher_duplicate_lines: float
    gopher_duplicate_line_chars: float
    gopher_top_2_gram: float
    gopher_top_3_gram: float
    gopher_top_4_gram: float
    gopher_duplicate_5_grams: float
    gopher_duplicate_6_grams: float
    gopher_duplicate_7_grams: float
    gopher_duplicate_8_grams: float
    gopher_duplicate_9_grams: float
    gopher_duplicate_10_grams: float
    gopher_min_words: int
    gopher_max_words: int
    gopher_min_word_length: float
    gopher_max_word_length: float
    gopher_hashes: float
    gopher_ellipses: float
    gopher_bullet_lines: float
    gopher_ellipsis_lines: float
    gopher_alpha_words: float
    gopher_stop_words: int
    gopher_stop_word_list: str
    c4_max_word_chars: int
    c4_min_line_words: int
    c4_min_sentences: int
    c4_lines: str
    fineweb_line_punctuation: float
    fineweb_short_lines: float
    fineweb_short_line: int
    fineweb_duplicate_line_chars: float
    fineweb_new_lines: float
    personal: str
    text_column: str
    id_column: str | None
    source_column: str | None
    max_bad: str
