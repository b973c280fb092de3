"""The calculators of `train/tune_lr.py calculate`: sums to make before any money is spent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sparkprep.console import Exit, add_debug, say
from sparkprep.kinds import Integer, Number
from sparkprep.parser import Parser
from trainer.launch import guarded
from trainer.tune import calculators
from trainer.tune.literature import TOKENS_PER_STEP
from trainer.tune.tables import rate

EPILOG = """\
examples:
  %(prog)s tokens --depth 1 --channels 64                     how long to train the tiniest model: 20 tokens a parameter
  %(prog)s steps --tokens 66,702,080                          how many steps see so many tokens
  %(prog)s steps --steps 4725                                 how many tokens so many steps see
  %(prog)s cover --range 1 2 --epsilon 0.05                   the covering number of an interval, and the points
  %(prog)s cover --range 0 1 --range 0 1 --epsilon 0.05       of a box
  %(prog)s rates --low 1e-4 --high 1e-2 --octaves 0.25        learning rates of which one is near any in a range
  %(prog)s search --dimensions 3 --budget 27 --epsilon 0.05   grid against random search where one parameter matters

exit codes: docs/environment.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, print the result and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def run(args: argparse.Namespace) -> int:
    """Print what the arguments ask for. Raises UserError for what cannot be calculated."""
    say(_text(args))
    return Exit.DONE


def _text(args: argparse.Namespace) -> str:
    if args.what == "tokens":
        found = calculators.optimal_tokens(args.depth, args.channels, args.tokens_per_step, args.per_parameter)
        return str(found)
    if args.what == "steps":
        if args.tokens is not None:
            steps, tokens = calculators.steps_of(args.tokens, args.tokens_per_step), args.tokens
            return f"{tokens:,} tokens take {steps:,} steps of {args.tokens_per_step:,}"
        tokens = calculators.tokens_of(args.steps, args.tokens_per_step)
        return f"{args.steps:,} steps of {args.tokens_per_step:,} see {tokens:,} tokens"
    if args.what == "cover":
        return str(calculators.cover([(low, high) for low, high in args.range], args.epsilon))
    if args.what == "rates":
        rates = calculators.rates_cover(args.low, args.high, args.octaves)
        return f"{len(rates):,} rates: {', '.join(map(rate, rates))}"
    return str(calculators.grid_or_random(args.dimensions, args.budget, args.epsilon))


def _parser() -> Parser:
    parser = Parser(prog="python train/tune_lr.py calculate", description="Calculate.", epilog=EPILOG)
    verbs = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    positive = Number(0, above=True)
    batch = ("--tokens-per-step", Integer(1), TOKENS_PER_STEP, "tokens of an update")

    tokens = _verb(verbs, "tokens", "tokens and steps for a compute-optimal model of a size")
    _flag(tokens, "--depth", Integer(1), 12, "layers")
    _flag(tokens, "--channels", Integer(1), 768, "channels")
    _flag(tokens, *batch)
    _flag(tokens, "--per-parameter", positive, calculators.TOKENS_PER_PARAMETER, "tokens for each parameter")

    steps = _verb(verbs, "steps", "tokens to steps, or steps to tokens")
    either = steps.add_mutually_exclusive_group(required=True)
    either.add_argument("--tokens", type=Integer(1), metavar="N", help="how many steps see so many tokens")
    either.add_argument("--steps", type=Integer(1), metavar="N", help="how many tokens so many steps see")
    _flag(steps, *batch)

    cover = _verb(verbs, "cover", "the covering number of a box, and the points of the cover")
    cover.add_argument(
        "--range", nargs=2, action="append", required=True, type=Number(), metavar=("LOW", "HIGH"),
        help="an axis of the box; given once for each",
    )  # fmt: skip
    cover.add_argument("--epsilon", type=positive, required=True, metavar="X", help="how near a point is to be")

    rates = _verb(verbs, "rates", "learning rates of which one is within so many octaves of any in a range")
    _flag(rates, "--low", positive, 2e-4, "the least of the range")
    _flag(rates, "--high", positive, 2e-2, "the greatest of the range")
    _flag(rates, "--octaves", positive, 0.25, "how near, in doublings")

    search = _verb(verbs, "search", "grid against random search where one of several parameters matters")
    search.add_argument("--dimensions", type=Integer(1), required=True, metavar="N", help="parameters")
    search.add_argument("--budget", type=Integer(1), required=True, metavar="N", help="runs")
    search.add_argument("--epsilon", type=positive, metavar="X", help="compare with a cover of [0, 1]^N by so much")
    return parser


def _verb(verbs: argparse._SubParsersAction[Parser], name: str, about: str) -> Parser:
    parser = verbs.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    add_debug(parser)
    return parser


def _flag(parser: Parser, flag: str, kind: Integer | Number, default: float, about: str) -> None:
    metavar = "N" if isinstance(kind, Integer) else "X"
    parser.add_argument(flag, type=kind, default=default, metavar=metavar, help=f"{about} (default {default:,})")
