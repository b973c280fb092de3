"""Settings as dataclasses whose fields are options: each default, meaning and limit stands once, in the field.

    @dataclass(frozen=True)
    class Settings:
        threshold: float = option(0.8, "similarity from which documents are alike", Number(0, 1, above=True), "J")

From the class come the command line (`add_options`, `from_arguments`), keywords of a function (`from_keywords`), the
check of values however they were given (`check_options`) and the table in the documentation (`markdown_table`).
"""

from __future__ import annotations

import argparse
import difflib
import math
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn, Protocol, TypeVar

from sparkprep.commands import help_of
from sparkprep.errors import UserError, argument, flag
from sparkprep.pasted import hint

T = TypeVar("T")


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
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number{_of_text(value, self)}")
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
            raise argparse.ArgumentTypeError(f"{value!r} is not a number{_of_text(value, self)}")
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


class _OneOrSome(argparse.Action):
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


_SEVERAL = (SomeOf, Texts)
"""Kinds of options that take several words."""


class _Gathered(argparse.Action):
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


def _of_text(value: Any, kind: Kind) -> str:
    """Say how a value that was given as text is written in Python, where it would do."""
    try:
        return f": leave out its quotation marks, {kind(value)!r}" if isinstance(value, str) else ""
    except argparse.ArgumentTypeError:
        return ""


