"""Where Numba keeps the compiled kernels: beside their sources, or where those may not be written to, elsewhere.

Numba uses no folder that it may not write to, not even to read what lies there, and raises at import where it finds
none: as another user than the one who installed the package, on a read-only installation, without a home. What lies
compiled where it may not write is copied to the folder that it will use; and where no folder at all can be written to,
kernels are compiled in each process.

The bootstrap of a cluster's node (`emr/bootstrap.sh`) makes a folder `numba` in the environment and compiles the
kernels into it. It is used without being named, so that a job started by hand finds them too.
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

VARIABLE = "NUMBA_CACHE_DIR"
_PACKAGE = Path(os.path.abspath(__file__)).parents[2]
_SOURCES = (
    *(_PACKAGE / "dedup" / "kernels", _PACKAGE / "extract"),
    *(_PACKAGE / "filter" / "kernels", _PACKAGE / "decontaminate" / "kernels", _PACKAGE / "tokens"),
)
"""The folders of the modules with kernels."""


def have_a_place() -> bool:
    """Choose a folder of this user's own where Numba would find none, and say so; return whether there is any.

    The variable of the environment that names it is handed on to the workers. Without a folder, kernels cannot be kept,
    and a function may not ask Numba for that.
    """
    named = os.environ.get(VARIABLE) or _of_environment()
    compiled = [Path(named) / _numbas_name(source) if named else source / "__pycache__" for source in _SOURCES]
    if all(map(_is_usable, compiled)):
        if named:
            _name(named)
        return True
    folder, is_own = _of_user(), True
    if not all(_is_usable(folder / _numbas_name(source)) for source in _SOURCES):
        private, is_own = _private_folder(), False
        if private is None:
            _say(
                "note: no folder for compiled kernels can be written to: each process compiles what it needs, which "
                f"takes a minute; set {VARIABLE} to a folder"
            )
            return False
        folder = private
    if named or not is_own:
        _name(str(folder))
        which = f"{named} cannot" if named else "neither the installation nor a home can"
        _say(
            f"note: compiled kernels are kept in {folder}, since {which} be written to; where they are not there yet, "
            f"compiling them takes a minute ({VARIABLE} names another folder)"
        )
    for source, place in zip(_SOURCES, compiled, strict=True):
        _copy_compiled(place, folder / _numbas_name(source))
    return True


def _name(folder: str) -> None:
    """Name the folder to Numba and to the workers. Where Numba is imported already, it has looked before."""
    os.environ[VARIABLE] = folder
    if "numba" in sys.modules:
        sys.modules["numba"].core.config.reload_config()


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _of_environment() -> str | None:
    """Return the folder that the environment brings for compiled kernels, if it does."""
    folder = os.path.join(sys.prefix, "numba")
    return folder if os.path.isdir(folder) else None


def _numbas_name(sources: Path) -> str:
    """Return the name that Numba gives to the folder for the kernels of a folder of sources, within its cache."""
    return f"{sources.name}_{hashlib.sha1(str(sources).encode(), usedforsecurity=False).hexdigest()}"


def _copy_compiled(place: Path, target: Path) -> None:
    """Copy what lies compiled in a place and is not there, or older; where that fails, Numba compiles.

    Whether it is of these sources and this processor, Numba sees for itself. Each index comes after what it names.
    """
    with contextlib.suppress(OSError):
        target.mkdir(parents=True, exist_ok=True)
        for source in (*sorted(place.glob("*.nbc")), *sorted(place.glob("*.nbi"))):
            copy = target / source.name
            if not copy.exists() or copy.stat().st_mtime < source.stat().st_mtime:
                aside = target / f".{source.name}.{os.getpid()}"
                shutil.copyfile(source, aside)  # by the process's own mask, so that the index can be replaced
                shutil.copystat(source, aside)
                os.replace(aside, copy)


def _of_user() -> Path:
    """The folder below the user's home that Numba turns to."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "numba"


def _private_folder() -> Path | None:
    """A folder below the system's temporary one that nobody else can have put something into: Numba unpickles there."""
    try:
        folder = Path(tempfile.gettempdir()) / f"sparkprep-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="sparkprep-kernels-"))
    except OSError:
        return None


def _is_usable(folder: Path) -> bool:
    """Whether files can be made there (really tried: permission bits do not tell of read-only mounts), and those that
    are there can be read: an index of another user's that Numba may not read would end the job."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return all(os.access(index, os.R_OK) for index in folder.glob("*.nb?"))
    except OSError:
        return False
