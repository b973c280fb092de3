"""What the bootstrap runs on a node, where there is no Spark yet: `python -m sparkprep.startup.node compile | check`

`compile` leaves kernels in Numba's cache, and what jobs import compiled beside the packages. `check` lets an
environment show what it can do, and fails where a kernel is not found compiled: each job would then wait for it.
"""

from __future__ import annotations

import compileall
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import sparkprep
from sparkprep.console import guarded, say
from sparkprep.dedup.kernels.cache import VARIABLE
from sparkprep.errors import UserError

IMPORTED = (
    *("numpy", "pandas", "pyarrow.fs", "pyarrow.parquet", "pyarrow.compute", "orjson", "zstandard", "jinja2", "tqdm"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "boto3.s3.transfer", "tiktoken", "fastokens", "regex"),
    *("sparkprep.io.s3", "sparkprep.tokenizer.tokenizer", "sparkprep.startup.kernels"),
)
"""What jobs import but for Spark, which EMR installs after the bootstrap, and what needs it."""
_TEXT, _IDS = "Hello, world", [15496, 11, 995]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the one word asks for; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(words), debug="--debug" in words)


def _run(words: Sequence[str]) -> int:
    acts = {"compile": compile_all, "check": check}
    if len(words) != 1 or words[0] not in acts:
        raise UserError("usage: python -m sparkprep.startup.node compile | check")
    say(acts[words[0]]())
    return 0


def compile_all() -> str:
    """Compile the modules and the kernels that jobs need, as far as they are not; return a line about it."""
    start = time.monotonic()
    compileall.compile_dir(str(Path(sparkprep.__file__).parent), quiet=2)
    for module in IMPORTED:
        importlib.import_module(module)
    modules = time.monotonic() - start
    compiled, loaded, _ = _called()
    seconds = time.monotonic() - start
    return (
        f"{compiled} kernels compiled, and {loaded} found compiled, in {seconds - modules:.0f} s; modules imported in "
        f"{modules:.0f} s; the kernels are in {_place()}"
    )


def check() -> str:
    """Import what jobs import, compare two texts, tokenize one; return a line about it.

    Raises UserError where something is wrong, or a kernel had to be compiled.
    """
    start = time.monotonic()
    for module in IMPORTED:
        importlib.import_module(module)
    from sparkprep.tokenizer.tokenizer import Tokenizer

    compiled, loaded, similarity = _called()
    if not 0.8 < similarity < 0.85:
        raise UserError(f"two texts with a Jaccard similarity of 5/6 are said to have {similarity}: no sound kernels")
    if compiled:
        raise UserError(
            f"{compiled} of the kernels had to be compiled again by user {os.getuid()}, and would be in each job: "
            f"{_place()} does not hold what was compiled, or this user cannot load it"
        )
    ids = Tokenizer().encode_one(_TEXT)
    if ids.tolist() != _IDS:
        raise UserError(f"{_TEXT!r} has the tokens {_IDS}, not {ids.tolist()}: reinstall tiktoken and fastokens")
    return (
        f"works: {len(IMPORTED)} imports, {loaded} kernels loaded as compiled, two texts compared, one tokenized, in "
        f"{time.monotonic() - start:.1f} s"
    )


def _place() -> str:
    return os.environ.get(VARIABLE, "the installation")


def _called() -> tuple[int, int, float]:
    from sparkprep.startup.kernels import call_all, compiled_and_loaded

    similarity = call_all()
    return *compiled_and_loaded(), similarity


if __name__ == "__main__":
    sys.exit(main())
