"""Settings as dataclasses whose fields are options: each default, meaning and limit stands once, in the field.

    @dataclass(frozen=True)
    class Settings:
        threshold: float = option(0.8, "similarity from which documents are alike", Number(0, 1, above=True), "J")

From the class come the command line (`add_options`, `from_arguments`), keywords of a function (`from_keywords`), the
check of values however they were given (`check_options`) and the table in the documentation (`markdown_table`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from sparkprep.errors import UserError, argument, flag
from sparkprep.kinds import SEVERAL, Gathered, Kind, NumberOrSome, OneOf, OneOrSome, Switch
from sparkprep.pasted import did_you_mean

T = TypeVar("T")


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
        default = " ".join(self.default or ()) if isinstance(self.kind, SEVERAL) else self.default
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
    if isinstance(each.kind, SEVERAL):
        parser.add_argument(
            *words,
            type=each.kind,
            action=Gathered,
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
            action=OneOrSome,
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
        help="go on from where an earlier run of the same was killed or failed, if one was, and keep the work for the "
        "next; where its result is finished, say so and write nothing",
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
        if isinstance(each.kind, SEVERAL):
            shown = " ".join(each.default or ()) or None
        default = "" if shown is None or isinstance(each.kind, Switch) else f"`{shown}`"
        meaning = each.meaning.replace("|", "\\|")  # a bar would end the cell
        rows.append(f"| {spelt} | {default} | {meaning} |")
    return "\n".join(["| flag | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1_000_000
