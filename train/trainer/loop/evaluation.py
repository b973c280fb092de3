"""The evaluations of a run, validation loss and HellaSwag: beside its training, or alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sparkprep.console import say, say_line
from sparkprep.io.paths import normalise
from trainer import device as machine
from trainer.evaluate import hellaswag
from trainer.loop import memory
from trainer.loop.forecast import Forecast, evaluations, forecast
from trainer.loop.run import Run
from trainer.loop.start import begin
from trainer.loop.validation import Loss, tokens_read, validate_batches, validate_tokens
from trainer.progress import Progress
from trainer.runs.log import HELLASWAG, VALIDATION
from trainer.settings import TrainSettings


def loss_of(run: Run) -> Loss:
    """Return the run's model as what gives a loss, compiled where the settings have it so."""
    compiled = machine.to_be_compiled(run.settings.compile, run.device)
    return torch.compile(run.model, dynamic=False) if compiled else run.model


def evaluate(settings: TrainSettings) -> Run:
    """Print validation loss and HellaSwag of a model file or of the newest checkpoint; write nothing."""
    with memory.fits_at_the_start():
        run = begin(settings, normalise(settings.output))
        say_line(f"evaluating {run.weights}, of step {run.step}")
        expected = forecast(run, machine.measured_peak(run.device, run.model.dtype))
        say_line(expected.line())
        with machine.attention_kernels(run.device, deterministic=settings.deterministic), Progress() as progress:
            both = Evaluations(run, loss_of(run), progress)
            both.expect(expected)
            both.validate()
            if run.questions is not None:
                both.score()
    return run


class Evaluations:
    """The two evaluations of a run, whose results are printed as llm.c does, and the time that they take."""

    def __init__(self, run: Run, loss_of: Loss, progress: Progress) -> None:
        self._run, self._loss_of, self._progress = run, loss_of, progress
        self._seconds = {VALIDATION: 0.0, HELLASWAG: 0.0}  # as last seen, or thought

    def expect(self, expected: Forecast) -> None:
        """Take what the evaluations are thought to take, until they have been seen."""
        self._seconds = {VALIDATION: expected.validation, HELLASWAG: expected.hellaswag}

    def validate(self) -> float:
        """Return, and print, the validation loss that -m or --val-tokens asks for."""
        run, s = self._run, self._run.settings
        with (
            self._timed(VALIDATION) as expected,
            self._progress.of("validation", tokens_read(s, run.val_shards), "tokens", expected) as advance,
        ):
            if s.val_tokens is not None:
                loss = validate_tokens(
                    run.model, run.val_shards, s.val_tokens, s.micro_batch, s.seq_len, run.device, advance
                )
            else:
                assert run.val_loader is not None
                loss = validate_batches(
                    self._loss_of, run.val_loader, s.micro_batch, s.val_batches, run.device, advance
                )
        say(f"val loss {loss:f}")
        return loss

    def score(self) -> float:
        """Return, and print, the accuracy on HellaSwag."""
        assert self._run.questions is not None
        with self._timed(HELLASWAG) as expected:
            result = hellaswag.evaluate_watched(self._run.model, self._run.questions, self._progress, expected=expected)
        say(f"HellaSwag: {result.correct}/{result.total} = {result.accuracy:f}")
        return result.accuracy

    def seconds_left(self, step: int) -> float:
        """Return the seconds that the evaluations after the update of `step` take."""
        validations, hellaswags = evaluations(self._run.settings, step + 1, self._run.stop)
        asked = hellaswags if self._run.questions is not None else 0
        return validations * self._seconds[VALIDATION] + asked * self._seconds[HELLASWAG]

    @contextmanager
    def _timed(self, kind: str) -> Iterator[float]:
        """Yield the seconds that an evaluation was last seen or thought to take, and note those that it takes now."""
        start = time.perf_counter()
        yield self._seconds[kind]
        self._seconds[kind] = time.perf_counter() - start
