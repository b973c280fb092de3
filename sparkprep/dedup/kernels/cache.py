"""Where Numba keeps the compiled kernels: beside their sources, or where those may not be written to, elsewhere.

Numba uses no folder that it may not write to, and raises at import where it finds none: as another user than the one
who installed the package, on a read-only installation, without a home. What lies compiled beside the sources is copied
to the folder that it will use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from sparkprep.errors import UserError

VARIABLE = "NUMBA_CACHE_DIR"
_BESIDE = Path(os.path.abspath(__file__)).parent / "__pycache__"


def have_a_place() -> None:
    """Choose a folder of this user's own, and say so, where Numba would find none.

    The variable of the environment that names it is handed on to the workers. Raises UserError where no folder at all
    can be written to.
    """
    if os.environ.get(VARIABLE) or _is_writable(_BESIDE):
        return
    folder = _of_user()
    if not _is_writable(folder):
        folder = _private_folder()
        os.environ[VARIABLE] = str(folder)
        print(
            f"note: compiled kernels are kept in {folder}, since neither the installation nor a home may be written "
            f"to; where they are not there yet, compiling them takes a minute ({VARIABLE} names another folder)",
            file=sys.stderr,
        )
    _copy_compiled(folder / _numbas_name(_BESIDE.parent))


def _numbas_name(sources: Path) -> str:
    """Return the name that Numba gives to the folder for the kernels of a folder of sources, within its cache."""
    return f"{sources.name}_{hashlib.sha1(str(sources).encode(), usedforsecurity=False).hexdigest()}"


def _copy_compiled(target: Path) -> None:
    """Copy what lies compiled beside the sources and is not there, or older; where that fails, Numba compiles.

    Whether it is of these sources and this processor, Numba sees for itself. Each index comes after what it names.
    """
    with contextlib.suppress(OSError):
        target.mkdir(exist_ok=True)
        for source in (*sorted(_BESIDE.glob("*.nbc")), *sorted(_BESIDE.glob("*.nbi"))):
            copy = target / source.name
            if not copy.exists() or copy.stat().st_mtime < source.stat().st_mtime:
                aside = target / f".{source.name}.{os.getpid()}"
                shutil.copy2(source, aside)
                os.replace(aside, copy)


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
