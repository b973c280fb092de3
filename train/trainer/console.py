"""What every script of the trainer shares: how an error is told on the terminal, and the exit code that it becomes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable

from sparkprep.errors import UserError

USER_ERROR = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def guarded(work: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a script's work and return its exit code.

    A UserError becomes one line `error: ...` on stderr and 2, Ctrl-C becomes `interrupted` and 130, a reader of our
    output that has gone (as in `| head`) becomes 141. With `args.debug` the traceback of the first two is printed too.
    Anything else is a fault of ours and propagates.
    """
    try:
        code = work(args)
        sys.stdout.flush()  # a reader that has gone is met here rather than at interpreter exit
        return code
    except UserError as error:
        _trace(args)
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        _trace(args)
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit: into nothing, or it would print a traceback after all.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def add_debug(parser: argparse.ArgumentParser) -> None:
    """The flag that `guarded` looks at."""
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error too")


def _trace(args: argparse.Namespace) -> None:
    if getattr(args, "debug", False):
        traceback.print_exc()
