"""How each script of train/ begins: its face is imported, and a package that is not installed is told in one line.

Nothing but Python's own modules is imported here, so that it can be told where all others lack.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

_OUR_OWN = ("trainer", "sparkprep")


def launch(face: str) -> int:
    """Run a module of trainer/commands with the command line and return the exit code, 2 where a package lacks."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of caches that it cannot write, and goes on
    try:
        module = import_module(f"trainer.commands.{face}")
    except ModuleNotFoundError as error:
        if not _can_be_installed(error.name):
            raise
        print(f"error: {not_installed(str(error.name))}", file=sys.stderr)
        return 2
    return int(module.main())


def guarded(work: Callable[[], int], **how: Any) -> int:
    """Do as `console.guarded`, to which `how` goes; a package that is imported late and lacks is a UserError."""
    from sparkprep import console
    from sparkprep.errors import UserError

    def told() -> int:
        try:
            return work()
        except ModuleNotFoundError as error:
            if not _can_be_installed(error.name):
                raise
            raise UserError(not_installed(str(error.name))) from error

    return console.guarded(told, **how)


def not_installed(package: str) -> str:
    """Return what to do where a package lacks."""
    checkout, python = _above(__file__, 3), sys.executable or "python3"
    words = f"{package} is not installed for this Python ({python}); "
    if not os.path.isfile(os.path.join(checkout, "Makefile")):
        return f"{words}`{shlex.join([python, '-m', 'pip', 'install', package])}` installs it"
    make = ["make", *([] if os.path.samefile(checkout, os.curdir) else ["-C", checkout]), "setup-train"]
    own = os.path.join(checkout, ".venv", "bin", "python")
    run = shlex.join(map(_from_here, [own, os.path.join(checkout, "train", os.path.basename(sys.argv[0]))]))
    return (
        f"{words}`{shlex.join(make)}` makes a Python that has it, with which `{run}` runs; "
        f"`{shlex.join([python, '-m', 'pip', 'install', checkout, os.path.join(checkout, 'train')])}` installs it here"
    )


def command_of(script: str) -> str:
    """Return the words that run a script of train/ from here, by the Python that runs now."""
    path = script_path(script)
    words = (sys.executable or "python", path if os.path.exists(path) else f"train/{script}")
    return shlex.join(map(_from_here, words))


def script_path(script: str) -> str:
    """Return where a script of train/ lies."""
    return os.path.join(_above(__file__, 2), script)


def _above(path: str, levels: int) -> str:
    """Return the folder so many levels above a file."""
    path = os.path.abspath(path)
    for _ in range(levels):
        path = os.path.dirname(path)
    return path


def _from_here(path: str) -> str:
    """Return a path as it is typed in the current folder: relative where it lies below, else as it is."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) or not os.path.isabs(path) else relative


def _can_be_installed(name: str | None) -> bool:
    """Return whether a module that was not found is another package's or the whole of ours, rather than a lost file."""
    return name is not None and (name == "sparkprep" or name.split(".")[0] not in _OUR_OWN)
