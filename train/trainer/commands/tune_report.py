"""The face of `train/tune_lr.py report`: what a study has come to, as a page, tables and pictures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sparkprep.console import Exit, add_debug, safe_text, say
from sparkprep.kinds import OneOf
from sparkprep.parser import Parser
from trainer.launch import command_of, guarded

if TYPE_CHECKING:
    from trainer.tune.experiments import Strategy
    from trainer.tune.findings import Findings
    from trainer.tune.study import Study

FOLDER = "report"
"""Of the report, in that of the study."""
FORMATS = ("png", "svg", "pdf")  # those of plots, here so that --help needs no Matplotlib
EPILOG = """\
examples:
  %(prog)s tuning                                    writes tuning/report/report.html and what lies beside it
  %(prog)s demo/tuning --format pdf --output paper   pictures as PDF, all in paper/

It may be asked for at any time, also while the study runs.

exit codes: docs/environment.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, write the report, print what was found and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def run(args: argparse.Namespace) -> int:
    """Report on a study. Raises UserError where there is none, and where the report cannot be written."""
    # Here, as PyTorch and Matplotlib take seconds to import, which --help must not.
    from trainer.tune.strategies import STRATEGIES
    from trainer.tune.study import Study, settings_in

    study = Study(settings_in(args.study), args.study)
    findings, written = write(study, STRATEGIES, args.output, args.format)
    say(safe_text(findings.summary(), keep="\n"))
    say(f"wrote {safe_text(written[0])}")
    return Exit.DONE


def write(
    study: Study, strategies: Mapping[str, Strategy], folder: str | None = None, ending: str = "png"
) -> tuple[Findings, list[str]]:
    """Write the report of a study, finished or not; return what was found, and the paths, that of the page first.

    folder: where to; None: beside the study's other files. ending: of the pictures.
    """
    from trainer.tune import report
    from trainer.tune.findings import conclude
    from trainer.tune.tuner import Tuner

    tuner = Tuner(study, strategies, lambda line: None)
    limit = tuner.limit()
    findings = conclude(
        tuner.strategy,
        tuner.terms(),
        study.outcomes(),
        folders=[study.trial_folder(number) for number in study.numbers()],
        spent=study.ledger.dollars,
        budget=limit,
        reserve=tuner.budget - limit,
        price_per_hour=study.tune.price,
        tokens_per_step=study.tune.total_batch,
        train=study.tune.final_command,
        command=f"{command_of('tune_lr.py')} report {study.folder}",
    )
    return findings, report.write(findings, folder or os.path.join(study.folder, FOLDER), ending)


def _parser() -> Parser:
    parser = Parser(
        prog="python train/tune_lr.py report",
        description="Write what a study has come to: a page, the table of experiments in four formats, pictures.",
        epilog=EPILOG,
    )
    parser.add_argument("study", nargs="?", default="tuning", metavar="FOLDER", help="of the study (default tuning)")
    parser.add_argument("--output", metavar="FOLDER", help=f"where to (default: {FOLDER}/ in the study's folder)")
    parser.add_argument("--format", type=OneOf(FORMATS), default="png", metavar="|".join(FORMATS), help="of pictures")
    add_debug(parser)
    return parser
