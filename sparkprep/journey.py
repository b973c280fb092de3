"""The way of the data from job to job: the command that goes on from what a job has made, as its last line says it."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sparkprep.commands import command, train
from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.io.paths import is_local, join_path

_FILTERED, _CLEAN, _TOKENS, _SHARDS, _RUN = "good", "clean", "tokens", "shards", "log"
_MOST_TRIED = 100
MICRO_BATCH = (64, 1024)
"""Rows and tokens in each, as the trainer has them by default."""
_COLUMNS = ("text_column", "id_column")


def tell_next(verb: str, output: str, settings: Mapping[str, Any] | None = None) -> None:
    """Print the command that goes on from the result of a verb, and where there is another way, that too.

    output: as the user gave it; of shards, `tell_training` tells. settings: of the run that has ended; columns
    that it was told of go on to the next.
    """
    columns = _columns_of(settings or {})
    if verb == "extract":
        _say("Next", command("filter", "--input", output, "--output", _beside(output, _FILTERED)))
        _say("or at once", command("dedup", "--input", output, "--output", _beside(output, _CLEAN)))
    elif verb == "filter":
        _say("Next", command("dedup", "--input", output, "--output", _beside(output, _CLEAN), *columns))
    elif verb in ("dedup", "decontaminate"):
        _say("Next", command("tokenize", "--input", output, "--output", _beside(output, _TOKENS), *columns))
    elif verb == "tokenize":
        _say("Next", command("shards", "--input", output, "--output", _beside(output, _SHARDS)))
    else:
        raise ValueError(verb)


def tell_training(folder: str, name: str, shortest: int) -> None:
    """Print how a model is trained on a folder of shards.

    name: what their files begin with. shortest: tokens of the shard that has fewest, each of which must hold a
    micro-batch.
    """
    if not is_local(folder):  # the trainer maps them into memory
        here = _beside(folder.rstrip("/").rpartition("/")[2], _SHARDS)
        _say("Next", shlex.join(["aws", "s3", "sync", folder, here]))
        folder = here
        _say("then", _training(folder, name, shortest))
        return
    _say("Next", _training(folder, name, shortest))


def _training(folder: str, name: str, shortest: int) -> str:
    shards = [join_path(glob.escape(folder), f"{name}_{split}_*.bin") for split in ("train", "val")]
    return train("-id", shards[0], "-iv", shards[1], "-o", _beside(folder, _RUN), *_micro_batch(shortest))


def _micro_batch(shortest: int) -> list[str]:
    """Return the flags for micro-batches of which a shard of so many tokens holds one, and one token more.

    They are powers of two, which divide the tokens of an update as the trainer has it.
    """
    rows, length = MICRO_BATCH
    words: list[str] = []
    if shortest <= rows * length:
        rows = 1 << max(1, (shortest - 1) // length).bit_length() - 1
        words = ["-b", str(rows)]
    if shortest <= rows * length:
        words += ["-t", str(1 << max(1, shortest - 1).bit_length() - 1)]
    return words


def _say(word: str, line: str) -> None:
    say_line(f"{word}: {line}")


def _columns_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the flags for columns that are not called as they are by default."""
    words = []
    for name, default in zip(_COLUMNS, ("text", None), strict=True):
        if (value := settings.get(name, default)) != default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def _beside(output: str, name: str) -> str:
    """Return a folder of this name beside a result, another where there is one already.

    Beside a bucket there is none: FOLDER stands for one to be named.
    """
    parent, _, last = output.rstrip("/").rpartition("/")
    if parent.endswith(":/") or last in ("", ".", ".."):
        return "FOLDER"
    above = f"{parent}/" if parent or output.startswith("/") else ""
    for number in range(1, _MOST_TRIED):
        place = f"{above}{name}" if number == 1 else f"{above}{name}-{number}"
        with suppress(UserError, OSError):  # who may not look there may write there all the same
            if exists(place):
                continue
        return place
    return "FOLDER"
