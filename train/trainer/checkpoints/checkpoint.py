"""The checkpoints of an output folder, as llm.c lays them out, with a SHA-256 of each file beside them.

A checkpoint of step s is model_s.bin, state_s_00000.bin, checkpoint_s.json (ours: sizes, hashes, what the run was
started with) and the empty DONE_s, s in eight digits. Each file appears whole; DONE comes last, and without it nothing
counts. Checkpoints of llm.c have no .json; they are checked by their sizes and for values that are not finite.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import delete_file, file_names, sha256_of, write_text
from sparkprep.io.json_files import checked_object, read_json
from trainer.checkpoints import model_file, parts, state_file
from trainer.checkpoints.state_file import Moments, StateHeader
from trainer.data.loader import LoaderState
from trainer.models.layout import Model

_DONE = re.compile(r"DONE_(\d{8})")
INTERIM = "interim"
"""In a manifest: the checkpoint was written because of a signal, and goes when the run's next one is whole."""
_OF_A_MODEL = re.compile(r"model_(\d{8})\.bin")


@dataclass(frozen=True)
class Checkpoint:
    """The names of the files of one step in a folder."""

    folder: str
    step: int

    @property
    def model(self) -> str:
        return os.path.join(self.folder, f"model_{self.step:08d}.bin")

    @property
    def state(self) -> str:
        return os.path.join(self.folder, f"state_{self.step:08d}_00000.bin")

    @property
    def manifest(self) -> str:
        return os.path.join(self.folder, f"checkpoint_{self.step:08d}.json")

    @property
    def done(self) -> str:
        return os.path.join(self.folder, f"DONE_{self.step:08d}")


def find(folder: str) -> list[Checkpoint]:
    """Return the complete checkpoints of a folder, the newest first."""
    steps = [int(match[1]) for name in file_names(folder) if (match := _DONE.fullmatch(name))]
    return [Checkpoint(folder, step) for step in sorted(steps, reverse=True)]


def write(
    checkpoint: Checkpoint, model: Model, head: StateHeader, moments: Moments, loader: LoaderState, run: dict[str, Any]
) -> None:
    """Write a checkpoint. run: what else belongs to it, as JSON knows it. Raises UserError where it cannot be written.

    What was there before stays good: a file replaces another of its name only when it is whole. Of a checkpoint that
    cannot be written nothing stays, as what it took may be the room that lacks.
    """
    version = model_file.version_of(model.shape, model.dtype)
    anew = not os.path.exists(checkpoint.done)
    try:
        written = {
            checkpoint.model: model_file.write(checkpoint.model, model.shape, model.flat, version),
            checkpoint.state: state_file.write(checkpoint.state, head, moments, loader),
        }
        _finish(checkpoint, written, model, run)
    except UserError:
        if anew:
            with contextlib.suppress(UserError):
                delete(checkpoint)
        raise


def _finish(checkpoint: Checkpoint, written: dict[str, parts.Written], model: Model, run: dict[str, Any]) -> None:
    """Write what tells of the large files, and DONE."""
    files = {os.path.basename(path): {"bytes": w.bytes, "sha256": w.sha256} for path, w in written.items()}
    content = {"step": checkpoint.step, "architecture": model.shape.NAME, "files": files, **run}
    write_text(checkpoint.manifest, json.dumps(content, indent=1) + "\n")
    sync_folder(checkpoint.folder)  # the names above are on disk before DONE says so
    parts.write(checkpoint.done, ())
    sync_folder(checkpoint.folder)


