"""The parser of every command line here: errors of one line that name the way out, and no abbreviated flags."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from sparkprep.commands import help_of
from sparkprep.errors import UserError
from sparkprep.pasted import did_you_mean, hint

# argparse's words for a verb or a size that there is not; since Python 3.12 the choices have no quotation marks.
_INVALID_CHOICE = re.compile(
    r"(?P<subject>argument .+?): invalid choice: (?P<quoted>'.*'|\".*\") \(choose from (?P<choices>.+)\)",
    re.DOTALL,
)
FLAGS = "'FLAGS'"
"""What a flag is shown to take that hands flags on to another program."""
ORDER = "ORDER"
"""What a flag is shown to take whose value may begin with one hyphen, as in `--keep -score`."""
_UNKNOWN = "unrecognized arguments: "
_MISSING = "the following arguments are required: "
_WORD = re.compile(r"[^\s,']+")


class Parser(argparse.ArgumentParser):
    """A parser whose flags are never abbreviated, whose examples keep their lines, and whose errors are one line."""

    _words: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse; the parser of the verb that was asked for refuses what it does not know, and names its own help.

        argparse would hand it up to the parser of the whole program. Raises UserError.
        """
        words = self._joined(kwargs.pop("args", args[0] if args else None))
        self._words = words or ()
        parsed, unknown = super().parse_known_args(words, *args[1:], **kwargs)
        if unknown and not any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self.error(f"{_UNKNOWN}{' '.join(unknown)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Raise UserError with one line; argparse's whole usage would hide it."""
        if message.startswith(_MISSING):  # as a flag is that was mistyped
            message = next((f"{_UNKNOWN}{word}" for word in self._unknown_flags()), message)
        if message.startswith(_UNKNOWN):
            words, flags = message.removeprefix(_UNKNOWN), self._known_flags()
            unknown = words.split(" ")[0] or (" " if words else "")
            name = unknown if unknown.strip() else repr(unknown)
            message = f"unknown flag or value {name}{hint(unknown, flags) or did_you_mean(unknown, flags)}"
        elif choice := _INVALID_CHOICE.fullmatch(message):
            word, choices = choice["quoted"][1:-1], _WORD.findall(choice["choices"])
            near = hint(word) or did_you_mean(word, choices)
            message = f"{choice['subject']}: {choice['quoted']} is none of {', '.join(choices)}{near}"
        raise UserError(f"{message.removeprefix('argument ')} (`{help_of(self.prog)}` tells what there is)")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Refuse an empty word where any other is taken as it is; what has a type or choices answers for itself."""
        if not arg_string and action.type is None and action.choices is None:
            raise argparse.ArgumentError(action, "an empty value was given, as from a variable that is not set")
        return super()._get_value(action, arg_string)

    def _joined(self, words: Sequence[str] | None) -> Sequence[str] | None:
        """Join what takes flags of another program, such as `--dedup`, or an order, with what begins so behind it.

        argparse would take that for a flag of ours, unless it has a blank in it.
        """
        beginnings = {flag: {FLAGS: r"-", ORDER: r"-(?!-)"}.get(str(action.metavar))
                      for flag, action in self._option_string_actions.items()}  # fmt: skip
        if words is None or not any(beginnings.values()):
            return words
        joined: list[str] = []
        for word in words:
            beginning = beginnings.get(joined[-1]) if joined else None
            if beginning is not None and re.match(beginning, word):
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def _unknown_flags(self) -> list[str]:
        """The words that begin as flags do, before a `--`, and are none."""
        words = itertools.takewhile(lambda word: word != "--", self._words)
        known = self._known_flags()
        return [word for word in words if re.match(r"--\w|-[A-Za-z]", word) and word.partition("=")[0] not in known]

    def _known_flags(self) -> list[str]:
        """The flags of this parser and of those below it, which hand up what they do not know."""
        flags = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                flags += [flag for below in action.choices.values() for flag in below._option_string_actions]
        return flags
