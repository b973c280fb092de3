"""The commands that messages tell a user to type: each runs as it is printed, in the folder that the program runs in.

Words that a user has to replace are capital letters (DOCUMENTS), so that a line is whole but for them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_PACKAGE)
"""The checkout, where the package lies in one."""


def command(*words: str) -> str:
    """Return `sparkprep WORDS` as a shell takes it, by the Python that runs now and whatever is on PATH."""
    return shlex.join([*(_program("sparkprep") or [_python(), "-m", "sparkprep"]), *words])


def train(*words: str) -> str:
    """Return the command that trains a model, by the Python that runs now; the trainer lies in a checkout alone."""
    script = _of_checkout("train", "train_gpt2.py")
    return shlex.join([_python(), from_here(script) if os.path.isfile(script) else "train/train_gpt2.py", *words])


def make(*words: str) -> str:
    """Return `make WORDS` for the checkout in which the package lies, or for any where it is installed without one."""
    is_here = os.path.realpath(_ROOT) == os.path.realpath(os.curdir) or not os.path.isfile(_of_checkout("Makefile"))
    return shlex.join(["make", *([] if is_here else ["-C", from_here(_ROOT)]), *words])


def job(verb: str) -> list[str]:
    """Return the words behind `spark-submit` that run a verb: its file in jobs/, else the package itself."""
    script = _of_checkout("jobs", f"{verb}.py")
    return [from_here(script)] if os.path.isfile(script) else [os.path.join(_PACKAGE, "__main__.py"), verb]


def spark_submit() -> str:
    """Return what `spark-submit` is to be called so that it is that of the running Python's environment."""
    return (_program("spark-submit") or ["spark-submit"])[0]


def help_of(program: str) -> str:
    """Return the command that shows a program's help. program: as argparse calls it."""
    first, *words = program.split()
    if first == "sparkprep":
        return command(*words, "--help")
    if first == "python":
        return shlex.join([_python(), *words, "--help"])
    if first == os.path.basename(sys.argv[0]) and first.endswith(".py"):
        return shlex.join([_python(), from_here(os.path.abspath(sys.argv[0])), "--help"])
    return f"{program} --help"


def installing() -> str:
    """Return how to come by a Python that has all that the jobs need."""
    if os.path.isfile(_of_checkout("Makefile")):
        return f"`{make('setup')}` makes one that has all there is to have, {in_checkout('.venv', 'bin', 'python')}"
    return f"`{shlex.join([_python(), '-m', 'pip', 'install', 'sparkprep[spark]'])}` installs what is missing"


def in_checkout(*names: str) -> str:
    """Return a place in the checkout as it is typed here."""
    return from_here(_of_checkout(*names))


def from_here(path: str) -> str:
    """Return an absolute path as it is typed in the current folder: relative where it lies below, else as it is."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) or not os.path.isabs(path) else relative


def _of_checkout(*names: str) -> str:
    return os.path.join(_ROOT, *names)


def _python() -> str:
    return from_here(sys.executable) if sys.executable else "python3"


def _program(name: str) -> list[str]:
    """Return the word for a script of this Python's environment, or nothing where that has none of the name."""
    own = os.path.join(os.path.dirname(sys.executable), name)
    if not os.access(own, os.X_OK):
        return []
    on_path = shutil.which(name)
    return [name] if on_path and os.path.samefile(on_path, own) else [from_here(own)]
