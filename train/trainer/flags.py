"""llm.c's command lines on argparse: pairs of `-flag value`, with long names, checked values and a help that is true.

argparse alone cannot read them: it takes `-1` for an abbreviation of `-1d`, and `-s` for a beginning of `-sl`. So each
pair becomes `--long=value` first, and argparse sees long names only.
"""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

MEANINGLESS = "accepted, without meaning here: one process, one GPU"


@dataclass(frozen=True)
class Flag:
    """One option. name: the long one, without dashes; short: llm.c's spellings, with their dash.

    parse: word -> value, raising argparse.ArgumentTypeError; None for a switch without a value.
    """

    name: str
    short: tuple[str, ...]
    default: Any
    parse: Callable[[str], Any] | None
    help: str
    metavar: str = ""


class Parser(argparse.ArgumentParser):
    """A parser of Flags. `given` tells after a parse which of them the command line named (long names)."""

    def __init__(self, flags: Sequence[Flag], **options: Any) -> None:
        super().__init__(
            allow_abbrev=False, add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )
        self.given: frozenset[str] = frozenset()
        self._by_word = {word: flag for flag in flags for word in (*flag.short, f"--{flag.name}")}
        for flag in flags:
            options = {"default": flag.default, "help": _help(flag), "dest": flag.name.replace("-", "_")}
            if flag.parse is None:
                self.add_argument(*flag.short, f"--{flag.name}", action="store_true", **options)
            else:
                metavar = flag.metavar or "N"
                self.add_argument(*flag.short, f"--{flag.name}", type=flag.parse, metavar=metavar, **options)
        self.add_argument("--help", action="help", help="show this and exit; so does -h without a number")

    def parse_words(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse a command line. Exits with 2 and a message for unknown flags, missing and bad values."""
        words = self._long(argv)
        self.given = frozenset(word.partition("=")[0].removeprefix("--") for word in words)
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """One line, as for every other mistake; the whole help would hide it."""
        self.exit(2, f"error: {message} (--help lists all flags)\n")

    def _long(self, argv: Sequence[str]) -> list[str]:
        words: list[str] = []
        rest = list(argv)
        while rest:
            word, glued, value = rest.pop(0).partition("=")
            if word == "--help" or (word == "-h" and not glued and not (rest and _is_number(rest[0]))):
                return ["--help"]
            flag = self._by_word.get(word)
            if flag is None:
                self.error(_unknown(word + glued + value, list(self._by_word)))
            if flag.parse is None:
                if glued:
                    self.error(f"{word} takes no value")
                words.append(f"--{flag.name}")
                continue
            if not glued:
                if not rest:
                    self.error(f"{word}: its value is missing (was a line cut short, or a backslash lost?)")
                value = rest.pop(0)
            words.append(f"--{flag.name}={value}")
        return words


def integer(least: int | None = None, special: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers of at least `least`; `special` is allowed beside them (-1 often means "not set")."""

    def parse(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is not a whole number") from None
        if least is not None and value < least and value != special:
            also = f" (or {special})" if special is not None else ""
            raise argparse.ArgumentTypeError(f"{value} is below {least}{also}")
        return value

    return parse


def number(least: float | None = None, most: float | None = None, *, above: bool = False) -> Callable[[str], float]:
    """A parser of finite numbers from `least` (or above it) to `most`."""

    def parse(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is not a number") from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{word!r} is not a finite number")
        if least is not None and (value < least or (above and value == least)):
            raise argparse.ArgumentTypeError(
                f"{word} is not above {least:g}" if above else f"{word} is below {least:g}"
            )
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"{word} is above {most:g}")
        return value

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser of one of a few words."""

    def parse(word: str) -> str:
        if word not in choices:
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(choices)}")
        return word

    return parse


def switch(word: str) -> bool:
    """llm.c's 0 or 1."""
    if word not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{word!r} is neither 0 nor 1")
    return word == "1"


def text(word: str) -> str:
    """Any word but an empty one."""
    if not word:
        raise argparse.ArgumentTypeError("an empty word was given")
    return word


def _help(flag: Flag) -> str:
    default = flag.default
    if flag.parse is None or default is None or default == "":
        return flag.help
    shown = int(default) if isinstance(default, bool) else default
    return f"{flag.help} (default {shown})".replace("%", "%%")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _unknown(word: str, known: list[str]) -> str:
    if not word.startswith("-"):
        return f"{word!r} stands where a flag was expected; flags come in pairs: -flag value"
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"unknown flag {word}" + (f"; did you mean {near[0]}?" if near else "")
