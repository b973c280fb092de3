"""llm.c's command lines on argparse: pairs of `-flag value`, and flags that are accepted for its sake alone.

argparse alone cannot read them: it takes `-1` for an abbreviation of `-1d`, and `-s` for a beginning of `-sl`. So each
pair becomes `--long=value` first, and argparse sees long names only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sparkprep import options, parser, pasted
from sparkprep.kinds import Integer, Kind, Switch, Text
from sparkprep.options import Option
from sparkprep.pasted import did_you_mean

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "bf16", "fp32")
"""What several scripts let choose; here, where no PyTorch must be loaded to print a help."""
BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Tokens of HellaSwag at a time, for the same reason here: on a GPU what fills it, on a CPU what stays near the caches.
"""
FREE_TEXT = "TEXT"
PATHS = ("GLOB", "FILE", "FOLDER")
"""Placeholders of options: of one that takes any text, quotation marks too; and of those that take paths."""
_ELSEWHERE = {
    **{"lr": "-l", "max-lr": "-l", "warmup-iters": "-u", "warmup-steps": "-u", "wd": "-c", "max-steps": "-x"},
    **{"num-iterations": "-x", "max-iters": "-x", "batch-size": "-b", "batch": "-b", "bs": "-b", "block-size": "-t"},
    **{"sequence-length": "-t", "total-batch-size": "-d", "input-bin": "-id", "input-val-bin": "-iv"},
    **{"output-dir": "-o", "out-dir": "-o", "val-loss-every": "-v", "eval-interval": "-v", "dtype": "--precision"},
}
"""Flags of other trainers (llm.c's in Python, nanoGPT), without their dashes, and what they are here."""
MEANINGLESS = "accepted, without meaning here: one process, one GPU"


def meaningless(name: str, *short: str, kind: Kind | None = None) -> Option:
    """Return a flag that is accepted and changes nothing; its value must be of `kind`, by default any text."""
    return Option(name, None, MEANINGLESS, kind or Text(), "WORD", short)


IGNORED = (
    meaningless("tf32", "-f"),
    meaningless("gelu_fusion", "-ge"),
    meaningless("zero_stage", "-z"),
    meaningless("num_processes", "-pn", kind=Integer(1)),
    meaningless("process_rank", "-pr"),
    meaningless("gpus_per_node", "-pg"),
    meaningless("init_method", "-pi", "-pm"),
    meaningless("fs_path", "-pf", "-pp"),
    meaningless("server_ip", "-ps"),
)
"""llm.c's flags about TF32, fused kernels and several GPUs."""


class Parser(parser.Parser):
    """A parser of llm.c's pairs. `given` holds, after a parse, the long names that the command line gave, bare."""

    def __init__(self, accepted: Sequence[Option], **kwargs: Any) -> None:
        super().__init__(add_help=False, **kwargs)
        self.given: frozenset[str] = frozenset()
        self._by_word = {word: option for option in accepted for word in (*option.short, option.flag)}
        for option in accepted:
            options.add_option(self, option)
        self.add_argument("--help", action="help", help="show this and exit; so does -h without a number")

    def parse_words(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse a command line. Raises UserError for unknown flags, missing and bad values."""
        words = self._long(argv)
        self.given = frozenset(word.partition("=")[0].removeprefix("--") for word in words)
        return self.parse_args(words)

    def _long(self, argv: Sequence[str]) -> list[str]:
        """Return the command line with each pair as `--long=value` and each switch as `--long`."""
        words: list[str] = []
        rest = list(argv)
        before: tuple[str, Option, str] | None = None  # the pair before, as it was typed
        while rest:
            word, glued, value = rest.pop(0).partition("=")
            if word == "--help" or (word == "-h" and not glued and not (rest and _is_number(rest[0]))):
                return ["--help"]
            option = self._by_word.get(word)
            if option is None:
                self.error(_unknown(word + glued + value, list(self._by_word), before, rest))
            if isinstance(option.kind, Switch):
                if glued:
                    self.error(f"{word} takes no value")
                words.append(option.flag)
                before = None
                continue
            if not glued:
                if not rest:
                    self.error(f"{word}: its value is missing (was a line cut short, or a backslash lost?)")
                value = rest.pop(0)
            if isinstance(option.kind, Text) and option.metavar != FREE_TEXT and value and pasted.is_wrapped(value):
                self.error(f"{word}: {value!r} cannot be meant{pasted.hint(value)}")
            before = (word, option, value)
            words.append(f"{option.flag}={value}")
        return words


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _unknown(word: str, flags: list[str], before: tuple[str, Option, str] | None, rest: Sequence[str]) -> str:
    """Say what is wrong with a word that stands where a flag was expected: after the pair `before`, before `rest`."""
    if word.startswith("-"):
        usual = _ELSEWHERE.get(word.lstrip("-").replace("_", "-"))
        near = f"; did you mean {usual}?" if usual in flags else did_you_mean(word, flags)
        return f"unknown flag {word}{near}"
    problem = f"{word!r} stands where a flag was expected"
    if why := pasted.hint(word, flags):
        return problem + why
    if before is not None:
        flag, option, value = before
        if option.metavar in PATHS:
            several = [value, word, *takewhile(lambda other: not other.startswith("-"), rest)]
            whole = f"give {flag} {pasted.pattern_of(several)}, in quotes" if option.metavar == "GLOB" else "give one"
            return f"{problem}, after {flag} {value}: a shell makes several words of a pattern; {whole}"
        if why := pasted.hint(value):
            return f"{problem}, after {flag} {value}{why}"
    return f"{problem}; flags come in pairs: -flag value"
