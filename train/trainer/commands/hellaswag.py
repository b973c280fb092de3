"""The face of the evaluation on HellaSwag: `python train/hellaswag.py MODEL`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkprep.commands import command
from sparkprep.console import add_debug, safe_text, say
from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.kinds import Integer
from sparkprep.parser import Parser
from trainer.flags import BATCH_TOKENS, DEVICES, PRECISIONS
from trainer.launch import guarded
from trainer.progress import Progress, about
from trainer.runs.history import CHANCE, GPT2_124M_HELLASWAG

if TYPE_CHECKING:
    from trainer.evaluate.hellaswag import HellaSwagResult, Questions
    from trainer.models.layout import Shape

DATA = "data/hellaswag_val.bin"
_WORTH_TELLING = 5.0  # seconds of an evaluation that is announced

EPILOG = """\
examples:
  %(prog)s log/model_00004725.bin                                all 10,042 examples; scores beside the model
  %(prog)s log/model_00004725.bin --limit 500                    a first look: the first 500
  %(prog)s model.bin --data hellaswag_val.jsonl --json           the questions as text; the result as JSON

An ending's score is the mean loss of its tokens after the context; the lowest is picked. Accuracies are those of llm.c,
which compare with other sources only where these ask in the same way (token-normalised, without lm-eval's byte count).

exit codes: docs/environment.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, evaluate and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def run(args: argparse.Namespace) -> int:
    """Evaluate as the arguments say, print the result, write the scores. Raises UserError for what cannot be."""
    # Here, as PyTorch takes seconds to import, which --help must not.
    from trainer.checkpoints import model_file
    from trainer.device import choose_device, choose_dtype, device_name, measured_peak, precision_name
    from trainer.evaluate import hellaswag
    from trainer.loop.forecast import hellaswag_seconds, rate_of

    device = choose_device(args.device)
    head = model_file.read_header(args.model)
    questions = hellaswag.prepare(_existing(args.data), head.shape.max_seq_len, args.limit)
    model = model_file.open_model(args.model, device=device, dtype=choose_dtype(args.precision, device))
    length = max(1, len(questions.tokens) // len(questions.lengths))
    peak = measured_peak(device, model.dtype)
    rate = rate_of(model, len(questions.lengths), length, peak, training=False)
    expected = hellaswag_seconds(questions, head.shape.flops_per_token(length) / rate)
    if expected >= _WORTH_TELLING:
        say(f"estimate: about {about(expected)} for {len(questions):,} examples", stream=sys.stderr)
    start = time.monotonic()
    with Progress() as progress:
        result = hellaswag.evaluate_watched(
            model, questions, progress, batch_tokens=args.batch_tokens, expected=expected
        )
    seconds = time.monotonic() - start
    names = device_name(device), precision_name(model.dtype)
    target = _scores_path(args)
    # The result is told before its file is written: an evaluation of minutes must not be lost to a full disk.
    if args.json:
        say(_as_json(args, names, result, questions, seconds, target))
    else:
        say(safe_text(_as_text(args, model.shape, names, result), keep="\n"))
        say(_cost(result, questions, seconds))
    if target:
        hellaswag.write_scores(target, result, questions)
        if not args.json:
            say(f"scores of each example: {safe_text(target)}")
    return 0


def _parser() -> Parser:
    parser = Parser(description="How many of HellaSwag's sentences a model completes rightly.", epilog=EPILOG)
    parser.add_argument("model", metavar="MODEL.bin", help="a model file of llm.c (model_*.bin, version 3 or 5)")
    parser.add_argument(
        "--data", default=DATA, metavar="FILE", help="hellaswag_val.bin, or .jsonl(.gz, .zst) (default %(default)s)"
    )
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument(
        "--scores",
        metavar="FILE.csv",
        help="where to write each example's scores (default: beside the model, MODEL_hellaswag.csv; nowhere with "
        "--limit, so that a part never replaces the whole)",
    )
    scores.add_argument("--no-scores", action="store_true", help="write no file")
    parser.add_argument("--limit", type=Integer(1), metavar="N", help="evaluate the first N examples only")
    parser.add_argument(
        "--batch-tokens",
        type=Integer(1),
        metavar="N",
        help="tokens computed at a time; more take more memory and change no answer (default "
        + ", ".join(f"{tokens:,} on {kind.upper()}" for kind, tokens in BATCH_TOKENS.items())
        + ")",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: a GPU if there is one")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="default: bf16 on a GPU, fp32 on a CPU, whatever the file holds",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_debug(parser)
    return parser


def _existing(data: str) -> str:
    if not exists(data):
        raise UserError(
            f"{data}: no such file; make it with `{command('convert', 'hellaswag', 'hellaswag_val.jsonl', data)}`, or "
            "name another with --data"
        )
    return data


def _scores_path(args: argparse.Namespace) -> str | None:
    """Return where the scores go; None for nowhere."""
    given: str | None = args.scores
    if given or args.no_scores or args.limit is not None:
        return given
    return f"{os.path.splitext(args.model)[0]}_hellaswag.csv"


def _as_text(args: argparse.Namespace, shape: Shape, names: tuple[str, str], result: HellaSwagResult) -> str:
    """Return the result in lines. names: of device and number format."""
    low, high = result.interval()
    return (
        f"{args.model}: {shape}; {', '.join(names)}\n"
        f"HellaSwag: {result.correct}/{result.total} = {result.accuracy:.4f} "
        f"(95 % interval {low:.4f} to {high:.4f})\n"
        f"for comparison: OpenAI's GPT-2 124M {GPT2_124M_HELLASWAG:.4f}, chance {CHANCE:.4f}"
    )


def _cost(result: HellaSwagResult, questions: Questions, seconds: float) -> str:
    padded = questions.padded_tokens
    return (
        f"{result.tokens_computed:,} tokens computed in {seconds:.1f} s; with every row padded to "
        f"{questions.max_seq_len:,}, {padded:,}, {padded / result.tokens_computed:.1f} times as many"
    )


def _as_json(
    args: argparse.Namespace,
    names: tuple[str, str],
    result: HellaSwagResult,
    questions: Questions,
    seconds: float,
    scores: str | None,
) -> str:
    """Return the result as one JSON object. names: of device and number format."""
    device, precision = names
    return json.dumps(
        {
            "model": args.model,
            "data": args.data,
            "accuracy": result.accuracy,
            "interval_95": result.interval(),
            "correct": result.correct,
            "examples": result.total,
            "tokens_computed": result.tokens_computed,
            "tokens_padded": questions.padded_tokens,
            "seconds": round(seconds, 3),
            "device": device,
            "precision": precision,
            "scores": scores,
        }
    )
