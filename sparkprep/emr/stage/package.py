"""sparkprep itself, as a cluster gets it: its wheel, its jobs, its bootstrap, and the pins of what it needs.

In a checkout they lie where everybody sees them. An installed sparkprep has them too, as data files of its wheel in
share/sparkprep of the environment, so that a plain `pip install sparkprep` can stage a cluster; its wheel is then
packed again from the installed files. They are no package data, since jobs and bootstrap are no modules: others run
them, and they belong at the top of the tree.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

import sparkprep
from sparkprep.errors import UserError

SHARED = "share/sparkprep/"
"""Where the data files lie in an environment."""
DESCRIPTION = ("pyproject.toml", "README.md", "LICENSE", "constraints.txt")
FOLDERS = ("sparkprep", "jobs", "emr")
"""What a wheel is built from, in a checkout."""
_EPOCH = "315532800"
"""1980, where the time of a ZIP begins: the same sources make the same wheel, to the byte."""
_OF_INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
_NOT_PACKED = shutil.ignore_patterns("__pycache__", "*.egg-info")


@dataclass(frozen=True)
class Package:
    """Where sparkprep's own files lie. root: of the checkout; None where it is installed."""

    root: Path | None
    shared: Mapping[str, Path]
    """jobs/NAME.py, emr/bootstrap.sh and constraints.txt -> file"""

    def write_wheel(self, folder: Path) -> Path:
        """Write the wheel into a folder and return its path. Raises UserError where it cannot be built."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.root is None:
            return _pack_installed(folder)
        with tempfile.TemporaryDirectory() as work:
            source = copy_sources(self.root, Path(work) / "source")
            options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", work)
            pip("wheel", *options, source, environ={"SOURCE_DATE_EPOCH": _EPOCH})
            (built,) = Path(work).glob("*.whl")
            return Path(shutil.copy(built, folder))


def find_package() -> Package:
    """Return where the files of the sparkprep that runs lie.

    Raises UserError where it is neither a checkout nor installed, as in a zip that Spark was given.
    """
    root = Path(sparkprep.__file__).resolve().parents[1]
    if (root / "pyproject.toml").is_file():
        names = (f"{folder}/{path.name}" for folder in FOLDERS[1:] for path in (root / folder).glob("*.*"))
        return Package(root, {name: root / name for name in (*names, "constraints.txt")})
    shared = {
        str(file).partition(SHARED)[2]: Path(os.fspath(file.locate())) for file in _installed() if SHARED in str(file)
    }
    if "emr/bootstrap.sh" not in shared:
        raise UserError(
            f"the sparkprep in {root} brings no jobs and no bootstrap for a cluster: stage from a checkout, or from an "
            "environment into which sparkprep is installed with pip"
        )
    return Package(None, shared)


def copy_sources(root: Path, target: Path) -> Path:
    """Copy what a wheel is built from into a new folder, and return that: setuptools builds in the source's own folder,
    and would pack what an earlier build has left there."""
    for name in FOLDERS:
        shutil.copytree(root / name, target / name, ignore=_NOT_PACKED)
    for name in DESCRIPTION:
        shutil.copy(root / name, target)
    return target


def pip(*words: str | Path, environ: Mapping[str, str] | None = None) -> None:
    """Run pip of this Python. Raises UserError with what it says is wrong."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *map(str, words)]
    done = subprocess.run(
        command, env={**surroundings, **(environ or {})}, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        if "No module named pip" in done.stderr:
            raise UserError(f"{sys.executable} has no pip, which makes the wheelhouse: python -m ensurepip")
        raise UserError(f"pip {words[0]}: {(errors or lines)[-1]}")


def _installed() -> Iterable[metadata.PackagePath]:
    try:
        return metadata.files("sparkprep") or ()
    except metadata.PackageNotFoundError:
        return ()


def _pack_installed(folder: Path) -> Path:
    """Write the wheel of the installed distribution: what its RECORD names, but for what pip has added."""
    found = metadata.distribution("sparkprep")
    name = f"sparkprep-{found.version}"
    tags = [line.removeprefix("Tag: ") for line in (found.read_text("WHEEL") or "").splitlines() if line[:5] == "Tag: "]
    contents = {
        inside: Path(os.fspath(file.locate())).read_bytes()
        for file in _installed()
        if (inside := _name_in_wheel(file, f"{name}.data/data/")) is not None
    }
    record = [f"{inside},{_record_hash(content)},{len(content)}" for inside, content in sorted(contents.items())]
    record_name = f"{name}.dist-info/RECORD"
    contents[record_name] = "\n".join([*record, f"{record_name},,", ""]).encode()
    wheel = folder / f"{name}-{tags[0]}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside in sorted(contents, key=lambda each: (".dist-info/" in each, each)):
            archive.writestr(_zip_entry(inside), contents[inside])
    return wheel


def _name_in_wheel(file: PurePosixPath, data: str) -> str | None:
    if file.suffix == ".pyc" or (file.parent.suffix == ".dist-info" and file.name in _OF_INSTALLER):
        return None
    if SHARED in str(file):
        return f"{data}{SHARED}{str(file).partition(SHARED)[2]}"
    return None if file.parts[0] == ".." else str(file)  # a script, which pip makes of the entry points


def _record_hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o100755 if name.endswith(".sh") else 0o100644) << 16
    return entry
