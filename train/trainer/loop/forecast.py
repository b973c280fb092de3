"""What a run takes, told before it takes it: from the model's operations and what this machine was seen to do.

On a CPU the model itself is timed, on ever more tokens until a pass takes about a second; a whole micro-batch may take
minutes. On a GPU, where a step takes seconds at most, it is a share of the measured peak. As steps are done, their own
times take the place of what is told here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sparkprep.commands import make
from sparkprep.llmc.shard import ShardFile
from trainer.device import synchronise
from trainer.evaluate.hellaswag import Questions
from trainer.loop.run import Run
from trainer.loop.validation import tokens_read
from trainer.models.layout import Model
from trainer.progress import about
from trainer.settings import TrainSettings

FORWARD_SHARE = 1 / 3
"""Of a training pass's operations, those of an evaluation."""
LONG = 600.0
"""Seconds above which a run without a GPU is warned of."""

_SECONDS = 0.5  # a pass that takes so long is timed well enough; the next one is four times as large
_REPEATED = 3.0
_GPU_SHARE = 0.5  # of the peak of matrix products that training reaches
_FIRST_TOKENS = 64
_SMALL_TOKENS, _SMALL_WEIGHTS = 60 * 4096, 4_000_000
_FOR_A_CPU = "-1d 2 -1c 64 -1h 2 -b 8 -t 64 -d 4096 -x 60 -v 20 -h 0 --val-tokens 8192"


@dataclass(frozen=True)
class Forecast:
    """Seconds that a run from step `first` to `last` takes.

    step: of an update; validation, hellaswag: of one evaluation; validations, hellaswags: how many there are.
    """

    first: int
    last: int
    step: float
    validation: float
    hellaswag: float
    validations: int
    hellaswags: int

    @property
    def seconds(self) -> float:
        """Of all of it but the checkpoints."""
        steps = (self.last - self.first) * self.step
        return steps + self.validations * self.validation + self.hellaswags * self.hellaswag

    def line(self) -> str:
        """Return what is told of it."""
        parts = [f"{self.last - self.first:,} steps of {about(self.step)}"]
        for count, seconds, name in (
            (self.validations, self.validation, "validation"),
            (self.hellaswags, self.hellaswag, "HellaSwag"),
        ):
            if count:
                parts.append(f"{count:,} x {name} of {about(seconds)}")
        return f"estimate: about {about(self.seconds)} ({'; '.join(parts)})"


def forecast(run: Run, peak: float) -> Forecast:
    """Return what a run takes from its step on. peak: floating-point operations a second of the machine.

    On a CPU, times passes of the model for a second or two; their gradients are left to be cleared.
    """
    s = run.settings
    rate = rate_of(run.model, s.micro_batch, s.seq_len, peak)
    a_token = run.model.shape.flops_per_token(s.seq_len) / rate
    validations, hellaswags = evaluations(s, run.step, run.stop)
    return Forecast(
        run.step,
        run.stop,
        s.tokens_per_update * a_token,
        tokens_read(s, run.val_shards) * a_token * FORWARD_SHARE,
        hellaswag_seconds(run.questions, a_token),
        validations,
        0 if run.questions is None else hellaswags,
    )


def hellaswag_seconds(questions: Questions | None, seconds_a_token: float) -> float:
    """Return the seconds of one evaluation, where training takes so many for a token; 0 without questions."""
    return 0.0 if questions is None else len(questions.tokens) * seconds_a_token * FORWARD_SHARE


def evaluations(settings: TrainSettings, first: int, last: int) -> tuple[int, int]:
    """Return how often a run from step `first` to `last` validates and, where it does, asks HellaSwag."""
    every = settings.val_every
    validations = 1 + ((last - 1) // every - (first - 1) // every if every and last > first else 0)
    # HellaSwag is not asked at step 0, unless the run ends there.
    return validations, validations - (every > 0 and first == 0 < last)


def evaluation_tokens(
    settings: TrainSettings, first: int, last: int, shards: Sequence[ShardFile], questions: Questions | None
) -> int:
    """Return the tokens that go through the model in all evaluations from step `first` to `last`."""
    validations, hellaswags = evaluations(settings, first, last)
    asked = 0 if questions is None else len(questions.tokens)
    return validations * tokens_read(settings, shards) + hellaswags * asked


def rate_of(model: Model, rows: int, seq_len: int, peak: float, *, training: bool = True) -> float:
    """Return the floating-point operations a second of passes of a model, counted as those of training are.

    rows, seq_len: of a micro-batch, the most that is tried. training: whether passes go back too.
    """
    if model.device.type != "cpu":
        return _GPU_SHARE * peak
    tokens = _FIRST_TOKENS
    while True:
        width = min(tokens, seq_len)
        ids = torch.arange(max(1, min(rows, tokens // width)) * width).remainder(model.shape.vocab_size)
        ids = ids.view(-1, width)
        seconds = _seconds(model, ids, training=training)
        if seconds < _REPEATED:  # the first pass of a process, and a busy machine's, may take far longer than the next
            seconds = min(seconds, _seconds(model, ids, training=training))
        if seconds >= _SECONDS or ids.numel() >= rows * seq_len:
            operations = ids.numel() * model.shape.flops_per_token(width)
            return operations * (1.0 if training else FORWARD_SHARE) / max(seconds, 1e-9)
        tokens *= 4


def _seconds(model: Model, ids: torch.Tensor, *, training: bool) -> float:
    start = time.perf_counter()
    with torch.set_grad_enabled(training):
        loss = model(ids, ids)
        if training:
            loss.backward()  # type: ignore[no-untyped-call]
    synchronise(model.device)
    return time.perf_counter() - start


def _is_small(run: Run) -> bool:
    """Return whether a run is no larger than the one that is advised."""
    tokens = (run.stop - run.step) * run.settings.tokens_per_update
    return tokens <= _SMALL_TOKENS and run.model.flat.numel() <= _SMALL_WEIGHTS


def warning(run: Run, seconds: float) -> str | None:
    """Return what to say of a run that takes long on a CPU, with the way out; None where it is short, or on a GPU."""
    if run.device.type != "cpu" or seconds <= LONG:
        return None
    if run.resumed or run.settings.model_file is not None:
        way = "stop earlier with -es, or take a smaller model"
    elif _is_small(run):
        way = "it is a small one, which takes a minute or two where the processor is free for it"
    else:
        way = f"a small model on few tokens takes a minute or two: {_FOR_A_CPU}"
    return (
        f"warning: without a GPU this run takes about {about(seconds)}; {way}; "
        f"`{make('train-final', 'REHEARSE=1')}` shows the whole way in minutes. Ctrl-C ends this one"
    )
