"""The face of the tuner: python train/tune_lr.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sparkprep.console import Exit, add_debug, say_line
from sparkprep.errors import UserError
from sparkprep.options import add_options, from_arguments
from sparkprep.parser import Parser
from trainer.commands import calculate, tune_next, tune_report
from trainer.launch import guarded
from trainer.tune.settings import RATES, RATES_DATE, TuneSettings

if TYPE_CHECKING:
    from trainer.tune.tuner import Finished

_RATES = ", ".join(f"{name} {rate:.2f}" for name, rate in RATES.items())
EPILOG = f"""\
examples:
  %(prog)s probe --data shards --budget 40              20 steps: what a step, and the run, cost on this machine
  %(prog)s plan --data shards --budget 40               every experiment with its price, before any is paid
  %(prog)s run --data shards --budget 40                run them; given again, it goes on where it stopped
  %(prog)s run --data shards --budget 40 --continue seed_model.bin
  %(prog)s run --data demo/shards -1d 1 -1c 64 -1h 1 -b 8 -t 64 -d 2048 --steps 400 --val-tokens 8192 --budget 0.1

The budget is all there is: what the final run costs by the probe, or --reserve, is kept back. The study (-o) holds a
ledger, to which the clock's seconds are charged before they are used; no experiment crosses the line.

dollars an hour that are counted with, of {RATES_DATE}: {_RATES}; for any other machine give --price-per-hour

exit codes: docs/environment.md
"""
_FACES = {
    "next": (tune_next.main, "name the experiment that is worth most for a dollar"),
    "report": (tune_report.main, "write what was found: a page, the table of experiments, pictures"),
    "calculate": (calculate.main, "sums beforehand: tokens for a model, steps, covers, grid against random search"),
}
"""Verbs that have a face of their own, and what they do."""
_VERBS = {
    "probe": "run 20 steps of each model, and tell what the run costs",
    "plan": "print the priced table of all experiments",
    "run": "run the experiments, and recommend a rate",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, do what the verb says and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in _FACES:
        return _FACES[words[0]][0](words[1:])
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words, expendable=True)


def _parser() -> Parser:
    parser = Parser(
        prog="python train/tune_lr.py",
        description="Choose the highest learning rate of one full run, within a budget.",
        epilog=EPILOG,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, about in _VERBS.items():
        verb = verbs.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        add_options(verb, TuneSettings)
        if name == "probe":
            verb.add_argument("--again", action="store_true", help="probe models anew that were probed before")
        add_debug(verb)
    for name, (_, about) in _FACES.items():
        verbs.add_parser(name, help=about)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say. Raises UserError for what a user can mend."""
    tune = from_arguments(TuneSettings, args)
    doing: dict[str, Callable[[], int]] = {
        "probe": lambda: _probe(tune, again=args.again),
        "plan": lambda: _plan(tune),
        "run": lambda: _run(tune),
    }
    return doing[args.verb]()


def _probe(tune: TuneSettings, *, again: bool) -> int:
    # Here and below, as PyTorch takes seconds to import, which --help must not.
    from trainer.tune.strategies import STRATEGIES
    from trainer.tune.tuner import at_work

    with at_work(tune, STRATEGIES, say_line) as tuner:
        tuner.probe(again=again)
    return Exit.DONE


def _plan(tune: TuneSettings) -> int:
    from trainer.tune.plan import lines
    from trainer.tune.strategies import STRATEGIES
    from trainer.tune.study import there
    from trainer.tune.tuner import Tuner

    study = there(tune)
    tuner = Tuner(study, STRATEGIES, say_line)
    for line in lines(tuner.plan(), tune, study.costs, tuner.target):
        say_line(line)
    return Exit.DONE


def _run(tune: TuneSettings) -> int:
    from trainer.tune.strategies import STRATEGIES
    from trainer.tune.tuner import tuned

    finished = tuned(tune, STRATEGIES, say_line)
    _report(tune)
    _tell(tune, finished)
    return Exit.DONE


def _report(tune: TuneSettings) -> None:
    """Write the study's report, and say where. What was paid for is there without it, so its want is a warning."""
    from trainer.tune.strategies import STRATEGIES
    from trainer.tune.study import Study

    try:
        _, written = tune_report.write(Study(tune, tune.folder), STRATEGIES)
    except UserError as error:
        say_line(f"warning: no report was written: {error}", sys.stderr)
    else:
        say_line(f"report       {written[0]}")


def _tell(tune: TuneSettings, finished: Finished) -> None:
    """Print the recommendation; the last line is the command of the final run. Raises UserError where there is none."""
    from trainer.tune.tables import money

    if finished.stopped:
        say_line(f"stopped      {finished.stopped}", sys.stderr)
    diverged = sum(outcome.diverged for outcome in finished.outcomes)
    count = len(finished.outcomes)
    say_line(f"spent        {money(finished.spent)} for {count} experiments, {diverged} of which diverged")
    found = finished.recommendation
    if found is None:
        raise UserError(f"there is no recommendation yet: {finished.stopped}")
    for reason in found.reasons:
        say_line(f"because      {reason}")
    for warning in found.warnings:
        say_line(f"warning: {warning}", sys.stderr)
    (low68, high68), (low95, high95) = found.interval68, found.interval95
    say_line(
        f"recommended  {found.learning_rate:.3g}; 68 % between {low68:.2g} and {high68:.2g}, 95 % between {low95:.2g} "
        f"and {high95:.2g}; that choice is expected to cost {found.regret:.4f} nats"
    )
    say_line(tune.final_command(found.learning_rate))