@dataclass(frozen=True)
class Option:
    """One setting. name: of the field; short: further spellings on the command line, with their dash."""

    name: str
    default: Any
    meaning: str
    kind: Kind
    metavar: str
    short: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The long flag."""
        return flag(self.name)

    @property
    def help(self) -> str:
        """The meaning, with the default where there is one to tell, as argparse wants it."""
        default = " ".join(self.default or ()) if isinstance(self.kind, _SEVERAL) else self.default
        has_default = default is not None and default != "" and not isinstance(self.kind, Switch)
        shown = int(default) if isinstance(default, bool) else f"{default:,}" if _is_large(default) else default
        return (f"{self.meaning} (default {shown})" if has_default else self.meaning).replace("%", "%%")

    def checked(self, value: Any) -> Any:
        """Return a value as plain Python has it. The default is always right: it may stand for "not set".

        Raises UserError for a value that is not of the option's kind.
        """
        if type(value) is type(self.default) and value == self.default:
            return value
        try:
            return self.kind.check(value)
        except argparse.ArgumentTypeError as error:
            raise UserError(f"{argument(self.name)}: {error}") from None


def option(default: Any, meaning: str, kind: Kind, metavar: str = "N", short: tuple[str, ...] = ()) -> Any:
    """Return a dataclass field that is an option."""
    return field(default=default, metadata={"option": (meaning, kind, metavar, short)})


def options_of(settings: type) -> Iterator[Option]:
    """Yield the options of a class of settings, in the order of its fields; other fields are passed over."""
    for each in fields(settings):
        if "option" in each.metadata:
            meaning, kind, metavar, short = each.metadata["option"]
            yield Option(each.name, each.default, meaning, kind, metavar, short)


def option_named(settings: type, name: str) -> Option:
    """Return one of the options of a class of settings."""
    return next(each for each in options_of(settings) if each.name == name)


def changed(settings: Any) -> dict[str, Any]:
    """Return the options, name -> value, that are not as they are by default."""
    values = {each.name: getattr(settings, each.name) for each in options_of(type(settings))}
    return {each.name: values[each.name] for each in options_of(type(settings)) if values[each.name] != each.default}


def check_options(settings: Any) -> None:
    """Make the values of settings plain ones of Python, as a number of NumPy is not. For `__post_init__`.

    Raises UserError, with all that is wrong, where a value is not of its option's kind.
    """
    problems = []
    for each in options_of(type(settings)):
        try:
            value = each.checked(getattr(settings, each.name))
        except UserError as error:
            problems.append(str(error))
        else:
            object.__setattr__(settings, each.name, value)  # settings are frozen once they are made
    if problems:
        raise UserError("; ".join(problems))


class Keywords:
    """What settings derive from, so that a keyword that is none of theirs is a UserError with the nearest one."""

    def __new__(cls, *values: Any, **keywords: Any) -> Any:
        """Make settings. Raises UserError for an unknown keyword."""
        refuse_unknown(keywords, [each.name for each in fields(cls)], cls.__name__)  # type: ignore[arg-type]
        return super().__new__(cls)


def refuse_unknown(keywords: Collection[str], known: Sequence[str], of: str) -> None:
    """Raise UserError, with the nearest one there is, for the first keyword that is not known. of: who is asked."""
    for name in keywords:
        if name not in known:
            there = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise UserError(f"{of} knows no {name!r}{there}")


def from_keywords(settings: type[T], given: T | None, keywords: Mapping[str, Any], others: Sequence[str] = ()) -> T:
    """Return settings in which keywords replace fields: those that were given, or else the defaults.

    others: further keywords of the function that was called, for the message about an unknown one. Raises UserError
    where something else than settings was given, for an unknown keyword, and for a value that cannot work.
    """
    if given is not None and not isinstance(given, settings):
        name = settings.__name__
        way_out = f"{name}(**settings)" if isinstance(given, Mapping) else f"{name}(...)"
        raise UserError(f"settings: a {type(given).__name__} is no {name}: give {way_out}, or its fields as keywords")
    own = [each.name for each in fields(settings)]  # type: ignore[arg-type]
    refuse_unknown(keywords, [*own, *others], "this function")
    return settings(**keywords) if given is None else replace(given, **keywords)  # type: ignore[type-var]


def add_options(parser: argparse.ArgumentParser, settings: type, left_out: Collection[str] = ()) -> None:
    """Add a flag for each option to a parser, but for the fields named in `left_out`."""
    for each in options_of(settings):
        if each.name not in left_out:
            add_option(parser, each)


def add_option(parser: argparse.ArgumentParser, each: Option) -> None:
    """Add the flag of one option."""
    words = (*each.short, each.flag)
    if isinstance(each.kind, Switch):
        parser.add_argument(*words, action="store_true", default=each.default, dest=each.name, help=each.help)
        return
    if isinstance(each.kind, _SEVERAL):
        parser.add_argument(
            *words,
            type=each.kind,
            action=_Gathered,
            nargs="+",
            default=each.default,
            dest=each.name,
            metavar=each.metavar,
            help=each.help,
        )
        return
    if isinstance(each.kind, NumberOrSome):
        parser.add_argument(
            *words,
            type=each.kind,
            action=_OneOrSome,
            nargs="+",
            default=each.default,
            dest=each.name,
            metavar=each.metavar,
            help=each.help,
        )
        return
    metavar = "|".join(each.kind.choices) if isinstance(each.kind, OneOf) else each.metavar
    parser.add_argument(*words, type=each.kind, default=each.default, dest=each.name, metavar=metavar, help=each.help)


def flags_given(settings: type, words: Sequence[str]) -> list[str]:
    """Return the flags of a class of settings that stand among the words of a command line, as they are spelt there."""
    flags = {word for each in options_of(settings) for word in (*each.short, each.flag)}
    return [name for name in (word.partition("=")[0] for word in words) if name in flags]


def add_work(parser: argparse.ArgumentParser) -> None:
    """Add the argument of where intermediate tables lie."""
    parser.add_argument(
        "--work",
        metavar="PLACE",
        help="folder or s3:// prefix for intermediate tables, seen by all nodes (default: beside the output)",
    )
    parser.add_argument(
        "--keep-work",
        action="store_true",
        help="keep the intermediate tables of a run that fails, and name their place",
    )


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Add the argument of a job whose stages are noted (`spark/stages.py`)."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from where an earlier run of the same was killed or failed, if one was; keep the work for the next",
    )


def from_arguments(settings: Callable[..., T], args: argparse.Namespace) -> T:
    """Return the settings among parsed arguments; those that the command line did not offer keep their default."""
    named = {each.name for each in options_of(settings)}  # type: ignore[arg-type]  # a class, called as a function
    return settings(**{name: value for name, value in vars(args).items() if name in named})


def markdown_table(options: Iterator[Option]) -> str:
    """Return a table of flags, defaults and meanings for the documentation."""
    rows = []
    for each in options:
        spelt = ", ".join(f"`{word}`" for word in (*each.short, each.flag))
        shown = int(each.default) if isinstance(each.default, bool) else each.default
        if isinstance(each.kind, _SEVERAL):
            shown = " ".join(each.default or ()) or None
        default = "" if shown is None or isinstance(each.kind, Switch) else f"`{shown}`"
        meaning = each.meaning.replace("|", "\\|")  # a bar would end the cell
        rows.append(f"| {spelt} | {default} | {meaning} |")
    return "\n".join(["| flag | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean KNOWN?` with what is most like a word (flag, verb, value), or nothing where none is."""
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return f"; did you mean {lower[near[0]]}?" if near else ""


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
_WORD = re.compile(r"[^\s,']+")


class Parser(argparse.ArgumentParser):
    """A parser whose flags are never abbreviated, whose examples keep their lines, and whose errors are one line."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse; the parser of the verb that was asked for refuses what it does not know, and names its own help.

        argparse would hand it up to the parser of the whole program. Raises UserError.
        """
        words = kwargs.pop("args", args[0] if args else None)
        parsed, unknown = super().parse_known_args(self._joined(words), *args[1:], **kwargs)
        if unknown and not any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self.error(f"{_UNKNOWN}{' '.join(unknown)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Raise UserError with one line; argparse's whole usage would hide it."""
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

    def _known_flags(self) -> list[str]:
        """The flags of this parser and of those below it, which hand up what they do not know."""
        flags = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                flags += [flag for below in action.choices.values() for flag in below._option_string_actions]
        return flags


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1_000_000
