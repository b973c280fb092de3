"""All that can be set for a training run: each default, meaning and limit stands once, in the field of the setting.

The short spellings, their meaning and their defaults are those of the course's fork of llm.c.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkprep.console import say
from sparkprep.errors import UserError
from sparkprep.kinds import Integer, Number, OneOf, Switch, Text, ZeroOrOne
from sparkprep.options import check_options, from_arguments, option, options_of
from trainer.flags import DEVICES, IGNORED, PRECISIONS, Parser
from trainer.optim.schedule import SCHEDULERS, Schedule

if TYPE_CHECKING:
    from trainer.models.layout import Shape

ON_NAN = ("stop", "skip")
NAN_LIMIT = 10
"""Updates in a row whose loss is no number, after which `skip` stops too: no data are that bad."""
COMPILE = ("auto", "yes", "no")
SIZES = {"layers": "-1d", "channels": "-1c", "heads": "-1h"}
"""The settings that are sizes of a model, and their flags."""

EPILOG = """\
examples:
  python train/train_gpt2.py -o my_first_experiment -b 32 -x 20
  python train/train_gpt2.py -o logGPT -1d 12 -1c 768 -1h 12 -b 32 -y 1 -e seed_model.bin -ss 2365 -l 0.002
  python train/train_gpt2.py -o tiny -1d 1 -1c 64 -1h 1 -b 8 -t 128 -d 4096 -u 10 -x 100 -h 0 --val-tokens 65536

The second one may be given again and again: it starts from the seed once, and after that goes on where it stopped.
The output folder gets main.log, run_parameters.txt, and for each checkpoint model_STEP.bin, state_STEP_00000.bin,
checkpoint_STEP.json (SHA-256 of both) and, last of all, DONE_STEP.

