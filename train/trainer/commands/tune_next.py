"""The face of `train/tune_lr.py next`: which experiment of a study is worth most for a dollar, larger or smaller."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sparkprep.console import Exit, add_debug, say_line
from sparkprep.parser import Parser
from trainer.launch import guarded

EPILOG = """\
examples:
  %(prog)s tuning               what to try next of the study in tuning/
  %(prog)s demo/tuning          the same of the demo's

It may be asked for at any time, also while the study runs, and runs nothing.

exit codes: docs/environment.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, print the experiment and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def run(args: argparse.Namespace) -> int:
    """Name the next experiment. Raises UserError where there is no study, and where it cannot be told yet."""
    # Here, as PyTorch and SciPy take seconds to import, which --help must not.
    from trainer.tune.advice import next_experiment
    from trainer.tune.strategies import STRATEGIES
    from trainer.tune.study import Study, settings_in
    from trainer.tune.tables import money
    from trainer.tune.tuner import Tuner, words_of_experiment

    study = Study(settings_in(args.study), args.study)
    tuner = Tuner(study, STRATEGIES, say_line)
    left = money(max(0.0, tuner.left()))
    found = next_experiment(tuner.terms(), study.outcomes())
    if found is None:
        say_line(f"next         nothing: no experiment that is worth its price fits into the {left} left")
        return Exit.DONE
    for experiment in found.experiments:
        say_line(f"next         {words_of_experiment(experiment)}")
    say_line(f"because      {found.why}")
    say_line(
        f"worth        {found.gain:.5f} nats of expected regret for {money(found.dollars)} of the {left} left: "
        f"{found.per_dollar:.3g} nats a dollar"
    )
    return Exit.DONE


def _parser() -> Parser:
    parser = Parser(
        prog="python train/tune_lr.py next",
        description="Name the experiment, larger or smaller, that is worth most for a dollar.",
        epilog=EPILOG,
    )
    parser.add_argument("study", nargs="?", default="tuning", metavar="FOLDER", help="of the study (default tuning)")
    add_debug(parser)
    return parser
