"""The face of the final run: make train-final, or python train/train_final.py."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from sparkprep.errors import UserError
from trainer.console import add_debug, guarded

EPILOG = """\
examples:
  make train-final SEED_MODEL=seed_model.bin LR=0.002 DATA=shards OUT=logGPT
  python train/train_final.py --seed-model seed_model.bin --learning-rate 0.002 --data shards --output logGPT
  python train/train_final.py … --check-only       look at everything and estimate, without starting
  python train/train_final.py --rehearse           the same path in small, on any machine

Interrupted, it goes on where it stopped when the same command is given again.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Check, estimate and train; 0 at the end of the run, 2 for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="train_final.py",
        description="Train a seed model on to the end of its schedule.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--seed-model", metavar="FILE", help="the model file to start from")
    add("--learning-rate", type=float, metavar="X", help="highest learning rate of the schedule")
    add("--data", metavar="FOLDER", help="folder of token shards (NAME_train_*.bin and NAME_val_*.bin)")
    add("--output", metavar="FOLDER", help="folder of logs and checkpoints (default logGPT; rehearsal)")
    add("--start-step", type=int, default=2365, metavar="N", help="updates the seed has had (default %(default)s)")
    add("--steps", type=int, default=4725, metavar="N", help="updates of the whole schedule (default %(default)s)")
    add("--micro-batch", "-b", type=int, default=32, metavar="N", help="rows at a time (default %(default)s)")
    add("--hellaswag-data", metavar="FILE", help="hellaswag_val.bin (default data/hellaswag_val.bin, if it is there)")
    add("--val-tokens", type=int, metavar="N", help="tokens of a validation: the same set for any --micro-batch")
    add("--keep", type=int, default=0, metavar="N", help="keep only the newest N checkpoints (default 0: all)")
    add("--price-per-hour", type=float, default=1.5, metavar="X", help="dollars (default %(default)s)")
    add("--budget", type=float, metavar="X", help="do not start where the estimate is above so many dollars")
    add("--allow-repeats", action="store_true", help="bear that too few shards are gone through more than once")
    add("--check-only", action="store_true", help="stop before the training")
    add("--rehearse", action="store_true", help="the same path in small; done by itself where there is no GPU")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda; cpu trains the real thing on a CPU")
    add_debug(parser)
    return guarded(run, parser.parse_args(argv))


def run(args: argparse.Namespace) -> int:
    """The work of `main`."""
    import torch

    from trainer.final.final import Final, run_final
    from trainer.final.rehearsal import MARK, rehearse

    def say(line: str) -> None:
        print(line, flush=True)

    if args.price_per_hour < 0:
        raise UserError(f"--price-per-hour {args.price_per_hour:g} is below 0")
    rehearsal = args.rehearse or (args.device == "auto" and not torch.cuda.is_available())
    if rehearsal:
        _announce(asked=args.rehearse)
        data = args.data or "demo/shards"
        if not os.path.isdir(data):
            raise UserError(f"{data}: no such folder of shards; `make demo` makes demo/shards, or name one with --data")
        final = rehearse(data, args.output or "rehearsal", args.price_per_hour, say)
    else:
        final = Final(
            seed_model=_needed(args.seed_model, "SEED_MODEL=file (--seed-model)"),
            learning_rate=_needed(args.learning_rate, "LR=rate (--learning-rate)"),
            data=_needed(args.data, "DATA=folder (--data)"),
            output=args.output or "logGPT",
            start_step=args.start_step,
            steps=args.steps,
            price_per_hour=args.price_per_hour,
            budget=args.budget,
            allow_repeats=args.allow_repeats,
            options=_options(args),
        )
        if os.path.exists(os.path.join(final.output, MARK)):
            raise UserError(f"{final.output}: holds a rehearsal; delete it, or choose another folder (OUT=, --output)")
    finished = run_final(final, say, check_only=args.check_only)
    if finished is not None:
        _show(finished.folder, [os.path.join(os.path.dirname(finished.folder), "seed")] if rehearsal else [])
    if rehearsal:
        say("This was the REHEARSAL: every part of the final run works here. The real one wants a GPU.")
    return 0


def _announce(*, asked: bool) -> None:
    why = "as asked" if asked else "since no CUDA device was found"
    print(
        f"REHEARSAL, {why}: a tiny model on a few tokens goes through the very steps of the final run. It tells\n"
        "that they work, and nothing about the final loss, time or cost.",
        flush=True,
    )


def _needed(value: Any, name: str) -> Any:
    if value is None:
        raise UserError(f"{name} is missing; --help shows an example")
    return value


def _options(args: argparse.Namespace) -> tuple[tuple[str, object], ...]:
    found: dict[str, object] = {"micro_batch": args.micro_batch, "keep": args.keep, "device": args.device}
    if args.hellaswag_data:
        found["hellaswag_data"] = args.hellaswag_data
    if args.val_tokens:
        found["val_tokens"] = args.val_tokens
    return tuple(found.items())


def _show(folder: str, others: list[str]) -> None:
    """The plot and the summary of what the run's log tells, beside those of others, and what to do next."""
    from trainer.checkpoints import checkpoint
    from trainer.runs import history as runs
    from trainer.runs import plots

    run = runs.load_run(folder)
    target = os.path.join(folder, "plot.png")
    plots.save(plots.overview_figure([*map(runs.load_run, others), run]), target)
    found = checkpoint.find(folder)
    print(runs.summary_line(run))
    print(f"plot         {target}")
    if found:
        print(f'Next: python train/inference_gpt2.py -e {found[0].model} -p "The Github project llm.c is a"')
