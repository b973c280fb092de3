"""All that can be set for a training run: one table, from which come the command line, its help and the defaults.

The short spellings, their meaning and their defaults are those of the course's fork of llm.c.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkprep.errors import UserError
from trainer.device import DEVICES, PRECISIONS
from trainer.flags import MEANINGLESS, Flag, Parser, integer, number, one_of, switch, text
from trainer.models.shape import MAX_SEQ_LEN, NAMED, Shape
from trainer.optim.schedule import SCHEDULERS, Schedule

ON_NAN = ("stop", "skip")
COMPILE = ("auto", "yes", "no")

FLAGS = (
    Flag("train-data", ("-id", "-i"), "data/fineweb_train_*.bin", text, "shards to train on", "GLOB"),
    Flag("val-data", ("-iv", "-j"), "data/fineweb_val_*.bin", text, "shards to validate on", "GLOB"),
    Flag("tokenizer", ("-it",), "data/gpt2_tokenizer.bin", text, "for samples; built-in one if missing", "FILE"),
    Flag("hellaswag-data", ("-ih",), "data/hellaswag_val.bin", text, "HellaSwag; left out if missing", "FILE"),
    Flag("model", ("-e",), None, text, "weights to start from: a .bin of llm.c, or d12, d24, d36, d48", "FILE"),
    Flag("output", ("-o",), "log", text, "folder of logs and checkpoints", "FOLDER"),
    Flag("gpu-info-every", ("-lg",), -1, integer(0, -1), "a line on the GPU every N steps"),
    Flag("checkpoint-every", ("-n",), 1000, integer(0), "write a checkpoint every N steps and at the end; 0: never"),
    Flag("keep", ("-nk",), 0, integer(0), "keep only the newest N of the checkpoints at multiples of -n; 0: all"),
    Flag("keep-multiple", ("-nm",), 0, integer(0), "of those that -nk would delete, keep multiples of N steps"),
    Flag("resume", ("-y",), False, switch, "1: go on from the newest checkpoint in -o, if there is one", "0|1"),
    Flag("layers", ("-1d", "-ld"), 12, integer(1), "layers of a new model"),
    Flag("channels", ("-1c", "-lc"), 768, integer(1), "channels of a new model"),
    Flag("heads", ("-1h", "-lh"), 12, integer(1), "attention heads of a new model"),
    Flag(
        "micro-batch",
        ("-b",),
        64,
        integer(1),
        "rows at a time; sets memory, the order of the data and what -m covers",
    ),
    Flag("seq-len", ("-t",), MAX_SEQ_LEN, integer(1), "tokens in a row"),
    Flag("total-batch", ("-d",), 524288, integer(1, -1), "tokens in an update; -1: one micro-batch"),
    Flag("steps", ("-x",), 4725, integer(1, -1), "updates of the whole schedule; -1: one epoch"),
    Flag("stop-after", ("-es",), -1, integer(1, -1), "stop at this step of the schedule; -1: at its end"),
    Flag("start-step", ("-ss",), 0, integer(0), "number of the first update (not with a checkpoint resumed)"),
    Flag("scheduler", ("-k",), "cosine", one_of(*SCHEDULERS), " | ".join(SCHEDULERS), "NAME"),
    Flag("learning-rate", ("-l",), 6e-4, number(0, above=True), "highest learning rate", "X"),
    Flag("warmup", ("-u",), 470, integer(0), "updates over which the learning rate rises"),
    Flag("final-fraction", ("-q",), 0.0, number(0, 1), "last learning rate over the highest", "X"),
    Flag("weight-decay", ("-c",), 0.1, number(0), "weight decay of matrices and embeddings", "X"),
    Flag("skip-loss", ("-sl",), 0.0, number(0), "skip updates whose loss lies this many deviations high; 0: none", "X"),
    Flag("skip-norm", ("-sg",), 0.0, number(0), "the same for the norm of the gradient", "X"),
    Flag("val-every", ("-v",), 250, integer(0), "validate (and HellaSwag) every N steps and at the end; 0: at the end"),
    Flag("val-batches", ("-m",), 20, integer(1, -1), "micro-batches of a validation; -1: all"),
    Flag("val-tokens", (), None, integer(1), "tokens of a validation instead of -m: the same set for any -b"),
    Flag("sample-every", ("-s",), 20000, integer(0), "write a sample every N steps and at the end; 0: never"),
    Flag("sample-tokens", ("-g",), 64, integer(1), "tokens of a sample"),
    Flag("hellaswag", ("-h",), True, switch, "1: HellaSwag at each validation after the first", "0|1"),
    Flag("overfit", ("-a",), False, switch, "1: train on one batch of the validation data again and again", "0|1"),
    Flag("masters", ("-w",), True, switch, "1: float32 weights; 0: bfloat16 weights, rounded stochastically", "0|1"),
    Flag("recompute", ("-r",), 1, integer(0), "0: keep activations, 1: compute GELU again, 2: LayerNorm too", "0|1|2"),
    Flag("on-nan", (), "stop", one_of(*ON_NAN), "when the loss is no number: stop, or skip the update", "stop|skip"),
    Flag("deterministic", (), False, None, "the same bits on each run on a GPU too, at a cost in speed"),
    Flag("compile", (), "auto", one_of(*COMPILE), "torch.compile; auto: on a GPU", "auto|yes|no"),
    Flag("device", (), "auto", one_of(*DEVICES), "what to compute on; auto: a GPU if there is one", "|".join(DEVICES)),
    Flag("precision", (), "auto", one_of(*PRECISIONS), "auto: bf16 on a GPU, fp32 on a CPU", "|".join(PRECISIONS)),
    Flag("threads", (), None, integer(1), "CPU threads"),
    Flag("debug", (), False, None, "print the traceback of an error too"),
    Flag("tf32", ("-f",), None, text, MEANINGLESS),
    Flag("gelu-fusion", ("-ge",), None, text, MEANINGLESS),
    Flag("zero-stage", ("-z",), None, text, MEANINGLESS),
    Flag("num-processes", ("-pn",), None, integer(1), MEANINGLESS),
    Flag("process-rank", ("-pr",), None, text, MEANINGLESS),
    Flag("gpus-per-node", ("-pg",), None, text, MEANINGLESS),
    Flag("init-method", ("-pi", "-pm"), None, text, MEANINGLESS),
    Flag("fs-path", ("-pf", "-pp"), None, text, MEANINGLESS),
    Flag("server-ip", ("-ps",), None, text, MEANINGLESS),
)

EPILOG = """\
examples:
  python train/train_gpt2.py -o my_first_experiment -b 32 -x 20
  python train/train_gpt2.py -o logGPT -1d 12 -1c 768 -1h 12 -b 32 -y 1 -e seed_model.bin -ss 2365 -l 0.002
  python train/train_gpt2.py -o tiny -1d 1 -1c 64 -1h 1 -b 8 -t 128 -d 4096 -u 10 -x 100 -h 0 --val-tokens 65536

