"""How a run begins: from random weights, from a model file, or from its newest sound checkpoint (llm.c's rules).

| command line              | weights      | moments    | first step | data          |
| ------------------------- | ------------ | ---------- | ---------- | ------------- |
| neither -e nor -y         | random       | 0          | -ss        | from the start |
| -e FILE                   | FILE         | 0          | -ss        | from the start |
| -y 1, a checkpoint in -o  | checkpoint   | checkpoint | that step  | where it stood |

AdamW's t is the step + 1 in each, so that after -ss its moments, which are 0, are not corrected for their bias.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import torch

from sparkprep.console import safe_text, say, say_line
from sparkprep.errors import UserError
from sparkprep.llmc.shard import ShardFile
from sparkprep.units import human_bytes
from trainer import device as machine
from trainer.checkpoints import checkpoint, model_file
from trainer.checkpoints.folder import earlier_runs, set_aside, size_of
from trainer.data.loader import Loader, open_shards
from trainer.evaluate import hellaswag
from trainer.loop import samples
from trainer.loop.resume import beginning_of, check_beginning, compare, newest_sound, restore_data
from trainer.loop.run import Run, Start, check_length, model_for
from trainer.loop.validation import check_val_tokens
from trainer.models.layout import Model
from trainer.optim.adamw import AdamW
from trainer.optim.outliers import OutlierDetector
from trainer.settings import TrainSettings


def begin(settings: TrainSettings, folder: str) -> Run:
    """Return the run that a command line asks for, in a folder that is held; nothing is changed there.

    Raises UserError for all that does not fit.
    """
    device = machine.choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        machine.make_deterministic()
    checkpoints = checkpoint.find(folder) if settings.resume else []
    if settings.model_file is not None and not checkpoints:
        model_file.read_header(settings.model_file)  # what is named is missed before the shards, which have a default
    loader, val_shards, val_loader = _open_data(settings)
    steps = _steps(settings, loader)
    changes: list[str] = []
    if settings.steps == 0 and not checkpoints and settings.model is None:
        raise UserError("-x 0 evaluates a model: name it with -e, or give -y 1 for the newest checkpoint in -o")
    if checkpoints:
        began = check_beginning(settings, checkpoints[0])
        loaded = newest_sound(settings, checkpoints, device)
        if loaded.files != checkpoints[0]:
            began = check_beginning(settings, loaded.files)
        start = loaded.start
        if settings.steps != 0:  # an evaluation reads none of the data that the run was trained on
            changes = compare(settings, start)
            restore_data(loaded, loader)
    else:
        _warn_of_cut(settings)
        with ThreadPoolExecutor(1) as pool:  # the file is hashed while it is read
            beginning = pool.submit(beginning_of, settings)
            start = _fresh(settings, device)
            began = beginning.result()
    questions, words = _questions(settings, start.model), samples.words_of(settings.tokenizer)
    stop = settings.stop_after if settings.stop_after != -1 else steps or start.step
    _tell_of_epochs(settings, loader, stop)
    return Run(
        settings=settings,
        folder=folder,
        device=device,
        model=start.model,
        optimizer=start.optimizer,
        loader=loader,
        val_shards=val_shards,
        val_loader=val_loader,
        loss_outliers=OutlierDetector(start.manifest.get("outliers", {}).get("loss", ())),
        norm_outliers=OutlierDetector(start.manifest.get("outliers", {}).get("norm", ())),
        step=start.step,
        steps=steps,
        stop=stop,
        resumed=bool(checkpoints),
        began=began,
        changes=changes,
        weights=start.weights,
        questions=questions,
        words=words,
    )


def _open_data(settings: TrainSettings) -> tuple[Loader, list[ShardFile], Loader | None]:
    rows, seq_len = settings.micro_batch, settings.seq_len
    val_shards = open_shards(settings.val_data, "-iv")
    if settings.overfit or settings.steps == 0:
        train, seed, flag = val_shards, None, "-iv"
    else:
        train, seed, flag = open_shards(settings.train_data, "-id"), settings.seed, "-id"
    loader = Loader(train, rows, seq_len, seed, flag)
    if settings.val_tokens is not None:
        check_val_tokens(val_shards, settings.val_tokens, seq_len)
        return loader, val_shards, None
    return loader, val_shards, Loader(val_shards, rows, seq_len, None, "-iv")


def _steps(settings: TrainSettings, loader: Loader) -> int:
    """Return the updates of the schedule: -x, or one epoch, which only the shards tell."""
    if settings.steps != -1:
        return settings.steps
    steps = loader.tokens // settings.tokens_per_update
    if steps == 0:
        raise UserError(
            f"-x -1: the training shards hold {loader.tokens:,} tokens, fewer than one update's "
            f"{settings.tokens_per_update:,} (-d); give a smaller -d, or more shards"
        )
    for flag, value in (("-es", settings.stop_after), ("-ss", settings.start_step)):
        if value > steps:
            raise UserError(
                f"{flag} {value} lies beyond the {steps} steps of one epoch (-x -1); give a smaller {flag}, or -x"
            )
    return steps


def _tell_of_epochs(settings: TrainSettings, loader: Loader, stop: int) -> None:
    """Tell where the steps of the run take more tokens than there are, which begin again then."""
    have = loader.windows * loader.window
    needed = (stop - settings.start_step) * settings.tokens_per_update
    if needed > have and not settings.overfit:
        say_line(
            f"note: steps {settings.start_step} to {stop} take {needed:,} tokens, and the training shards hold "
            f"{have:,}: they are repeated, {needed / have:.1f} epochs in all",
            sys.stderr,
        )


def _fresh(settings: TrainSettings, device: torch.device) -> Start:
    path = settings.model_file
    if path is None:
        dtype = machine.choose_dtype(settings.precision, device)
        model = settings.shape.build(device=device, dtype=dtype, recompute=settings.recompute)
        check_length(settings, model, "a new model")
        model.initialise(settings.seed)
        weights = "random"
    else:
        checkpoint.verify_model(path)
        model = model_for(settings, path, device)
        model_file.load(path, model)
        weights = path
    optimizer = AdamW(model, settings.weight_decay, masters=settings.masters)
    return Start(model, optimizer, settings.start_step, weights)


def _questions(settings: TrainSettings, model: Model) -> hellaswag.Questions | None:
    if not settings.hellaswag:
        return None
    if not os.path.exists(settings.hellaswag_data):
        say_line(
            f"note: {settings.hellaswag_data} is not there, so HellaSwag is left out (-ih; -h 0 leaves it out too)"
        )
        return None
    return hellaswag.prepare(settings.hellaswag_data, model.shape.max_seq_len)


def make_room(run: Run) -> None:
    """Do to the folder of a run what it asks for before it begins: set an earlier run aside, or keep fewer checkpoints.

    Apart from `begin`, so that a command line that is refused leaves all where it was.
    """
    s, folder = run.settings, run.folder
    if run.resumed:
        # What -nk leaves out goes now, and not after the next checkpoint, for which it may be the room that lacks.
        for old in checkpoint.prune(folder, run.step, s.checkpoint_every, s.keep, s.keep_multiple):
            say_line(f"note: deleted the checkpoint of step {old.step} (-nk {s.keep})", sys.stderr)
    elif not s.resume and (moved := set_aside(folder)):
        say_line(
            f"note: {folder} holds an earlier run, and -y 1 is not given; it was moved to {moved} "
            f"({human_bytes(size_of(moved))})",
            sys.stderr,
        )
        for path in earlier_runs(folder)[s.keep_earlier :]:
            say_line(
                f"note: {path} ({human_bytes(size_of(path))}) is deleted when this run has a checkpoint "
                f"(--keep-earlier {s.keep_earlier})",
                sys.stderr,
            )


def _warn_of_cut(settings: TrainSettings) -> None:
    """Warn where resuming was asked for and there is nothing to resume from: often a command that lost its second half.

    With a seed too: where its -ss and -l are lost, the rest of a run becomes a whole one, at twice the price.
    """
    asked = settings.resume and settings.steps != 0
    if not asked or settings.start_step > 0 or "start-step" in settings.given:
        return
    output, seed = safe_text(settings.output), safe_text(settings.model_file or "")
    begins = f"from {seed}, but without -ss," if seed else "from RANDOM weights, as there is no -e,"
    rule = "!" * 100
    say(
        f"{rule}\nwarning: -y 1, and {output} holds no checkpoint: this run starts {begins}\n"
        f"at step 0 with learning rate {settings.learning_rate:g}. Was the command cut in two (a backslash lost at a "
        f"line's end)?\nThen stop it now. Where step 0 is meant, -ss 0 says so.\n{rule}",
        stream=sys.stderr,
    )
