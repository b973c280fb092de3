"""Where Numba keeps the compiled kernels: beside their sources, or where those may not be written to, elsewhere.

Numba raises at import where it finds no folder: as another user than the one who installed the package, on a read-only
installation, without a home.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from sparkprep.errors import UserError

VARIABLE = "NUMBA_CACHE_DIR"


def have_a_place() -> None:
    """Choose a folder of this user's own, and say so, where Numba would find none.

    The variable of the environment that names it is handed on to the workers. Raises UserError where no folder at all
    can be written to.
    """
    if os.environ.get(VARIABLE) or _is_writable(Path(__file__).parent / "__pycache__") or _is_writable(_of_user()):
        return
    folder = _private_folder()
    os.environ[VARIABLE] = str(folder)
    print(
        f"note: compiled kernels are kept in {folder}, since neither the installation nor a home may be written to; "
        f"where they are not there yet, compiling them takes a minute ({VARIABLE} names another folder)",
        file=sys.stderr,
    )


def _of_user() -> Path:
    """The folder below the user's home that Numba turns to."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "numba"


def _private_folder() -> Path:
    """A folder below the system's temporary one that nobody else can have put something into: Numba unpickles there."""
    try:
        folder = Path(tempfile.gettempdir()) / f"sparkprep-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="sparkprep-kernels-"))
    except OSError as error:
        raise UserError(
            f"no folder for compiled kernels can be written to ({error.strerror or error}): set {VARIABLE} to one"
        ) from error


def _is_writable(folder: Path) -> bool:
    """Whether files can be made there (really tried: permission bits do not tell of read-only mounts)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