The second one may be given again and again: it starts from the seed once, and after that goes on where it stopped.
The output folder gets main.log, run_parameters.txt, and for each checkpoint model_STEP.bin, state_STEP_00000.bin,
checkpoint_STEP.json (SHA-256 of both) and, last of all, DONE_STEP.
"""


@dataclass(frozen=True)
class Settings:
    """A run's settings: what each means stands in FLAGS, by the same name. given: the flags that were named."""

    train_data: str
    val_data: str
    tokenizer: str
    hellaswag_data: str
    model: str | None
    output: str
    gpu_info_every: int
    checkpoint_every: int
    keep: int
    keep_multiple: int
    resume: bool
    layers: int
    channels: int
    heads: int
    micro_batch: int
    seq_len: int
    total_batch: int
    steps: int
    stop_after: int
    start_step: int
    scheduler: str
    learning_rate: float
    warmup: int
    final_fraction: float
    weight_decay: float
    skip_loss: float
    skip_norm: float
    val_every: int
    val_batches: int
    val_tokens: int | None
    sample_every: int
    sample_tokens: int
    hellaswag: bool
    overfit: bool
    masters: bool
    recompute: int
    on_nan: str
    deterministic: bool
    compile: str
    device: str
    precision: str
    threads: int | None
    debug: bool
    given: frozenset[str] = frozenset()

    @property
    def shape(self) -> Shape:
        """That of a new model."""
        if self.model in NAMED:
            return NAMED[self.model]
        return Shape(self.layers, self.heads, self.channels)

    @property
    def model_file(self) -> str | None:
        """The file to start from, None for random weights."""
        return None if self.model in NAMED else self.model

    @property
    def tokens_per_update(self) -> int:
        """-d, or one micro-batch."""
        return self.micro_batch * self.seq_len if self.total_batch == -1 else self.total_batch

    @property
    def micro_steps(self) -> int:
        """Micro-batches in an update."""
        return self.tokens_per_update // (self.micro_batch * self.seq_len)

    def schedule(self, steps: int) -> Schedule:
        """The learning rates of a run of `steps` updates."""
        return Schedule(self.scheduler, self.learning_rate, self.warmup, steps, self.final_fraction)


