"""Look at the processes that a run has started, and end them, while any of them may end by itself at any moment."""

import contextlib
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Descendant:
    """A process below another one: its number, its parent's, its name and its command line."""

    pid: int
    parent: int
    name: str
    command: tuple[str, ...]


def descendants(pid: int) -> list[Descendant]:
    """List the living processes below `pid`; one that has ended and that its parent has not noticed is left out."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one too
            found.append(Descendant(process.pid, process.ppid(), process.name(), tuple(process.cmdline())))
    return found


def kill(*pids: int) -> None:
    """End processes with SIGKILL, as a system without memory does; one that is gone already is as wanted."""
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
