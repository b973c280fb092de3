"""The published rules by name: which set each is of, what it measures, and on which side of its threshold it removes.

A rule that has a threshold bears the name of its setting: `gopher-min-words` is `FilterSettings.gopher_min_words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Bound(IntEnum):
    """Where a rule removes."""

    BELOW = 0  # its threshold
    ABOVE = 1
    ALWAYS = 2  # there is no threshold


@dataclass(frozen=True)
class Rule:
    """One rule. of_lines: it removes lines, or what stands in them, and no document."""

    name: str
    set: str
    bound: Bound
    about: str
    of_lines: bool = False

    @property
    def setting(self) -> str | None:
        """The setting that is its threshold."""
        return None if self.bound == Bound.ALWAYS else self.name.replace("-", "_")


GOPHER_REPETITION, GOPHER_QUALITY, C4, FINEWEB = "gopher-repetition", "gopher-quality", "c4", "fineweb"
SETS = (GOPHER_REPETITION, GOPHER_QUALITY, C4, FINEWEB)
DEFAULT_SETS = (GOPHER_REPETITION, GOPHER_QUALITY, FINEWEB)
"""What FineWeb was made with, but for C4, which changes texts."""

_BELOW, _ABOVE, _ALWAYS = Bound.BELOW, Bound.ABOVE, Bound.ALWAYS

# In the order in which each set asks them: the first that fails is named. The kernels know them by their places.
RULES = (
    Rule("gopher-empty", GOPHER_REPETITION, _ALWAYS, "without a character"),
    Rule("gopher-duplicate-paragraphs", GOPHER_REPETITION, _ABOVE, "paragraphs said before, of all"),
    Rule("gopher-duplicate-paragraph-chars", GOPHER_REPETITION, _ABOVE, "characters in them, of all"),
    Rule("gopher-duplicate-lines", GOPHER_REPETITION, _ABOVE, "lines said before, of all"),
    Rule("gopher-duplicate-line-chars", GOPHER_REPETITION, _ABOVE, "characters in them, of all"),
    *(
        Rule(f"gopher-top-{n}-gram", GOPHER_REPETITION, _ABOVE, f"characters in the most frequent {n} words, of all")
        for n in (2, 3, 4)
    ),
    *(
        Rule(f"gopher-duplicate-{n}-grams", GOPHER_REPETITION, _ABOVE, f"characters in {n} words said before, of all")
        for n in (5, 6, 7, 8, 9, 10)
    ),
    Rule("gopher-min-words", GOPHER_QUALITY, _BELOW, "words that are no mere symbols"),
    Rule("gopher-max-words", GOPHER_QUALITY, _ABOVE, "words that are no mere symbols"),
    Rule("gopher-min-word-length", GOPHER_QUALITY, _BELOW, "mean characters of such a word"),
    Rule("gopher-max-word-length", GOPHER_QUALITY, _ABOVE, "mean characters of such a word"),
    Rule("gopher-hashes", GOPHER_QUALITY, _ABOVE, "# signs for each word"),
    Rule("gopher-ellipses", GOPHER_QUALITY, _ABOVE, "ellipses for each word"),
    Rule("gopher-bullet-lines", GOPHER_QUALITY, _ABOVE, "lines that begin with a bullet, of all"),
    Rule("gopher-ellipsis-lines", GOPHER_QUALITY, _ABOVE, "lines that end in an ellipsis, of all"),
    Rule("gopher-alpha-words", GOPHER_QUALITY, _BELOW, "words with a letter, of all"),
    Rule("gopher-stop-words", GOPHER_QUALITY, _BELOW, "different ones of the, be, to, of, and, that, have, with"),
    Rule("c4-max-word-chars", C4, _ABOVE, "lines with a word of more characters", of_lines=True),
    Rule("c4-citations", C4, _ALWAYS, "[1], [edit] and [citation needed]", of_lines=True),
    Rule("c4-terminal-punctuation", C4, _ALWAYS, "lines that do not end as a sentence does", of_lines=True),
    Rule("c4-min-line-words", C4, _BELOW, "lines of fewer words", of_lines=True),
    Rule("c4-lorem-ipsum", C4, _ALWAYS, "a line with lorem ipsum"),
    Rule("c4-javascript", C4, _ALWAYS, "lines that name JavaScript", of_lines=True),
    Rule("c4-curly-bracket", C4, _ALWAYS, "a line with {"),
    Rule("c4-policy", C4, _ALWAYS, "lines on cookies, privacy and terms of use", of_lines=True),
    Rule("c4-min-sentences", C4, _BELOW, "sentences in the lines that stay"),
    Rule("fineweb-empty", FINEWEB, _ALWAYS, "without a line that is not blank"),
    Rule("fineweb-line-punctuation", FINEWEB, _BELOW, "lines that end as a sentence does, of all"),
    Rule("fineweb-short-lines", FINEWEB, _ABOVE, "short lines, of all"),
    Rule("fineweb-duplicate-line-chars", FINEWEB, _ABOVE, "characters in lines said before, of all"),
    Rule("fineweb-new-lines", FINEWEB, _ABOVE, "line ends for each word"),
)
NUMBERS = {rule.name: number for number, rule in enumerate(RULES)}


def rules_of(name: str) -> list[Rule]:
    """Return the rules of a set, in their order."""
    return [rule for rule in RULES if rule.set == name]


def first_of(name: str) -> int:
    """Return the place of a set's first rule among RULES."""
    return NUMBERS[rules_of(name)[0].name]
