"""The training loop: validate, score, sample, save, update, in llm.c's order, with its log and its terminal lines.

At the top of iteration s the model has had s updates, and that is when its checkpoint is written; then update s runs,
with the schedule's rate for s and AdamW's t = s + 1.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from dataclasses import dataclass

import torch

from sparkprep.console import safe_text, say, say_line
from sparkprep.errors import UserError
from trainer import device as machine
from trainer.checkpoints import checkpoint
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.folder import held
from trainer.checkpoints.state_file import Moments, StateHeader
from trainer.data.batches import to_device
from trainer.evaluate import hellaswag
from trainer.loop import memory, parameter_table, samples
from trainer.loop.resume import manifest_of
from trainer.loop.run import Run
from trainer.loop.speed import Speed
from trainer.loop.start import begin
from trainer.loop.validation import validate_batches, validate_tokens
from trainer.runs import parameters as run_parameters
from trainer.runs.log import RunLog
from trainer.settings import TrainSettings


@dataclass(frozen=True)
class Update:
    """What one update was. loss: mean in nats; norm: of the gradient before clipping; skipped: why, or ""."""

    loss: float
    norm: float
    rate: float
    loss_score: float
    norm_score: float
    seconds: float
    skipped: str


def train(settings: TrainSettings) -> Run:
    """Train as the settings say, to the end; the finished run. Raises UserError for all that a user can mend."""
    with held(settings.output) as folder:
        try:
            run = begin(settings, folder)
            peak = machine.measured_peak(run.device, run.model.dtype)
        except torch.OutOfMemoryError as error:
            raise UserError(
                "CUDA out of memory before the first step; free the GPU (nvidia-smi tells who uses it), or give a "
                "smaller model"
            ) from error
        kernels = machine.attention_kernels(run.device, deterministic=settings.deterministic)
        with kernels, RunLog(folder, resume=settings.resume) as log:
            say(run_parameters.append(folder, parameter_table.groups(run, peak)), end="")
            Trainer(run, log, peak).train()
        return run


class Trainer:
    """One run under way. peak: floating-point operations a second of the machine, to tell the share of."""

    def __init__(self, run: Run, log: RunLog, peak: float) -> None:
        self.run, self.log, self.settings = run, log, run.settings
        self.schedule = run.settings.schedule(run.steps)
        compiled = machine.to_be_compiled(self.settings.compile, run.device)
        self.loss_of = torch.compile(run.model, dynamic=False) if compiled else run.model
        flops = run.model.shape.flops_per_token(self.settings.seq_len)
        self.speed = Speed(flops, self.settings.tokens_per_update, peak)

    def train(self) -> None:
        """Train from the run's step to its stop."""
        run = self.run
        if run.step > run.stop:
            say(f"nothing to do: the run stands at step {run.step}, and was to stop at {run.stop}")
        first = run.step
        try:
            for step in range(first, run.stop + 1):
                run.step = step
                self._iterate(step, entering=run.resumed and step == first)
        except KeyboardInterrupt:
            say(f"\ninterrupted at step {run.step}; {safe_text(self._last_good())}", stream=sys.stderr)
            raise
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what the failed step had taken
            raise UserError(memory.too_large(run)) from error
        say(f"total average iteration time: {1000 * self.speed.mean_seconds:f} ms")

    def _iterate(self, step: int, *, entering: bool) -> None:
        s, last = self.settings, step == self.run.stop
        validation_due = s.val_every > 0 and step % s.val_every == 0
        if validation_due or last:
            self._validate(step)
        if self.run.questions is not None and ((validation_due and step > 0) or last):
            self._score(step)
        if s.sample_every > 0 and ((step > 0 and step % s.sample_every == 0) or last):
            samples.show(self.run.model, self.run.words, s.sample_tokens)
        if s.checkpoint_every > 0 and not entering and ((step > 0 and step % s.checkpoint_every == 0) or last):
            self._save(step)
        if last:
            return
        update = self.update(step)
        self.log.train(step, update.loss, update.rate, update.norm, 1000 * update.seconds)
        self._show(step, update)
        self._stop_on_nan(step, update)

    def update(self, step: int) -> Update:
        """Do one update; the values that are logged come to the host at its end, in one go."""
        run, s = self.run, self.settings
        start = time.perf_counter()
        rate = self.schedule.rate(step)
        run.optimizer.clear_gradients()
        if s.overfit:
            run.loader.reset()
        total = torch.zeros((), device=run.device)
        for _ in range(s.micro_steps):
            loss = self.loss_of(*to_device(run.loader.next(), s.micro_batch, run.device)) / s.micro_steps
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = run.optimizer.norm()
        loss_and_norm = torch.stack([total, norm])
        skips_outliers = s.skip_loss > 0 or s.skip_norm > 0
        host_values = loss_and_norm.tolist() if skips_outliers else None  # only a limit needs them before the update
        scores = self._scores(*host_values) if host_values else (math.nan, math.nan)
        reason = self._reason(*scores)
        skip = ~torch.isfinite(loss_and_norm).all()
        run.optimizer.update(step, rate, norm, skip | bool(reason), s.micro_steps)
        loss_value, norm_value = host_values or loss_and_norm.tolist()
        machine.synchronise(run.device)
        if not host_values:
            scores = self._scores(loss_value, norm_value)
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            reason = "not a number"
        return Update(loss_value, norm_value, rate, *scores, time.perf_counter() - start, reason)

    def _scores(self, loss: float, norm: float) -> tuple[float, float]:
        return self.run.loss_outliers.score(loss), self.run.norm_outliers.score(norm)

    def _reason(self, loss_score: float, norm_score: float) -> str:
        """Return why an update is to be skipped, or ""; a score that is nan is above no limit."""
        s = self.settings
        if s.skip_loss > 0 and loss_score > s.skip_loss:
            return f"the loss lies {loss_score:+.2f} deviations from its mean (-sl {s.skip_loss:g})"
        if s.skip_norm > 0 and norm_score > s.skip_norm:
            return f"the norm lies {norm_score:+.2f} deviations from its mean (-sg {s.skip_norm:g})"
        return ""

    def _stop_on_nan(self, step: int, update: Update) -> None:
        """Stop where loss or norm are no numbers, unless they are to be skipped; weights have not been touched."""
        if math.isfinite(update.loss) and math.isfinite(update.norm):
            return
        if self.settings.on_nan == "skip":
            return
        raise UserError(
            f"step {step}: the loss is {update.loss} and the norm of the gradient {update.norm}, so the run was "
            f"stopped; {self._last_good()}. Go on from there with a lower -l, or skip such updates with --on-nan skip"
        )

    def _last_good(self) -> str:
        checkpoints = checkpoint.find(self.run.folder)
        if not checkpoints:
            return "no checkpoint has been written yet"
        return f"the last good checkpoint is {checkpoints[0].model}"

    def _validate(self, step: int) -> None:
        run, s = self.run, self.settings
        if s.val_tokens is not None:
            loss = validate_tokens(run.model, run.val_shards, s.val_tokens, s.micro_batch, s.seq_len, run.device)
        else:
            assert run.val_loader is not None
            loss = validate_batches(self.loss_of, run.val_loader, s.micro_batch, s.val_batches, run.device)
        say(f"val loss {loss:f}")
        self.log.validation(step, loss)

    def _score(self, step: int) -> None:
        assert self.run.questions is not None
        result = hellaswag.evaluate_watched(self.run.model, self.run.questions)
        say(f"HellaSwag: {result.correct}/{result.total} = {result.accuracy:f}")
        self.log.hellaswag(step, result.accuracy)

    def _save(self, step: int) -> None:
        run, s = self.run, self.settings
        if not torch.isfinite(run.model.flat).all():
            raise UserError(
                f"step {step}: weights have grown beyond all numbers, so the run was stopped; {self._last_good()}. "
                "Go on from there with a lower -l"
            )
        target = Checkpoint(run.folder, step)
        say_line(f"Writing model to {target.model}")
        say_line(f"Writing state to {target.state}")
        data = run.loader.state
        head = StateHeader(
            step=step,
            masters=s.masters,
            shuffled=data.shard_order is not None,
            rounding=run.optimizer.rounding,
            rounding_before=run.optimizer.rounding_before,
            shard=data.shard,
            used=data.used,
        )
        masters = run.model.flat if s.masters else None
        moments = Moments(run.optimizer.m, run.optimizer.v, masters)
        try:
            checkpoint.write(target, run.model, head, moments, data, manifest_of(run))
        except UserError as error:
            raise UserError(
                f"{error}; {self._last_good()}. Free space (-nk N keeps fewer checkpoints), then go on with -y 1"
            ) from error
        if s.keep > 0:
            old = step - s.keep * s.checkpoint_every
            if old > 0 and not (s.keep_multiple > 0 and old % s.keep_multiple == 0):
                checkpoint.delete(Checkpoint(run.folder, old))

    def _show(self, step: int, update: Update) -> None:
        run, s = self.run, self.settings
        self.speed.add(update.seconds)
        if self.speed.utilisation > 1:  # the machine was busy with something else when its peak was measured
            peak = machine.measured_peak(run.device, run.model.dtype)
            self.speed.peak = max(self.speed.peak, self.speed.reached, peak)
        say(
            f"step {step + 1:4d}/{run.steps} | loss {update.loss:7.6f} ({update.loss_score:+.2f}z)"
            f"| norm {update.norm:6.4f} ({update.norm_score:+.2f}z)| lr {update.rate:.2e} "
            f"| {1000 * update.seconds:.2f} ms | {100 * self.speed.utilisation:.1f}% "
            f"{machine.precision_name(run.model.dtype).lower()} MFU | {self.speed.tokens_per_second:.0f} tok/s "
            f"| {self.speed.left(run.stop - step - 1)} left"
        )
        if update.skipped:
            say(f"step {step + 1}: update skipped: {update.skipped}")
        if s.gpu_info_every > 0 and (step + 1) % s.gpu_info_every == 0:
            say_line(machine.gpu_line(run.device))
