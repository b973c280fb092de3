"""What can be set for a study of learning rates: each default, meaning and limit stands once, in its field."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from sparkprep.commands import make, train
from sparkprep.errors import UserError
from sparkprep.io.paths import is_local, normalise
from sparkprep.kinds import Integer, Number, OneOf, Switch, Text
from sparkprep.options import check_options, option, options_of
from trainer.final.settings import FinalRun, shard_patterns
from trainer.flags import DEVICES, PRECISIONS
from trainer.settings import COMPILE
from trainer.tune.experiments import WARMUP_SHARE, Scale

RATES_DATE = "November 2026"
RATES = {"g5.xlarge": 1.5}
"""Dollars an hour that are counted with, by machine, as of RATES_DATE: what it costs and some to be safe."""

MAY_CHANGE = ("output", "budget", "reserve", "price_per_hour", "allow_repeats", "device", "threads", "hellaswag_data")
"""What a study may go on with another value of: money, places, and what no loss depends on but by rounding."""
OF_TRIALS = ("strategy", "low", "high", "seed")
"""What no probe depends on: it may change until the first trial is made."""
_FINAL = FinalRun()
_OF_THE_FINAL_RUN = ("start_step", "steps", "micro_batch")
_VALIDATION = 655_360  # 20 micro-batches of 32 rows of 1,024, as the course's runs validate on


@dataclass(frozen=True)
class TuneSettings:
    """A study. seed_model: with it the continuation is tuned, from `start_step` on; else a run from random weights."""

    data: str | None = option(
        None,
        "folder of token shards (NAME_train_*.bin and NAME_val_*.bin), or a pattern of the former",
        Text(),
        "FOLDER",
    )
    output: str = option("tuning", "folder of the study", Text(), "FOLDER", short=("-o",))
    strategy: str = option("hybrid", "how the budget is spent", Text(), "NAME")
    budget: float | None = option(
        None, "dollars in all: for probes and experiments, and what is kept back for the final run", Number(0), "X"
    )
    reserve: float | None = option(
        None, "dollars of it that are kept back (default: what the final run costs by the probe)", Number(0), "X"
    )
    price_per_hour: float | None = option(
        None,
        f"dollars an hour of this machine (default {RATES['g5.xlarge']:.2f}: a g5.xlarge, {RATES_DATE})",
        Number(0, above=True),
        "X",
    )
    machine: str = option("g5.xlarge", f"whose rate of {RATES_DATE} is counted with", Text(), "NAME")
    seed_model: str | None = option(
        None, "tune the run that goes on from this model file", Text(), "SEED", short=("--continue",)
    )
    start_step: int = option(_FINAL.start_step, "with --continue: updates the seed has had", Integer(1))
    steps: int = option(_FINAL.steps, "updates of the whole schedule that a rate is sought for", Integer(1))
    layers: int = option(12, "layers of the model", Integer(1), short=("-1d",))
    channels: int = option(768, "channels of the model", Integer(1), short=("-1c",))
    heads: int = option(12, "attention heads of the model", Integer(1), short=("-1h",))
    low: float = option(2e-4, "lowest rate that is tried at first", Number(0, above=True), "X")
    high: float = option(2e-2, "highest rate that is tried at first", Number(0, above=True), "X")
    seed: int = option(0, "of all random choices", Integer(0))
    micro_batch: int = option(_FINAL.micro_batch, "rows at a time", Integer(1), short=("-b",))
    seq_len: int = option(1024, "tokens in a row", Integer(1), short=("-t",))
    total_batch: int = option(524_288, "tokens in an update", Integer(1), short=("-d",))
    val_tokens: int = option(_VALIDATION, "tokens of a validation: the same set for every experiment", Integer(1))
    hellaswag_data: str = option(
        "data/hellaswag_val.bin", "HellaSwag, for finalists; left out if missing", Text(), "FILE"
    )
    allow_repeats: bool = option(False, "bear that too few shards are gone through more than once", Switch())
    device: str = option("auto", "what to compute on; auto: a GPU if there is one", OneOf(DEVICES))
    precision: str = option("auto", "auto: bf16 on a GPU, fp32 on a CPU", OneOf(PRECISIONS))
    compile: str = option("auto", "torch.compile; auto: on a GPU", OneOf(COMPILE))
    threads: int | None = option(None, "CPU threads", Integer(1))

    def __post_init__(self) -> None:
        check_options(self)
        if self.low >= self.high:
            raise UserError(f"--low {self.low:g} is not below --high {self.high:g}; give a range of rates")
        if self.seed_model is not None and self.start_step >= self.steps:
            raise UserError(
                f"--start-step {self.start_step} leaves nothing of the {self.steps} steps (--steps); give a smaller one"
            )

    @property
    def folder(self) -> str:
        """Where the study lies. Raises UserError for a place that cannot be held."""
        if not is_local(self.output):
            raise UserError(
                f"--output {self.output}: a study is held and written line by line, which S3 cannot; give a local "
                "folder, which train/upload_to_s3.py copies afterwards"
            )
        return normalise(self.output)

    @property
    def price(self) -> float:
        """Dollars an hour. Raises UserError where neither it nor a machine whose rate is known is given."""
        if self.price_per_hour is not None:
            return float(self.price_per_hour)
        if self.machine not in RATES:
            raise UserError(
                f"--machine {self.machine}: its price is not known here (there is {', '.join(RATES)}); give what an "
                "hour of it costs with --price-per-hour"
            )
        return RATES[self.machine]

    @property
    def patterns(self) -> tuple[str, str]:
        """Those of the training and validation shards. Raises UserError where none are named."""
        if self.data is None:
            raise UserError("--data is missing: the folder of token shards; --help shows an example")
        return shard_patterns(os.path.expanduser(self.data))

    def target(self) -> Scale:
        """Return the run that a rate is sought for: its model, and the updates it has to make."""
        if self.seed_model is None:
            return Scale(self.layers, self.channels, self.heads, self.steps)
        from trainer.checkpoints import model_file  # here, as it needs PyTorch, which --help must not wait for
        from trainer.models.gpt2 import GPT2Shape

        shape = model_file.read_header(self.seed_model).shape
        if not isinstance(shape, GPT2Shape):
            raise UserError(f"--continue {self.seed_model}: is no GPT-2, which alone is tuned here")
        return Scale(shape.layers, shape.channels, shape.heads, self.steps - self.start_step)

    def told(self) -> dict[str, Any]:
        """Return the options by name, as they are written down."""
        return {each.name: getattr(self, each.name) for each in options_of(type(self))}

    def words(self) -> list[str]:
        """Return the words of a command line with the same options, but for those at their default."""
        words: list[str] = []
        for each in options_of(type(self)):
            value = getattr(self, each.name)
            if value != each.default:
                flag = each.short[0] if each.name == "seed_model" else each.flag
                words += [flag] if value is True else [flag, str(value)]
        return words

    def final_command(self, rate: float) -> str:
        """Return the command that trains the run that a rate was sought for, with that rate."""
        told = f"{rate:.3g}"
        own = {"seq_len": 1024, "total_batch": 524_288}
        if any(getattr(self, name) != value for name, value in own.items()) or (
            self.seed_model is None and (self.layers, self.channels, self.heads) != (12, 768, 12)
        ):
            return self._training_command(told)
        words = [f"SEED_MODEL={self.seed_model or 'SEED_MODEL'}", f"LR={told}", f"DATA={self.data}"]
        changed = [
            (each.flag, str(getattr(self, each.name)))
            for each in options_of(TuneSettings)
            if each.name in _OF_THE_FINAL_RUN and getattr(self, each.name) != getattr(_FINAL, each.name)
        ]
        if changed:
            words.append(f"ARGS={' '.join(word for pair in changed for word in pair)}")
        return make("train-final", *words)

    def _training_command(self, rate: str) -> str:
        """Return the trainer's command for a run that `make train-final`, of the course's batch, does not do."""
        train_data, val_data = self.patterns
        words = ["-id", train_data, "-iv", val_data, "-o", "log", "-y", "1", "-l", rate, "-x", str(self.steps)]
        if self.seed_model is None:
            words += ["-1d", str(self.layers), "-1c", str(self.channels), "-1h", str(self.heads)]
        else:
            words += ["-e", self.seed_model, "-ss", str(self.start_step)]
        words += ["-b", str(self.micro_batch), "-t", str(self.seq_len), "-d", str(self.total_batch)]
        warmup = max(1, round(WARMUP_SHARE * self.steps))
        return train(*words, "-u", str(warmup), "--val-tokens", str(self.val_tokens))
