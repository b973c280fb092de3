"""The examples in each --help are command lines that the program takes."""

import argparse
import importlib
import shlex
from collections.abc import Sequence
from typing import Any

import pytest
from checkout import ROOT
from help_examples import examples, faces, verb_of

from sparkprep import cli
from trainer import flags

_INTERPRETERS = ("python", "spark-submit")


def parse(face: Any, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words behind the program's name as the program does; a mistake is a UserError."""
    parser = face._parser()
    return parser.parse_words(words) if isinstance(parser, flags.Parser) else parser.parse_args(words)


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
