"""The kinds of values that settings have: each reads a word of a command line and checks a value, however given."""

from __future__ import annotations

import argparse
import difflib
import math
import numbers
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sparkprep.pasted import did_you_mean, hint


class Kind(Protocol):
    """What values an option takes: a word of the command line to a value, and a value's check."""

    def __call__(self, word: str) -> Any:
        """Return the value that a word stands for; raises argparse.ArgumentTypeError for what is none."""

    def check(self, value: Any) -> Any:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""


_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `least` to `most`; `special` is allowed beside them (-1 often means "not set").

    A word may group them by commas, as they are printed here (5,000).
    """

    least: int | None = None
    most: int | None = None
    special: int | None = None

    def __call__(self, word: str) -> int:
        try:
            value = int(word.replace(",", "") if _GROUPED.fullmatch(word) else word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is not a whole number{hint(word)}") from None
        return self.check(value)

    def check(self, value: Any) -> int:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number{of_text(value, self)}")
        number = int(value)
        if number == self.special:
            return number
        if self.least is not None and number < self.least:
            also = f" (or {self.special})" if self.special is not None else ""
            raise argparse.ArgumentTypeError(f"{number} is below {self.least}{also}")
        if self.most is not None and number > self.most:
            raise argparse.ArgumentTypeError(f"{number} is above {self.most:,}")
        return number


@dataclass(frozen=True)
class Number:
    """Finite numbers from `least` (with `above`: only above it) to `most`."""

    least: float | None = None
    most: float | None = None
    above: bool = False

    def __call__(self, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is not a number{hint(word)}") from None
        return self.check(value)

    def check(self, value: Any) -> float:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise argparse.ArgumentTypeError(f"{value!r} is not a number{of_text(value, self)}")
        number: float = int(value) if isinstance(value, numbers.Integral) else float(value)
        if not math.isfinite(number):
            raise argparse.ArgumentTypeError(f"'{number}' is not a finite number")
        if self.least is not None and (number < self.least or (self.above and number == self.least)):
            how = "not above" if self.above else "below"
            raise argparse.ArgumentTypeError(f"{number:g} is {how} {self.least:g}")
        if self.most is not None and number > self.most:
            raise argparse.ArgumentTypeError(f"{number:g} is above {self.most:g}")
        return number


class NumberOrSome(Number):
    """A number, of which a command line may name several, for a result of each: then they are a tuple."""


class OneOrSome(argparse.Action):
    """Takes one value as it is, several as a tuple."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else tuple(values))


@dataclass(frozen=True)
class OneOf:
    """One of a few words."""

    choices: tuple[str, ...]

    def __call__(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if not isinstance(value, str) or value not in self.choices:
            near = hint(str(value)) or did_you_mean(str(value), self.choices)
            raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(self.choices)}{near}")
        return str(value)


@dataclass(frozen=True)
class SomeOf:
    """Some words, each once, in the order given: a tuple. One text may hold several, with commas or blanks.

    things: what they are, where there are too many to be listed in a message; the nearest are named then.
    """

    choices: tuple[str, ...]
    things: str = ""

    def __call__(self, word: str) -> tuple[str, ...]:
        return self.check(word)

    def check(self, value: Any) -> tuple[str, ...]:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if isinstance(value, str):
            value = value.replace(",", " ").split()
            if not value:
                raise argparse.ArgumentTypeError("an empty word was given, as from a variable that is not set")
        known = self.things or f"words: some of {', '.join(self.choices)}"
        if not isinstance(value, Sequence) or not value:
            raise argparse.ArgumentTypeError(f"{value!r} names no {known}")
        words = tuple(map(self._checked, value))
        for place, word in enumerate(words):
            if word in words[:place]:
                raise argparse.ArgumentTypeError(f"{word!r} is given twice")
        return words

    def _checked(self, word: Any) -> str:
        if not self.things or word in self.choices:
            return OneOf(self.choices).check(word)
        nearest = difflib.get_close_matches(str(word).lower(), self.choices, n=3, cutoff=0)
        raise argparse.ArgumentTypeError(
            f"{word!r} is none of the {len(self.choices)} {self.things}; the nearest are {', '.join(nearest)}"
        )


@dataclass(frozen=True)
class Texts:
    """Some texts, each once, in the order given: a tuple. A flag of them may be given again, and adds to them.

    separator: what parts several in one word; none where each word is one.
    """

    separator: str = ""

    def __call__(self, word: str) -> tuple[str, ...]:
        return self.check(word)

    def check(self, value: Any) -> tuple[str, ...]:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str):
            value = [part.strip() for part in value.split(self.separator)] if self.separator else [value]
        if not isinstance(value, Sequence) or not value:
            raise argparse.ArgumentTypeError(f"{value!r} names nothing")
        words = tuple(Text().check(os.fspath(each) if isinstance(each, os.PathLike) else each) for each in value)
        for place, word in enumerate(words):
            if word in words[:place]:
                raise argparse.ArgumentTypeError(f"{word!r} is given twice")
        return words


SEVERAL = (SomeOf, Texts)
"""Kinds of options that take several words."""


class Gathered(argparse.Action):
    """Puts the words behind a flag that takes several, each of which may stand for several, into one tuple."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        words = tuple(word for some in values for word in some)
        if isinstance(self.type, Texts):
            words = (*getattr(namespace, self.dest), *words)
        try:
            setattr(namespace, self.dest, self.type.check(words))  # type: ignore[union-attr]
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None


@dataclass(frozen=True)
class Text:
    """Any text; an empty one only if `empty`."""

    empty: bool = False

    def __call__(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if not isinstance(value, str):
            raise argparse.ArgumentTypeError(f"{value!r} is not a text")
        if not value and not self.empty:
            raise argparse.ArgumentTypeError("an empty word was given, as from a variable that is not set")
        return str(value)


@dataclass(frozen=True)
class ZeroOrOne:
    """llm.c's way to say yes and no: 0 or 1."""

    def __call__(self, word: str) -> bool:
        if word not in ("0", "1"):
            raise argparse.ArgumentTypeError(f"{word!r} is neither 0 nor 1{hint(word)}")
        return word == "1"

    def check(self, value: Any) -> bool:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if not isinstance(value, bool):
            raise argparse.ArgumentTypeError(f"{value!r} is neither True nor False")
        return value


class Switch(ZeroOrOne):
    """Yes where the flag stands, without a value."""


def of_text(value: Any, kind: Kind) -> str:
    """Say how a value that was given as text is written in Python, where it would do."""
    try:
        return f": leave out its quotation marks, {kind(value)!r}" if isinstance(value, str) else ""
    except argparse.ArgumentTypeError:
        return ""
