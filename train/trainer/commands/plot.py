"""The face of `train/plot.py`: which runs, which panels, where the picture goes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkprep.console import add_debug, safe_text, say, say_line
from sparkprep.errors import UserError
from sparkprep.io.paths import is_local, normalise
from sparkprep.parser import Parser
from trainer import run_files
from trainer.launch import guarded
from trainer.runs import history as runs_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPILOG = """\
examples:
  %(prog)s log/d12                                 one run: writes log/d12/plot.png
  %(prog)s log/d12 log/d12_lr1e-3 --output a.svg   two runs in one picture
  %(prog)s log --panel loss --streams val          all runs in a folder, their validation losses
  %(prog)s log --x tokens --no-references          over tokens instead of steps, without published values beside them
  %(prog)s s3://my-bucket/experiments/cluster-1    all runs of a cluster; logs are put into downloaded_logs/

EXP is a folder with a main.log, a folder of such folders, or s3://BUCKET/experiments/CLUSTER[/EXP].

exit codes: docs/environment.md
"""
SCALES = ("steps", "tokens", "flops")  # those of plots, here so that --help needs no Matplotlib
PANELS = ("loss", "hellaswag", "lr", "all")
_STREAMS = {"train": "train", "val": "validation", "validation": "validation"}
_DEFAULT_NAME = "plot.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, print the runs' summaries, write the picture and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def _parser() -> Parser:
    parser = Parser(description="Plot what the logs of runs have: losses, HellaSwag, learning rates.", epilog=EPILOG)
    parser.add_argument("experiments", nargs="+", metavar="EXP", help="a run, or a folder or cluster of runs")
    parser.add_argument(
        "--output", metavar="FILE", help="a .png, .svg or .pdf (default: EXP/plot.png for one local run, else plot.png)"
    )
    parser.add_argument(
        "--panel", choices=PANELS, default="all", help="what to draw (default all: what there is of the others)"
    )
    parser.add_argument("--x", choices=SCALES, default="steps", help="what to draw over (default %(default)s)")
    parser.add_argument(
        "--no-references",
        action="store_true",
        help="leave out chance and the published values of GPT-2 and GPT-3 124M, which stand beside runs of that size",
    )
    parser.add_argument("--streams", default="train,val", help="which losses: train, val or train,val (default both)")
    parser.add_argument("--no-log", action="store_true", help="the loss on a plain scale, not one of logarithms")
    parser.add_argument(
        "--smooth", type=int, metavar="N", help="draw the training loss as the mean of N logged steps (default: auto)"
    )
    parser.add_argument("--endpoint-url", metavar="URL", help="a server of S3's protocol other than Amazon's")
    add_debug(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Plot as the arguments say. Raises UserError for what is no run, and where the picture cannot be written."""
    # Here, as Matplotlib takes a second to import, which --help must not.
    from trainer.runs import plots

    streams = _streams(args.streams)
    if args.output is not None:
        plots.check_format(args.output)
    folders = list(dict.fromkeys(folder for given in args.experiments for folder in _folders(given, args.endpoint_url)))
    runs = runs_of.load_runs(folders)
    figure: Figure
    references = not args.no_references
    if args.panel == "hellaswag":
        figure = plots.hellaswag_figure(runs, args.x, references)
    elif args.panel == "lr":
        figure = plots.lr_figure(runs, args.x)
    else:
        draw = plots.loss_figure if args.panel == "loss" else plots.overview_figure
        figure = draw(runs, streams, not args.no_log, args.smooth, args.x, references)
    if not figure.axes:
        raise UserError(f"nothing to draw: {' '.join(figure.texts[0].get_text().split())}")
    one_local = len(runs) == 1 and is_local(args.experiments[0])
    output = args.output or (os.path.join(runs[0].folder, _DEFAULT_NAME) if one_local else _DEFAULT_NAME)
    plots.save(figure, output)
    say(safe_text(runs_of.summary(runs), keep="\n"))
    say(f"wrote {safe_text(output)}")
    return 0


def _folders(given: str, endpoint_url: str | None) -> list[str]:
    """Return the local folders of the runs that an EXP names; from S3 they are downloaded first."""
    from trainer.runs.bucket import ROOT, RunStore

    if is_local(given):
        if os.path.isfile(os.path.join(normalise(given), run_files.LOG)):
            return [normalise(given)]
        store = RunStore(given)
        folders = [folder for cluster in store.clusters() for folder in store.fetch(cluster)]
        if not folders:
            raise UserError(f"{given}: no {run_files.LOG} in it or in its folders; give a run's folder (its -o)")
        return folders
    bucket, _, rest = given.split("://", 1)[1].strip("/").partition("/")
    parts = rest.split("/")
    if parts[0] != ROOT or len(parts) not in (2, 3):
        raise UserError(f"{given}: give s3://BUCKET/experiments/CLUSTER or s3://BUCKET/experiments/CLUSTER/EXP")
    store = RunStore(f"s3://{bucket}", endpoint_url)
    folders = store.fetch(parts[1], parts[2:] or None)
    for key in store.passed_over:
        say_line(f"note: passed over {key!r}, which can be no file name here", sys.stderr)
    return folders


def _streams(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in _STREAMS]
    if unknown:
        raise UserError(f"--streams {text}: there is no {', '.join(map(repr, unknown))}; give train, val or train,val")
    return [_STREAMS[name] for name in names]
