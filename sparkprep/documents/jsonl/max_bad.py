"""How many bad lines a job bears: the setting `max_bad`."""

from __future__ import annotations

import argparse
import numbers
import re
from dataclasses import dataclass
from typing import Any

from sparkprep.errors import UserError
from sparkprep.options import option

DEFAULT = "1%"


@dataclass(frozen=True)
class MaxBad:
    """How many bad lines a job bears: a count, or a share (0..1) of the lines that are not blank."""

    count: int | None
    share: float | None = None

    def allows(self, bad: int, lines: int) -> bool:
        """Return whether `bad` bad lines among `lines` are borne."""
        return bad <= (self.share * lines if self.share is not None else self.count or 0)

    def __str__(self) -> str:
        return f"{self.share * 100:g}%" if self.share is not None else str(self.count)


def parse_max_bad(text: str) -> MaxBad:
    """Read the value of `max_bad`: "100" (lines) or "0.1%" (share of the lines). Raises UserError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text, re.ASCII)
    if match and match[2] and float(match[1]) <= 100:
        return MaxBad(count=None, share=float(match[1]) / 100)
    if match and not match[2] and "." not in match[1]:
        return MaxBad(count=int(match[1]))
    raise UserError(f"{text!r} is neither a number of lines, such as 100, nor a share of them, such as 0.1%")


def max_bad_option() -> Any:
    """Return the dataclass field of --max-bad, which means the same in every job."""
    return option(DEFAULT, "most bad lines of JSON Lines, a share of all or a count such as 100", BadLines(), "N")


@dataclass(frozen=True)
class BadLines:
    """The kind of option that `max_bad` is; its value stays the text that was given."""

    def __call__(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        """Return the text of a count or a share; raises argparse.ArgumentTypeError for a value that is neither."""
        text = str(value) if isinstance(value, str | numbers.Integral) and not isinstance(value, bool) else repr(value)
        try:
            parse_max_bad(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text