def parse(argv: Sequence[str] | None = None) -> Settings:
    """The settings of a command line. Exits with 2 for flags, raises UserError for values that do not go together."""
    parser = Parser(FLAGS, prog="train_gpt2.py", description="Train a GPT-2 as llm.c does.", epilog=EPILOG)
    args = parser.parse_words(sys.argv[1:] if argv is None else argv)
    _tell_of_meaningless(parser, args)
    settings = from_namespace(args, parser.given)
    check(settings)
    return settings


def from_namespace(args: argparse.Namespace, given: frozenset[str]) -> Settings:
    """The settings among parsed arguments."""
    fields = {name: value for name, value in vars(args).items() if name in Settings.__dataclass_fields__}
    return Settings(**fields, given=given)


def defaults(**changes: object) -> Settings:
    """The settings of a command line that names `changes` alone."""
    values = {flag.name.replace("-", "_"): flag.default for flag in FLAGS}
    values.update(changes)
    given = frozenset(name.replace("_", "-") for name in changes)
    return from_namespace(argparse.Namespace(**values), given)


def check(settings: Settings) -> None:
    """Raise UserError, with all that is wrong, where settings do not go together."""
    problems = list(_problems(settings))
    if problems:
        raise UserError("; ".join(problems))


def _problems(s: Settings) -> list[str]:
    problems = []
    rows = s.micro_batch * s.seq_len
    if s.tokens_per_update % rows:
        problems.append(_no_divisor(s))
    if s.recompute > 2:
        problems.append(f"-r {s.recompute}: only 0, 1 and 2 are known")
    if s.steps != -1 and s.stop_after > s.steps:
        problems.append(f"-es {s.stop_after} lies beyond -x {s.steps}, the end of the schedule; give a smaller -es")
    if s.steps != -1 and s.start_step > s.steps:
        problems.append(f"-ss {s.start_step} lies beyond -x {s.steps}, the end of the schedule; give a smaller -ss")
    if s.model is None and s.channels % s.heads:
        problems.append(f"-1c {s.channels} channels do not divide into -1h {s.heads} heads; change one of them")
    if s.model is not None and s.model not in NAMED and not s.model.endswith(".bin"):
        problems.append(f"-e {s.model}: neither a .bin file nor one of {', '.join(NAMED)}")
    if s.model in NAMED:
        flags = {"layers": "-1d", "channels": "-1c", "heads": "-1h"}
        wrong = [f for name, f in flags.items() if name in s.given and getattr(s, name) != getattr(s.shape, name)]
        if wrong:
            problems.append(f"-e {s.model} has {s.shape}, which {', '.join(wrong)} contradicts; leave out one of both")
    if s.val_tokens is not None and s.val_tokens % s.seq_len:
        problems.append(
            f"--val-tokens {s.val_tokens} is no multiple of -t {s.seq_len}; "
            f"take {max(1, s.val_tokens // s.seq_len) * s.seq_len}"
        )
    if "://" in s.output:
        problems.append(f"-o {s.output}: checkpoints are written to a local folder; train/upload_to_s3.py copies them")
    elif Path(s.output).exists() and not Path(s.output).is_dir():
        problems.append(f"-o {s.output} is a file; name a folder")
    return problems


def _no_divisor(s: Settings) -> str:
    total, seq_len = s.tokens_per_update, s.seq_len
    if total % seq_len:
        nearest = max(1, round(total / (s.micro_batch * seq_len))) * s.micro_batch * seq_len
        return f"-d {total} is no multiple of -t {seq_len}; take -d {nearest}"
    rows = total // seq_len
    fitting = {each for b in range(1, math.isqrt(rows) + 1) if rows % b == 0 for each in (b, rows // b)}
    near = sorted(sorted(fitting, key=lambda b: abs(b - s.micro_batch))[:3])
    return (
        f"-b {s.micro_batch} times -t {seq_len} does not divide -d {total}; with these -t and -d, "
        f"-b {', '.join(map(str, near))} would"
    )


def _tell_of_meaningless(parser: Parser, args: argparse.Namespace) -> None:
    """Say once which of the flags given mean nothing here; refuse those that ask for what is not there."""
    if args.num_processes not in (None, 1):
        parser.error(f"-pn {args.num_processes}: this trainer is one process on one GPU")
    named = [flag for flag in FLAGS if flag.help == MEANINGLESS and flag.name in parser.given]
    if named:
        print(f"without meaning here: {', '.join(flag.short[0] for flag in named)}", file=sys.stderr)
