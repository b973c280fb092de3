"""The examples in each --help are command lines that the program takes."""

import argparse
import importlib
import re
import shlex
from collections.abc import Sequence
from typing import Any

import pytest
from checkout import ROOT

from sparkprep import cli
from trainer import flags

_INTERPRETERS = ("python", "spark-submit")


def faces() -> list[str]:
    """The modules that end their --help with examples."""
    sources = {ROOT: "sparkprep", ROOT / "train": "trainer"}
    files = [(root, path) for root, package in sources.items() for path in sorted((root / package).rglob("*.py"))]
    return [
        ".".join(path.relative_to(root).with_suffix("").parts)
        for root, path in files
        if re.search(r"^EPILOG = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def examples(epilog: str) -> list[str]:
    """The commands in the help's list of examples, without what is said of each."""
    listed = epilog.split("examples:\n", 1)[1].split("\n\n", 1)[0]
    return [re.split(r"\s{2,}", line.strip())[0] for line in listed.splitlines()]


def parse(face: Any, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words behind the program's name as the program does; a mistake is a UserError."""
    parser = face._parser()
    return parser.parse_words(words) if isinstance(parser, flags.Parser) else parser.parse_args(words)


def verb_of(job: str) -> str:
    """The verb of `sparkprep` that a file of jobs/ runs."""
    found = re.search(r"main\(\[\"(\w+)\"", (ROOT / job).read_text(encoding="utf-8"))
    assert found is not None, job
    return found[1]


@pytest.mark.parametrize("module", faces())
def test_every_example_of_a_help_is_taken_as_it_stands(module: str) -> None:
    face = importlib.import_module(module)
    verb = next((verb.name for verb in cli.VERBS if verb.module == module), None)
    own_name = f"sparkprep {verb}" if verb else "program"
    found = examples(face.EPILOG)
    assert found
    for line in found:
        words = shlex.split(line.replace("%(prog)s", own_name).replace("…", ""))
        if words[0] == "make":  # hands its variables on to the example behind it
            continue
        if words[0] in _INTERPRETERS:
            words = words[1:]
            assert (ROOT / words[0]).is_file(), line
        if verb:
            program = words[1:] if words[0] == "sparkprep" else [verb_of(words[0]), *words[1:]]
            assert program[0] == verb, line
            cli.parse(program)
        else:
            parse(face, words[1:])
