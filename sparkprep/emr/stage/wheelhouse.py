"""The wheelhouse of a cluster: the wheels of sparkprep and of all that it needs, pinned, for a node's kind of machine.

    NAME.whl ...        for Python 3.11 on x86_64 with the glibc of Amazon Linux 2023
    requirements.txt    NAME==VERSION --hash=sha256:..., from which the bootstrap installs, and nothing else
    wheelhouse.json     what kind of node it is for, sizes, the wheels

pip chooses the versions by the project's pins. Whether they are complete, and each for such a node, is looked at here
once more: pip judges conditions such as `platform_system` by the machine that it runs on.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from sparkprep.emr.places import MACHINE, PYTHON_VERSION
from sparkprep.emr.stage.package import Package, pip
from sparkprep.errors import UserError
from sparkprep.io.files import sha256_of, write_text

REQUIREMENTS = "requirements.txt"
MANIFEST = "wheelhouse.json"
NEVER = {
    "pyspark": "it would take the place of the cluster's own Spark",
    "torch": "it brings gigabytes to nodes that never train",
}
_MINOR = int(PYTHON_VERSION.split(".")[1])
_GLIBC_MINOR = 34
"""Of Amazon Linux 2023."""
_PLATFORMS = (
    *(f"manylinux_2_{minor}_{MACHINE}" for minor in range(_GLIBC_MINOR, 4, -1)),
    *(f"manylinux{year}_{MACHINE}" for year in ("2014", "2010", "1")),
    f"linux_{MACHINE}",
)
_TAGS = frozenset(
    (
        *cpython_tags((3, _MINOR), platforms=_PLATFORMS),
        *compatible_tags((3, _MINOR), f"cp3{_MINOR}", platforms=_PLATFORMS),
    )
)
_NODE = f"Python {PYTHON_VERSION} on {MACHINE} (manylinux up to 2.{_GLIBC_MINOR})"
_SURROUNDINGS = {
    "implementation_name": "cpython",
    "implementation_version": f"{PYTHON_VERSION}.0",
    "os_name": "posix",
    "platform_machine": MACHINE,
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": f"{PYTHON_VERSION}.0",
    "python_version": PYTHON_VERSION,
    "sys_platform": "linux",
}
"""What the conditions of a requirement look at (PEP 508), on a node."""
_ROOT = "sparkprep"


@dataclass(frozen=True)
class Wheel:
    """One wheel. installed_bytes: of its files when they are unpacked."""

    file: str
    name: str
    version: str
    bytes: int
    installed_bytes: int
    sha256: str


@dataclass(frozen=True)
class Wheelhouse:
    """A folder with a complete set of wheels."""

    folder: Path
    wheels: tuple[Wheel, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """What is to be uploaded: the wheels, then what names them."""
        return tuple(self.folder / name for name in (*(wheel.file for wheel in self.wheels), REQUIREMENTS, MANIFEST))

    @property
    def bytes(self) -> int:
        """Of all wheels."""
        return sum(wheel.bytes for wheel in self.wheels)


def build_wheelhouse(folder: Path, package: Package, wheels_in: Path | None = None) -> Wheelhouse:
    """Fill an empty folder with the wheels for a node, and return what is in it.

    wheels_in: a folder to take the wheels from, instead of a package index: then nothing is asked of the network.
    Raises UserError that names the requirement or the wheel where one is missing or is for another kind of node.
    """
    with tempfile.TemporaryDirectory() as own:
        wheel = package.write_wheel(Path(own))
        pins = package.shared["constraints.txt"]
        left_aside: Mapping[str, list[str]] = {}
        if wheels_in is None:
            pip("download", *_kind_of_node(), "--constraint", pins, "--dest", folder, wheel)
        else:
            shutil.copy(wheel, folder)
            left_aside = _take(folder, wheels_in, _pinned(pins) | {_ROOT: _version_of(wheel)})
    wheels = tuple(_needed(look_at_wheels(folder), folder, left_aside))
    _write_requirements(folder, wheels)
    _write_manifest(folder, wheels)
    return Wheelhouse(folder, wheels)


def look_at_wheels(folder: Path) -> list[Wheel]:
    """Return the wheels of a folder. Raises UserError for one that is damaged or for another kind of node."""
    wheels = []
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
            with zipfile.ZipFile(path) as archive:
                installed = sum(entry.file_size for entry in archive.infolist())
        except (InvalidWheelFilename, zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{path}: no sound wheel ({error}); delete it, and stage again") from error
        if not tags & _TAGS:
            raise UserError(f"{path}: is for {_shown(tags)}, and a node has {_NODE}; put a wheel for that in its place")
        size, digest = sha256_of(str(path))
        wheels.append(Wheel(path.name, name, str(version), size, installed, digest))
    return wheels


def _kind_of_node() -> Sequence[str]:
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    version = ("--python-version", PYTHON_VERSION, "--implementation", "cp", "--abi", f"cp3{_MINOR}")
    return ("--only-binary=:all:", *version, *platforms)


def _pinned(pins: Path) -> dict[str, str]:
    """Return name -> version of a file of pins."""
    lines = (line.partition("==") for line in pins.read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(name): version.strip() for name, mark, version in lines if mark and name[:1] != "#"}


def _version_of(wheel: Path) -> str:
    return str(parse_wheel_filename(wheel.name)[1])


def _take(folder: Path, wheels_in: Path, pins: Mapping[str, str]) -> Mapping[str, list[str]]:
    """Copy the wheels of a folder that the pins allow and a node can use; return the others' names by package."""
    left_aside: dict[str, list[str]] = {}
    for path in sorted(wheels_in.iterdir()):
        name = canonicalize_name(path.name.split("-")[0])
        with contextlib.suppress(InvalidWheelFilename):
            name, version, _, tags = parse_wheel_filename(path.name)
            if tags & _TAGS and pins.get(name, str(version)) == str(version):
                if not (folder / path.name).exists():
                    shutil.copy(path, folder)
                continue
        left_aside.setdefault(name, []).append(path.name)
    return left_aside


