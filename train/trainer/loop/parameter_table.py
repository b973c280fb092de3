"""The table of a run's parameters, for the terminal and run_parameters.txt, in the order of llm.c's course version."""

from __future__ import annotations

from trainer import device as machine
from trainer.loop.run import Run
from trainer.models.layout import Model, Shape
from trainer.runs.parameters import LEARNING_RATE, NUM_PARAMETERS

Rows = list[tuple[str, str]]


def groups(run: Run, peak: float) -> list[Rows]:
    """Return the groups of the table. peak: floating-point operations a second of the machine."""
    weights = [("weight init method", run.weights)]
    return [_settings(run), _machine(run.model, peak), weights + model_rows(run.model.shape), _batches(run)]


def _machine(model: Model, peak: float) -> Rows:
    """Return the rows about the device and what it reaches."""
    return [
        ("device", machine.device_name(model.device)),
        ("peak TFlops", f"{peak / 1e12:.3g}"),
        ("precision", machine.precision_name(model.dtype)),
    ]


def model_rows(shape: Shape) -> Rows:
    """Return the rows about a model's sizes."""
    return [*shape.size_table(), (NUM_PARAMETERS, str(shape.num_parameters))]


def _settings(run: Run) -> Rows:
    s = run.settings
    return [
        ("train data pattern", s.train_data),
        ("val data pattern", s.val_data),
        ("output log dir", s.output),
        ("checkpoint_every", str(s.checkpoint_every)),
        ("resume", str(int(s.resume))),
        ("micro batch size B", str(s.micro_batch)),
        ("sequence length T", str(s.seq_len)),
        ("total batch size", str(s.tokens_per_update)),
        ("LR scheduler", s.scheduler),
        (LEARNING_RATE, f"{s.learning_rate:e}"),
        ("warmup iterations", str(s.warmup)),
        ("final LR fraction", f"{s.final_fraction:e}"),
        ("weight decay", f"{s.weight_decay:e}"),
        ("skip update lossz", f"{s.skip_loss:f}"),
        ("skip update gradz", f"{s.skip_norm:f}"),
        ("max_steps", str(run.steps)),
        ("early_stopping_steps", str(s.stop_after)),
        ("val_loss_every", str(s.val_every)),
        ("val_max_steps", str(s.val_batches)),
        ("sample_every", str(s.sample_every)),
        ("genT", str(s.sample_tokens)),
        ("overfit_single_batch", str(int(s.overfit))),
        ("use_master_weights", "enabled" if s.masters else "disabled"),
        ("gelu_fusion", "0"),
        ("recompute", str(s.recompute)),
    ]


def _batches(run: Run) -> Rows:
    if run.val_loader is None:
        val = run.settings.val_tokens or 0
        return [("train_num_batches", str(run.steps)), ("val_num_tokens", str(val))]
    batches = run.settings.val_batches
    count = run.val_loader.windows if batches == -1 else batches
    return [("train_num_batches", str(run.steps)), ("val_num_batches", str(count))]