def read_manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the .json tells; empty for a checkpoint of llm.c. Raises UserError where it is damaged."""
    if not os.path.exists(checkpoint.manifest):
        return {}
    manifest = read_json(checkpoint.manifest, parts.AGAIN, {"files": dict})
    for entry in manifest["files"].values():
        checked_object(entry, checkpoint.manifest, parts.AGAIN, {"bytes": int, "sha256": str})
    return manifest


def architecture_of(manifest: dict[str, Any]) -> str:
    """Return the name of the architecture that a manifest tells; older ones, and those of llm.c, are of GPT-2."""
    return str(manifest.get("architecture", "gpt2"))


def verify(checkpoint: Checkpoint) -> None:
    """Raise UserError, naming the file, where one of a checkpoint is missing or not what was written."""
    for path in (checkpoint.model, checkpoint.state):
        if not os.path.exists(path):
            raise UserError(f"{path}: missing, though {os.path.basename(checkpoint.done)} tells of it")
    manifest = read_manifest(checkpoint)
    with ThreadPoolExecutor(2) as pool:  # hashing 2 GB takes seconds, and does not hold the interpreter
        for _ in pool.map(lambda path: _check(path, manifest), (checkpoint.model, checkpoint.state)):
            pass


def verify_model(path: str) -> None:
    """Raise UserError where a model file lies beside the .json of its checkpoint and is not what that tells."""
    match = _OF_A_MODEL.fullmatch(os.path.basename(path))
    if match and os.path.exists(path):  # that it is not there, its reader tells
        checkpoint = Checkpoint(os.path.dirname(os.path.abspath(path)), int(match[1]))
        _check(path, read_manifest(checkpoint))


def delete(checkpoint: Checkpoint) -> None:
    """Delete a checkpoint; DONE goes first, so that half of one never counts."""
    for path in (checkpoint.done, checkpoint.manifest, checkpoint.state, checkpoint.model):
        delete_file(path)


def prune(folder: str, step: int, every: int, keep: int, keep_multiple: int) -> list[Checkpoint]:
    """Delete checkpoints as -nk and -nm say, and return them.

    Of those at multiples of `every` up to `step` the newest `keep` stay, and multiples of `keep_multiple`, if it is not
    0. Those beyond `step` are no business of a run that stands there.
    """
    superfluous = to_prune(folder, step, every, keep, keep_multiple)
    for each in superfluous:
        delete(each)
    return superfluous


def to_prune(folder: str, step: int, every: int, keep: int, keep_multiple: int) -> list[Checkpoint]:
    """Return the checkpoints that `prune` would delete."""
    if not (every and keep):
        return []
    at_multiples = [each for each in find(folder) if 0 < each.step <= step and each.step % every == 0]
    return [each for each in at_multiples[keep:] if not (keep_multiple and each.step % keep_multiple == 0)]


def delete_interim(folder: str, step: int) -> None:
    """Delete those before `step` that a signal had written: a later one, at which a run saves anyway, stands for them.

    One whose JSON cannot be read stays.
    """
    for each in find(folder):
        with contextlib.suppress(UserError):
            if each.step < step and read_manifest(each).get(INTERIM):
                delete(each)


def size(checkpoint: Checkpoint) -> int:
    """Return the bytes of a checkpoint on disk."""
    paths = (checkpoint.done, checkpoint.manifest, checkpoint.state, checkpoint.model)
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


def bytes_needed(model_bytes: int, parameters: int, *, masters: bool) -> int:
    """Return the bytes of one checkpoint on disk, but for the order of the data, which is small."""
    return model_bytes + 4 * parameters * (3 if masters else 2)


def sync_folder(folder: str) -> None:
    """Sync the names in a folder to disk, which syncing the files does not do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(path: str, manifest: dict[str, Any]) -> None:
    expected = manifest.get("files", {}).get(os.path.basename(path)) if manifest else None
    if expected is None:
        return
    size = os.path.getsize(path)
    if size != expected["bytes"]:
        raise UserError(f"{path}: damaged: {size:,} bytes, and {expected['bytes']:,} were written; {parts.AGAIN}")
    _, sha256 = sha256_of(path)
    if sha256 != expected["sha256"]:
        raise UserError(
            f"{path}: damaged: its SHA-256 is {sha256}, and {expected['sha256']} was written; {parts.AGAIN}"
        )
