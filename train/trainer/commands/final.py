"""The face of the final run: make train-final, or python train/train_final.py."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sparkprep.commands import make
from sparkprep.console import Exit, add_debug, say, say_line
from sparkprep.errors import UserError
from sparkprep.options import add_options, from_arguments, options_of
from sparkprep.parser import Parser
from trainer.final.settings import FinalRun
from trainer.launch import command_of, guarded

if TYPE_CHECKING:
    from trainer.final.ending import Ending

EPILOG = """\
examples:
  make train-final SEED_MODEL=seed_model.bin LR=0.002 DATA=shards OUT=logGPT
  python train/train_final.py --seed-model seed_model.bin --learning-rate 0.002 --data shards --output logGPT
  python train/train_final.py … --dry-run          look at everything, estimate, tell of --then; start nothing
  python train/train_final.py … --then upload=my-bucket/experiments/full_gpt,shutdown --shutdown-anyway-after 6
  python train/train_final.py --rehearse           the same path in small, on any machine: minutes
  make train-final REHEARSE=1                      the same

Without a GPU it is an error, unless --device cpu says that the real thing is meant for a CPU; only make train-final
with nothing named rehearses then too.

Interrupted, it goes on where it stopped when the same command is given again.

exit codes: docs/environment.md
"""


_OF_REHEARSAL = (
    *("--data", "--output", "--device", "--price-per-hour", "--budget"),
    *("--then", "--shutdown-command", "--shutdown-anyway-after"),
)
"""The flags that a rehearsal follows."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, check, estimate and train; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words), named(words)), debug="--debug" in words, expendable=True)


def _parser() -> Parser:
    parser = Parser(
        prog="train_final.py", description="Train a seed model on to the end of its schedule.", epilog=EPILOG
    )
    add_options(parser, FinalRun)
    parser.add_argument(
        "--check-only", "--dry-run", action="store_true", help="stop before the training; --then is only told"
    )
    parser.add_argument(
        "--rehearse", action="store_true", help=f"the same path in small; takes {', '.join(_OF_REHEARSAL)} alone"
    )
    add_debug(parser)
    return parser


def named(words: Sequence[str]) -> list[str]:
    """Return the flags of FinalRun that a command line names, whatever their values."""
    given = {word.partition("=")[0] for word in words}
    return [option.flag for option in options_of(FinalRun) if given & {option.flag, *option.short}]


def run(args: argparse.Namespace, flags: Sequence[str]) -> int:
    """Check, estimate and train as the arguments say, and show the run. Raises UserError for what stands in the way.

    flags: what the command line names; a rehearsal leaves nothing of it aside.
    """
    # Here, as PyTorch takes seconds to import, which --help must not.
    import torch

    from trainer.final.rehearsal import MARK, rehearse

    final = from_arguments(FinalRun, args)
    ending = final.ending()
    without_gpu = final.device == "auto" and not torch.cuda.is_available()
    if args.rehearse and args.check_only:
        raise UserError("--rehearse goes the whole way in small, and --dry-run goes none; give one of both")
    if args.rehearse:
        _refuse_beside_rehearsal(flags)
        _announce()
        final = rehearse(final, say_line)
        ending = ending and replace(ending, prefix=f"{ending.prefix}/rehearsal")
    elif without_gpu:
        raise UserError(
            "no CUDA device was found, which the final run wants, so nothing was started; --device cpu trains on this "
            "CPU all the same, in weeks where a GPU takes hours; --rehearse "
            f"(`{make('train-final', 'REHEARSE=1')}`) goes the same way in small, and takes "
            f"{', '.join(_OF_REHEARSAL)} alone"
        )
    elif os.path.exists(os.path.join(final.folder, MARK)):
        raise UserError(f"{final.folder}: holds a rehearsal; delete it, or choose another folder (OUT=, --output)")
    code = train_and_end(final, ending, rehearsal=args.rehearse, check_only=args.check_only)
    if args.rehearse:
        say("This was the REHEARSAL: every part of the final run works here. The real one wants a GPU.")
    return code


def train_and_end(final: FinalRun, ending: Ending | None, *, rehearsal: bool = False, check_only: bool = False) -> int:
    """Check, train, show the run and do what its end asks for; return the exit code.

    A rehearsal only tells of the shutdown, check_only of all that would be done. Raises UserError for what stands in
    the way, and what ended the training, after what there is has gone up.
    """
    from trainer.final import ending as endings
    from trainer.final.final import RunFailed, run_final

    if ending is not None:
        for line in endings.told(ending, final.folder):
            say_line(f"at the end   {line}")
        if not check_only:
            endings.check(ending, final.folder)
    try:
        finished = run_final(final, say_line, check_only=check_only)
        if finished is not None:
            _try_to_show(finished.folder, [os.path.join(os.path.dirname(finished.folder), "seed")] if rehearsal else [])
    except Exception as error:
        # Whatever it was, a fault of ours too: what there is goes up, since somebody pays for the machine.
        if ending is not None and (isinstance(error, RunFailed) or not isinstance(error, UserError)):
            say_line(f"failed: {error}", sys.stderr)
            endings.carry_out(ending, final.folder, say_line, run_failed=True, shut_down=not rehearsal)
        raise
    if ending is None or check_only:
        return Exit.DONE
    # Of a run that was finished before, too: its end may be what did not come off then.
    return endings.carry_out(ending, final.folder, say_line, shut_down=not rehearsal)


def _refuse_beside_rehearsal(flags: Sequence[str]) -> None:
    others = [flag for flag in flags if flag not in _OF_REHEARSAL]
    if others:
        raise UserError(
            f"--rehearse trains a tiny seed model of its own and takes no {', '.join(others)}; leave out one of both"
        )


def _announce() -> None:
    say(
        "REHEARSAL: a tiny model on a few tokens goes through the very steps of the final run. It tells\n"
        "that they work, and nothing about the final loss, time or cost."
    )


def _try_to_show(folder: str, others: list[str]) -> None:
    """Show the run, or say why it cannot be shown: a full disk, say, of which its end must not hang."""
    try:
        _show(folder, others)
    except UserError as error:
        say_line(f"warning: the run is whole, and cannot be shown: {error}", sys.stderr)


def _show(folder: str, others: list[str]) -> None:
    """Plot and sum up what the run's log tells, beside those of others, and say what to do next."""
    from trainer.checkpoints import checkpoint
    from trainer.runs import history, plots

    run = history.load_run(folder)
    target = os.path.join(folder, "plot.png")
    plots.save(plots.overview_figure([*map(history.load_run, others), run]), target)
    checkpoints = checkpoint.find(folder)
    say(history.summary_line(run))
    say_line(f"plot         {target}")
    if checkpoints:
        model = shlex.quote(checkpoints[0].model)
        say_line(f'Next: {command_of("inference_gpt2.py")} -e {model} -p "The Github project llm.c is a"')
