"""The training loop: save, validate, score, sample, update, with llm.c's log and its terminal lines.

At the top of iteration s the model has had s updates, and that is when its checkpoint is written, before the
evaluations, which llm.c does first; then update s runs, with the schedule's rate for s and AdamW's t = s + 1.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparkprep.console import display, safe_text, say, say_line
from sparkprep.errors import UserError
from trainer import device as machine
from trainer.checkpoints import checkpoint
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.folder import forget_earlier, held
from trainer.checkpoints.state_file import Moments, StateHeader
from trainer.data.batches import to_device
from trainer.loop import memory, parameter_table, samples
from trainer.loop.evaluation import Evaluations, evaluate, loss_of
from trainer.loop.forecast import forecast, warning
from trainer.loop.full_disk import advice
from trainer.loop.resume import evaluations_logged, manifest_of
from trainer.loop.run import Run
from trainer.loop.speed import Speed
from trainer.loop.start import begin, make_room
from trainer.loop.stopping import Stopping
from trainer.progress import Progress
from trainer.runs import parameters as run_parameters
from trainer.runs.log import HELLASWAG, VALIDATION, RunLog
from trainer.settings import NAN_LIMIT, TrainSettings


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


Watch = Callable[[int, Update], None]
"""Is told each update, with its step counted from 0."""


def train(settings: TrainSettings, watch: Watch | None = None) -> Run | None:
    """Train as the settings say, to the end; return the finished run, or None where there was nothing left to do.

    With -x 0 evaluate alone. watch: is told each update. Raises UserError for all that a user can mend.
    """
    if settings.steps == 0:
        return evaluate(settings)
    with held(settings.output) as folder:
        return train_in(folder, settings, watch)


def train_in(
    folder: str, settings: TrainSettings, watch: Watch | None = None, *, save_on_signal: bool = True
) -> Run | None:
    """Train as `train` does, in a folder that is held. save_on_signal: keep the last update where a signal ends it."""
    with memory.fits_at_the_start():
        run = begin(settings, folder)
        logged = evaluations_logged(folder, run.step) if run.resumed else frozenset()
        if _finished(run, logged):
            return None
        peak = machine.measured_peak(run.device, run.model.dtype)
    for change in run.changes:
        say_line(f"note: {change}", sys.stderr)
    make_room(run)
    kernels = machine.attention_kernels(run.device, deterministic=settings.deterministic)
    with kernels, RunLog(folder, resume=settings.resume) as log:
        if run.step < run.stop:  # else only what was not evaluated is, and the table tells of what has trained
            say(run_parameters.append(folder, parameter_table.groups(run, peak)), end="")
        Trainer(run, log, peak, logged, watch, save_on_signal=save_on_signal).train()
    return run


def _finished(run: Run, logged: frozenset[str]) -> bool:
    """Return whether a run has no update and no evaluation left, and say so."""
    evaluated = {VALIDATION} if run.questions is None else {VALIDATION, HELLASWAG}
    if not run.resumed or run.step < run.stop or (run.step == run.stop and not evaluated <= logged):
        return False
    changes = f" ({'; '.join(run.changes)}: that changes nothing any more)" if run.changes else ""
    say_line(
        f"finished: the run in {run.folder} stands at step {run.step}, and was to stop at {run.stop}{changes}; nothing "
        "was written. Another run wants another folder (-o)"
    )
    return True


class Trainer:
    """One run under way.

    peak: floating-point operations a second of the machine, to tell the share of. logged: the evaluations of the run's
    step that its log has already. watch: is told each update. save_on_signal: keep the last update where a signal ends
    the run.
    """

    def __init__(
        self,
        run: Run,
        log: RunLog,
        peak: float,
        logged: frozenset[str] = frozenset(),
        watch: Watch | None = None,
        *,
        save_on_signal: bool = True,
    ) -> None:
        self.watch = watch
        self.run, self.log, self.settings = run, log, run.settings
        self.schedule = run.settings.schedule(run.steps)
        self.loss_of = loss_of(run)
        flops = run.model.shape.flops_per_token(self.settings.seq_len)
        self.nans = 0  # updates in a row whose loss or norm is no number
        self.speed = Speed(flops, self.settings.tokens_per_update, peak)
        self._logged, self._save_on_signal = logged, save_on_signal
        self._whole = run.step, run.loader.state  # after the last update that is whole
        self._saved = -1  # the step of the last checkpoint
        self._told_of_hang_up = False
        self.progress = Progress()
        self.evaluations = Evaluations(run, self.loss_of, self.progress)
        self._step_seconds: float | None = None  # what is told of until it is known better
        self._stopping = Stopping("the last whole update is being saved" if save_on_signal else "ending")

    def train(self) -> None:
        """Train from the run's step to its stop."""
        run, first = self.run, self.run.step
        try:
            with self._stopping, self.progress:
                try:
                    self._tell_of_time()
                    for step in range(first, run.stop + 1):
                        run.step = step
                        self._iterate(step, entering=run.resumed and step == first)
                except KeyboardInterrupt:
                    self._keep_last_update(first)
                    raise
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what the failed step had taken
            raise UserError(memory.too_large(run)) from error
        say(f"total average iteration time: {1000 * self.speed.mean_seconds:f} ms")

    def _tell_of_time(self) -> None:
        """Say what the run will take, and warn of what takes long without a GPU."""
        expected = forecast(self.run, self.speed.peak)
        self._step_seconds = expected.step
        self.evaluations.expect(expected)
        say_line(expected.line())
        if too_long := warning(self.run, expected.seconds):
            say_line(too_long, sys.stderr)

    def _iterate(self, step: int, *, entering: bool) -> None:
        """Do what is due at the top of an iteration, and then its update.

        The checkpoint comes first: what ends a long evaluation ends none of the updates before it. A run that goes on
        from one does the evaluations that its log lacks.
        """
        run, s, last = self.run, self.settings, step == self.run.stop
        if self._checkpoint_due(step) and not entering:
            with self._stopping.whole():
                self._save(step)
        logged = self._logged if entering else frozenset()
        validation_due = s.val_every > 0 and step % s.val_every == 0
        if (validation_due or last) and VALIDATION not in logged:
            self.log.validation(step, self.evaluations.validate())
        if run.questions is not None and ((validation_due and step > 0) or last) and HELLASWAG not in logged:
            self.log.hellaswag(step, self.evaluations.score())
        if s.sample_every > 0 and ((step > 0 and step % s.sample_every == 0) or last):
            samples.show(run.model, run.words, s.sample_tokens)
        if last:
            return
        computed = self._gradients(step)
        with self._stopping.whole():
            update = self._apply(step, *computed)
            self.log.train(step, update.loss, update.rate, update.norm, 1000 * update.seconds)
            self._whole = step + 1, run.loader.state
            self._show(step, update)
        if self.watch:
            self.watch(step, update)
        self._stop_on_nan(step, update)

    def _checkpoint_due(self, step: int) -> bool:
        every = self.settings.checkpoint_every
        return every > 0 and ((step > 0 and step % every == 0) or step == self.run.stop)

    def update(self, step: int) -> Update:
        """Do one update, without a line about it."""
        return self._apply(step, *self._gradients(step))

    def _gradients(self, step: int) -> tuple[Tensor, float]:
        """Compute the gradients of an update, and return its loss on the device and when it began."""
        run, s = self.run, self.settings
        start = time.perf_counter()
        run.optimizer.clear_gradients()
        if s.overfit:
            run.loader.reset()
        total = torch.zeros((), device=run.device)
        with self.progress.of(
            f"step {step + 1}/{run.stop}", s.micro_steps, "micro-batches", self._step_seconds
        ) as advance:
            for _ in range(s.micro_steps):
                loss = self.loss_of(*to_device(run.loader.next(), s.micro_batch, run.device)) / s.micro_steps
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
                advance()
        return total, start

    def _apply(self, step: int, total: Tensor, start: float) -> Update:
        """Change the weights by the gradients that are there; what is logged comes to the host at the end, in one go.

        total: the loss; start: when the update began.
        """
        run, s = self.run, self.settings
        rate = self.schedule.rate(step)
        norm = run.optimizer.norm()
        loss_and_norm = torch.stack([total, norm])
        skips_outliers = s.skip_loss > 0 or s.skip_norm > 0
        host_values = loss_and_norm.tolist() if skips_outliers else None  # only a limit needs them before the update
        scores = self._scores(*host_values) if host_values else (math.nan, math.nan)
        reason = self._reason(*scores)
        skip = ~torch.isfinite(loss_and_norm).all()
        run.optimizer.update(step, rate, norm, skip | bool(reason))
        loss_value, norm_value = host_values or loss_and_norm.tolist()
        machine.synchronise(run.device)
        if not host_values:
            scores = self._scores(loss_value, norm_value)
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            reason = "not a number"
        run.optimizer.count_draws(s.micro_steps, updated=not reason)
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
            self.nans = 0
            return
        self.nans += 1
        skips = self.settings.on_nan == "skip"
        if skips and self.nans < NAN_LIMIT:
            return
        raise UserError(
            f"step {step + 1}: the loss is {update.loss} and the norm of the gradient {update.norm}"
            f"{f', the {self.nans}th in a row' if skips else ''}, so the run was stopped; {self._last_good()}. "
            f"Give a lower -l{'' if skips else ', or skip such updates with --on-nan skip'}"
        )

    def _last_good(self) -> str:
        checkpoints = checkpoint.find(self.run.folder)
        if not checkpoints:
            return "no checkpoint has been written yet"
        return f"the last good checkpoint is {checkpoints[0].model}, from which -y 1 goes on"

    def _keep_last_update(self, first: int) -> None:
        """Save the last whole update where this process has made it and no checkpoint has it, and say what there is.

        Micro-batches that were read for the next update are read again by a run that goes on.
        """
        if not self._save_on_signal:
            return
        step = self._whole[0]
        if step > first and step != self._saved:
            self._save(step, interim=not self._checkpoint_due(step))
        say(f"\ninterrupted at step {step}; {safe_text(self._last_good())}", stream=sys.stderr)

    def _forget_earlier(self) -> None:
        """Delete earlier runs beyond --keep-earlier, now that this one, begun anew, is on its feet."""
        if not self.run.resumed:
            for path in forget_earlier(self.run.folder, self.settings.keep_earlier):
                say_line(f"deleted {path}, an earlier run (--keep-earlier {self.settings.keep_earlier})")

    def _save(self, step: int, *, interim: bool = False) -> None:
        run, s = self.run, self.settings
        if not torch.isfinite(run.model.flat).all():
            raise UserError(
                f"step {step}: weights have grown beyond all numbers, so the run was stopped; {self._last_good()}. "
                "Give a lower -l"
            )
        target = Checkpoint(run.folder, step)
        say_line(f"Writing model to {target.model}")
        say_line(f"Writing state to {target.state}")
        data = self._whole[1]
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
        manifest = {**manifest_of(run), checkpoint.INTERIM: True} if interim else manifest_of(run)
        try:
            checkpoint.write(target, run.model, head, moments, data, manifest)
        except UserError as error:
            raise UserError(f"{error}; {self._last_good()}. {advice(run)}") from error
        self._saved = step
        checkpoint.delete_interim(run.folder, step)
        if not interim:
            checkpoint.prune(run.folder, step, s.checkpoint_every, s.keep, s.keep_multiple)
            self._forget_earlier()

    def _show(self, step: int, update: Update) -> None:
        run, s = self.run, self.settings
        self.speed.add(update.seconds)
        self._step_seconds = self.speed.seconds
        if self.speed.utilisation > 1:  # the machine was busy with something else when its peak was measured
            peak = machine.measured_peak(run.device, run.model.dtype)
            self.speed.peak = max(self.speed.peak, self.speed.reached, peak)
        say(
            f"step {step + 1:4d}/{run.stop} | loss {update.loss:7.6f} ({update.loss_score:+.2f}z)"
            f"| norm {update.norm:6.4f} ({update.norm_score:+.2f}z)| lr {update.rate:.2e} "
            f"| {1000 * update.seconds:.2f} ms | {100 * self.speed.utilisation:.1f}% "
            f"{machine.precision_name(run.model.dtype).lower()} MFU | {self.speed.tokens_per_second:.0f} tok/s "
            f"| {self.speed.left(run.stop - step - 1, self.evaluations.seconds_left(step))} left"
        )
        if update.skipped:
            say(f"step {step + 1}: update skipped: {update.skipped}")
        if s.gpu_info_every > 0 and (step + 1) % s.gpu_info_every == 0:
            say_line(machine.gpu_line(run.device))
        if display.hung_up and not self._told_of_hang_up:
            self._told_of_hang_up = True
            self.log.hung_up(step)