exit codes: docs/environment.md
"""


@dataclass(frozen=True)
class TrainSettings:
    """A run's settings. given: the long names, bare, of the flags that the command line gave.

    Raises UserError for a value that its option does not take; `check` raises it for values that contradict each other.
    """

    train_data: str = option("data/fineweb_train_*.bin", "shards to train on", Text(), "GLOB", short=("-id", "-i"))
    val_data: str = option("data/fineweb_val_*.bin", "shards to validate on", Text(), "GLOB", short=("-iv", "-j"))
    tokenizer: str = option(
        "data/gpt2_tokenizer.bin", "for samples; built-in one if missing", Text(), "FILE", short=("-it",)
    )
    hellaswag_data: str = option(
        "data/hellaswag_val.bin", "HellaSwag; left out if missing", Text(), "FILE", short=("-ih",)
    )
    model: str | None = option(
        None, "weights to start from: a .bin of llm.c, or d12, d24, d36, d48", Text(), "FILE", short=("-e",)
    )
    output: str = option("log", "folder of logs and checkpoints", Text(), "FOLDER", short=("-o",))
    gpu_info_every: int = option(-1, "a line on the GPU every N steps", Integer(0, special=-1), short=("-lg",))
    checkpoint_every: int = option(
        1000, "write a checkpoint every N steps and at the end; 0: never", Integer(0), short=("-n",)
    )
    keep: int = option(
        0, "keep only the newest N of the checkpoints at multiples of -n; 0: all", Integer(0), short=("-nk",)
    )
    keep_multiple: int = option(
        0, "of those that -nk would delete, keep multiples of N steps", Integer(0), short=("-nm",)
    )
    resume: bool = option(
        False, "1: go on from the newest checkpoint in -o, if there is one", ZeroOrOne(), "0|1", short=("-y",)
    )
    keep_earlier: int = option(
        1,
        "earlier runs to keep in -o: a new one moves what lies there to earlier-N, and deletes older ones",
        Integer(0),
    )
    layers: int = option(12, "layers of a new model", Integer(1), short=("-1d", "-ld"))
    channels: int = option(768, "channels of a new model", Integer(1), short=("-1c", "-lc"))
    heads: int = option(12, "attention heads of a new model", Integer(1), short=("-1h", "-lh"))
    micro_batch: int = option(
        64, "rows at a time; sets memory, the order of the data and what -m covers", Integer(1), short=("-b",)
    )
    seq_len: int = option(1024, "tokens in a row", Integer(1), short=("-t",))
    total_batch: int = option(524288, "tokens in an update; -1: one micro-batch", Integer(1, special=-1), short=("-d",))
    steps: int = option(
        4725,
        "updates of the whole schedule; -1: one epoch; 0: evaluate only, and write nothing",
        Integer(-1),
        short=("-x",),
    )
    stop_after: int = option(
        -1, "stop at this step of the schedule; -1: at its end", Integer(1, special=-1), short=("-es",)
    )
    start_step: int = option(
        0, "number of the first update (not with a checkpoint resumed)", Integer(0), short=("-ss",)
    )
    scheduler: str = option("cosine", " | ".join(SCHEDULERS), OneOf(SCHEDULERS), short=("-k",))
    learning_rate: float = option(6e-4, "highest learning rate", Number(0, above=True), "X", short=("-l",))
    warmup: int = option(470, "updates over which the learning rate rises", Integer(0), short=("-u",))
    final_fraction: float = option(0.0, "last learning rate over the highest", Number(0, 1), "X", short=("-q",))
    weight_decay: float = option(0.1, "weight decay of matrices and embeddings", Number(0), "X", short=("-c",))
    skip_loss: float = option(
        0.0, "skip updates whose loss lies this many deviations high; 0: none", Number(0), "X", short=("-sl",)
    )
    skip_norm: float = option(0.0, "the same for the norm of the gradient", Number(0), "X", short=("-sg",))
    val_every: int = option(
        250, "validate (and HellaSwag) every N steps and at the end; 0: at the end", Integer(0), short=("-v",)
    )
    val_batches: int = option(20, "micro-batches of a validation; -1: all", Integer(1, special=-1), short=("-m",))
    val_tokens: int | None = option(None, "tokens of a validation instead of -m: the same set for any -b", Integer(1))
    sample_every: int = option(
        20000, "write a sample every N steps and at the end; 0: never", Integer(0), short=("-s",)
    )
    sample_tokens: int = option(64, "tokens of a sample", Integer(1), short=("-g",))
    hellaswag: bool = option(True, "1: HellaSwag at each validation after the first", ZeroOrOne(), "0|1", short=("-h",))
    overfit: bool = option(
        False, "1: train on one batch of the validation data again and again", ZeroOrOne(), "0|1", short=("-a",)
    )
    masters: bool = option(
        True, "1: float32 weights; 0: bfloat16 weights, rounded stochastically", ZeroOrOne(), "0|1", short=("-w",)
    )
    recompute: int = option(
        1, "0: keep activations, 1: compute GELU again, 2: LayerNorm too", Integer(0, 2), "0|1|2", short=("-r",)
    )
    seed: int = option(42, "of initial weights and of the order of the data; 42 is llm.c's", Integer(0, 2**32 - 1))
    on_nan: str = option(
        "stop",
        f"when the loss is no number: stop, or skip the update (stops after {NAN_LIMIT} in a row)",
        OneOf(ON_NAN),
    )
    deterministic: bool = option(False, "the same bits on each run on a GPU too, at a cost in speed", Switch())
    compile: str = option("auto", "torch.compile; auto: on a GPU", OneOf(COMPILE))
    device: str = option("auto", "what to compute on; auto: a GPU if there is one", OneOf(DEVICES))
    precision: str = option(
        "auto", "auto: bf16 on a GPU, fp32 on a CPU, whatever a model file holds", OneOf(PRECISIONS)
    )
    threads: int | None = option(None, "CPU threads", Integer(1))
    debug: bool = option(False, "print the traceback of an error too", Switch())
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def shape(self) -> Shape:
        """That of a new model: one that -e names, or a GPT-2 of the sizes given."""
        from trainer.models.gpt2 import GPT2Shape

        named = _named_shapes()
        return named[self.model] if self.model in named else GPT2Shape(self.layers, self.heads, self.channels)

    @property
    def model_file(self) -> str | None:
        """The file to start from, None for random weights."""
        return None if self.model in _named_shapes() else self.model

    @property
    def tokens_per_update(self) -> int:
        """-d, or one micro-batch."""
        return self.micro_batch * self.seq_len if self.total_batch == -1 else self.total_batch

    @property
    def micro_steps(self) -> int:
        """Micro-batches in an update."""
        return self.tokens_per_update // (self.micro_batch * self.seq_len)

    def contradicted(self, shape: Shape) -> list[str]:
        """Return which of SIZES the command line gave and a model of this shape does not have."""
        return [name for name in SIZES if name in self.given and getattr(self, name) != getattr(shape, name, None)]

    def schedule(self, steps: int) -> Schedule:
        """Return the learning rates of a run of `steps` updates."""
        return Schedule(self.scheduler, self.learning_rate, self.warmup, steps, self.final_fraction)


def parse(argv: Sequence[str] | None = None) -> TrainSettings:
    """Return the settings of a command line. Raises UserError for flags and for values that do not go together."""
    parser = _parser()
    args = parser.parse_words(sys.argv[1:] if argv is None else argv)
    _tell_of_ignored(parser, args)
    settings = replace(from_arguments(TrainSettings, args), given=parser.given)
    check(settings)
    return settings


def _parser() -> Parser:
    accepted = [*options_of(TrainSettings), *IGNORED]
    return Parser(accepted, prog="train_gpt2.py", description="Train a GPT-2 as llm.c does.", epilog=EPILOG)


def defaults(**changes: Any) -> TrainSettings:
    """Return the settings of a command line that gives `changes` alone."""
    return TrainSettings(**changes, given=frozenset(name.replace("_", "-") for name in changes))


def words_of(settings: TrainSettings, always: Sequence[str] = ()) -> list[str]:
    """Return the words of a command line that asks for settings. always: names that are told at their default too."""
    options = {option.name: option for option in options_of(TrainSettings)}
    changed = [name for name, option in options.items() if getattr(settings, name) != option.default]
    words = []
    for name in [*always, *(name for name in changed if name not in always)]:
        option, value = options[name], getattr(settings, name)
        words.append(option.short[0] if option.short else option.flag)
        if not isinstance(option.kind, Switch):
            words.append(str(int(value) if isinstance(value, bool) else value))
    return words


def check(settings: TrainSettings) -> None:
    """Raise UserError, with all that is wrong, where settings do not go together."""
    problems = list(_problems(settings))
    if problems:
        raise UserError("; ".join(problems))


def _named_shapes() -> dict[str, Shape]:
    """Return the sizes that have names."""
    # Here, as models need PyTorch, which takes seconds to import, and --help asks for no shape.
    from trainer.models.architectures import named_shapes

    return named_shapes()


def _problems(s: TrainSettings) -> list[str]:
    problems = []
    rows = s.micro_batch * s.seq_len
    if s.tokens_per_update % rows:
        problems.append(_no_divisor(s))
    if s.steps > 0 and s.stop_after > s.steps:
        problems.append(f"-es {s.stop_after} lies beyond -x {s.steps}, the end of the schedule; give a smaller -es")
    if s.steps > 0 and s.start_step > s.steps:
        problems.append(f"-ss {s.start_step} lies beyond -x {s.steps}, the end of the schedule; give a smaller -ss")
    if s.model is None and s.channels % s.heads:
        problems.append(f"-1c {s.channels} channels do not divide into -1h {s.heads} heads; change one of them")
    if s.model_file is not None and not s.model_file.endswith(".bin"):
        problems.append(f"-e {s.model}: neither a .bin file nor one of {', '.join(_named_shapes())}")
    if s.model in _named_shapes():
        wrong = ", ".join(SIZES[name] for name in s.contradicted(s.shape))
        if wrong:
            problems.append(f"-e {s.model} has {s.shape}, which {wrong} contradicts; leave out one of both")
    if s.val_tokens is not None and s.val_tokens % s.seq_len:
        problems.append(
            f"--val-tokens {s.val_tokens} is no multiple of -t {s.seq_len}; "
            f"take {max(1, s.val_tokens // s.seq_len) * s.seq_len}"
        )
    if "://" in s.output:
        problems.append(
            f"-o {s.output}: checkpoints are written to a local folder; train/upload_to_s3.py --all copies them"
        )
    elif Path(s.output).exists() and not Path(s.output).is_dir():
        problems.append(f"-o {s.output} is a file; name a folder")
    return problems


def _no_divisor(s: TrainSettings) -> str:
    total, seq_len = s.tokens_per_update, s.seq_len
    if total % seq_len:
        nearest = max(1, round(total / (s.micro_batch * seq_len))) * s.micro_batch * seq_len
        return f"-d {total} is no multiple of -t {seq_len}; take -d {nearest}"
    rows = total // seq_len
    fitting = {size for b in range(1, math.isqrt(rows) + 1) if rows % b == 0 for size in (b, rows // b)}
    near = sorted(sorted(fitting, key=lambda b: abs(b - s.micro_batch))[:3])
    return (
        f"-b {s.micro_batch} times -t {seq_len} does not divide -d {total}; with these -t and -d, "
        f"-b {', '.join(map(str, near))} would"
    )


def _tell_of_ignored(parser: Parser, args: argparse.Namespace) -> None:
    """Say once which of the flags given mean nothing here; refuse those that ask for what is not there."""
    if args.num_processes not in (None, 1):
        parser.error(f"-pn {args.num_processes}: this trainer is one process on one GPU")
    ignored = [option.short[0] for option in IGNORED if option.flag.removeprefix("--") in parser.given]
    if ignored:
        say(f"without meaning here: {', '.join(ignored)}", stream=sys.stderr)