def _needed(wheels: Sequence[Wheel], folder: Path, left_aside: Mapping[str, list[str]]) -> Iterator[Wheel]:
    """Yield the wheels that are needed, by name. Raises UserError where one is missing, or must not be there."""
    by_name = {wheel.name: wheel for wheel in sorted(wheels, key=lambda wheel: Version(wheel.version))}
    waiting: list[tuple[str, frozenset[str]]] = [(_ROOT, frozenset())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        file = by_name[name].file
        for requirement in _requirements(folder / file, extras):
            other = canonicalize_name(requirement.name)
            if other in NEVER:
                raise UserError(f"{file} requires {requirement}: {NEVER[other]}; it may be an extra only")
            there = by_name.get(other)
            if there is None or not requirement.specifier.contains(there.version, prereleases=True):
                others = [there.file] if there else left_aside.get(other, [])
                has = f"there is {', '.join(others)}, which does not do" if others else "there is none"
                raise UserError(f"{file} requires {requirement}, as a wheel for {_NODE}: {has}; mend that, or the pins")
            waiting.append((other, frozenset(requirement.extras)))
    names = {name for name, _ in seen}
    yield from (by_name[name] for name in sorted(names))


def _requirements(wheel: Path, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield what a wheel requires on a node. Raises UserError where it does not run on a node's Python."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        headers = Parser().parsestr(archive.read(name).decode("utf-8", "replace"), headersonly=True)
    if not SpecifierSet(headers.get("Requires-Python") or "").contains(_SURROUNDINGS["python_full_version"]):
        raise UserError(f"{wheel.name} runs on Python {headers['Requires-Python']}, and a node has {PYTHON_VERSION}")
    for line in headers.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**_SURROUNDINGS, "extra": extra}) for extra in {"", *extras}):
            yield requirement


def _write_requirements(folder: Path, wheels: Sequence[Wheel]) -> None:
    lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in wheels]
    write_text(str(folder / REQUIREMENTS), "\n".join([f"# For {_NODE}; for pip with --require-hashes.", *lines, ""]))


def _write_manifest(folder: Path, wheels: Sequence[Wheel]) -> None:
    manifest: Mapping[str, object] = {
        "python": PYTHON_VERSION,
        "machine": MACHINE,
        "glibc": f"2.{_GLIBC_MINOR}",
        "sparkprep": next(wheel.version for wheel in wheels if wheel.name == _ROOT),
        "bytes": sum(wheel.bytes for wheel in wheels),
        "installed_bytes": sum(wheel.installed_bytes for wheel in wheels),
        "wheels": [asdict(wheel) for wheel in wheels],
    }
    write_text(str(folder / MANIFEST), json.dumps(manifest, indent=1) + "\n")


def _shown(tags: frozenset[Tag]) -> str:
    return ", ".join(sorted(map(str, tags)))
