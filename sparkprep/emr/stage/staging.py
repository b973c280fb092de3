"""Put what a cluster needs below a prefix on S3: wheelhouse, jobs, bootstrap and graded subsets, and a manifest last.

An object bears the SHA-256 of its file, so that a further staging sends only what is not there. While something is
missing or is another, there is no manifest, and nothing can be launched from the prefix.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sparkprep import __version__
from sparkprep.commands import command
from sparkprep.console import say_line
from sparkprep.emr.places import JOBS, MACHINE, PYTHON_VERSION, Staged
from sparkprep.emr.stage.package import Package, find_package
from sparkprep.emr.stage.wheelhouse import build_wheelhouse
from sparkprep.errors import UserError, argument
from sparkprep.io.aws import bucket_client, code_of, explained
from sparkprep.io.files import delete_file, exists, sha256_of, write_text
from sparkprep.io.json_files import read_json
from sparkprep.io.objects import delete, objects
from sparkprep.io.paths import is_local, normalise, split_s3
from sparkprep.io.run_folders import TRIAL
from sparkprep.io.s3 import is_safe_name, upload
from sparkprep.sample.build import FILES, SIZES, embedded
from sparkprep.units import human_bytes

DEFAULT_SAMPLES = ("10k",)
_SHA256 = "sha256"
"""The name under which an object bears it."""
_ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class StagedFile:
    """One object. key: behind the prefix."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Staging:
    """What lies below a prefix, or would. uploaded, deleted: keys behind the prefix; none of a dry run."""

    place: Staged
    files: tuple[StagedFile, ...]
    uploaded: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files)

    def manifest(self) -> dict[str, Any]:
        """Return what staged.json holds."""
        files = [{"key": file.key, "bytes": file.bytes, "sha256": file.sha256} for file in self.files]
        return {"sparkprep": __version__, "python": PYTHON_VERSION, "machine": MACHINE, "files": files}


def stage(
    prefix: str,
    *,
    wheels_in: str | None = None,
    samples: Sequence[str] = DEFAULT_SAMPLES,
    dry_run: bool = False,
    tell: Callable[[str], object] = say_line,
) -> Staging:
    """Build wheel and wheelhouse, and put them, the jobs, the bootstrap and graded subsets below a prefix on S3.

    wheels_in: a folder with the wheels, which are then not downloaded. samples: sizes of the embedded subsets ("1k",
    "10k") and local folders, each put under its name. dry_run: asks nothing of S3, and tells what would lie there.
    Raises UserError for what is missing or wrong, and for what S3 refuses; a later staging goes on from there.
    """
    place, own_wheels = place_of(prefix), Path(wheels_in).expanduser().resolve() if wheels_in else None
    if own_wheels is not None and not own_wheels.is_dir():
        raise UserError(f"{argument('wheels_in', wheels_in)}: is no folder; name the one with the wheels")
    if not dry_run:
        _try_rights(place)  # says what is wrong before minutes of work
    package = find_package()
    sources = {**_scripts(place, package), **dict(_samples(place, samples, tell))}
    with tempfile.TemporaryDirectory(prefix="sparkprep-wheelhouse-") as folder:
        tell(f"building the wheelhouse: Python {PYTHON_VERSION} on {MACHINE}")
        house = build_wheelhouse(Path(folder), package, own_wheels)
        sources |= {place.key(f"{place.wheelhouse}/{file.name}"): file for file in house.files}
        files = tuple(StagedFile(key, *sha256_of(str(path))) for key, path in sources.items())
        if dry_run:
            for file in files:
                tell(f"would put {human_bytes(file.bytes):>9}  {place.prefix}/{file.key}")
            tell(f"{len(files)} files, {human_bytes(sum(file.bytes for file in files))}, and last {place.manifest}")
            return Staging(place, files)
        return _put(place, files, sources, tell)


def _try_rights(place: Staged) -> None:
    """Do once below the prefix what a staging does there. Raises UserError where one of it may not be done."""
    bucket, key = split_s3(place.prefix)
    client, trial = bucket_client(bucket, place.prefix), f"{key}/{TRIAL}"
    next(objects(client, bucket, f"{key}/", place.prefix), None)
    with explained(place.prefix):
        client.put_object(Bucket=bucket, Key=trial, Body=b"")
        client.head_object(Bucket=bucket, Key=trial)
    delete(client, bucket, [trial], place.prefix)


def place_of(prefix: str) -> Staged:
    """Return the places below a prefix. Raises UserError for what is no folder of a bucket."""
    if is_local(prefix):
        raise UserError(f"{argument('prefix', prefix)}: a cluster reads from S3; give s3://BUCKET/PREFIX")
    _, key = split_s3(prefix)
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise UserError(f"{argument('prefix', prefix)}: name a folder of the bucket, as in s3://BUCKET/sparkprep")
    return Staged(normalise(prefix))


def read_staged(place: Staged) -> dict[str, Any]:
    """Return staged.json. Raises UserError where nothing was staged, or by an sparkprep of another version."""
    advice = f"stage it: {command('emr', 'stage', place.prefix)}"
    if not exists(place.manifest):
        raise UserError(f"{place.prefix} holds no staged.json: nothing was staged there, or not to its end; {advice}")
    manifest = read_json(place.manifest, advice, {"sparkprep": str, "python": str, "machine": str, "files": list})
    if manifest["sparkprep"] != __version__:
        by = manifest["sparkprep"]
        raise UserError(f"{place.manifest}: was staged by sparkprep {by}, and this is {__version__}; {advice}")
    return manifest


def _scripts(place: Staged, package: Package) -> dict[str, Path]:
    jobs = {place.key(place.job(name)): package.shared[f"jobs/{name}"] for name in JOBS}
    return {place.key(place.bootstrap): package.shared["emr/bootstrap.sh"], **jobs}


def _samples(place: Staged, samples: Sequence[str], tell: Callable[[str], object]) -> Iterator[tuple[str, Path]]:
    """Yield (key behind the prefix, file) of the subsets: of a folder like those built in, the truth goes apart."""
    for sample in samples:
        if sample in SIZES:
            folder = embedded(sample, announce=tell).directory  # type: ignore[arg-type]  # it is one of them
            files = [folder / name for name in FILES]
        else:
            folder = Path(sample).expanduser().resolve()
            files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
            if not files or not is_safe_name(folder.name):
                sizes = " and ".join(SIZES)
                raise UserError(f"{argument('samples', sample)}: is no folder with files; the sizes are {sizes}")
        truth = {folder / name for name in FILES[1:]} if folder / FILES[0] in files else set()
        for file in files:
            below = place.truth if file in truth else place.samples
            yield place.key(f"{below}/{folder.name}/{file.relative_to(folder).as_posix()}"), file


def _put(
    place: Staged, files: Sequence[StagedFile], sources: Mapping[str, Path], tell: Callable[[str], object]
) -> Staging:
    """Make what lies below the prefix what the files are: the manifest goes first where something differs, and comes
    last."""
    bucket, key = split_s3(place.prefix)
    client = bucket_client(bucket, place.prefix)
    there = {name[len(key) + 1 :] for name in objects(client, bucket, f"{key}/", place.prefix)}
    before = _former_files(place, place.key(place.manifest) in there)
    wheelhouse = f"{place.key(place.wheelhouse)}/"
    stale = sorted(name for name in there if name not in sources and _is_stale(name, wheelhouse, place, sources))
    kept = tuple(file for file in before if _stays(place, file, files) and file.key in there.difference(stale))
    staging = Staging(place, (*files, *kept))
    missing = _differing(client, bucket, key, [file for file in files if file.key in there], place.prefix)
    missing += [file for file in files if file.key not in there]
    manifest = json.dumps(staging.manifest(), indent=1) + "\n"
    if not missing and not stale and before == staging.files:
        tell(f"{place.prefix} holds all {len(files)} files as they are, {human_bytes(staging.bytes)}")
        return staging
    delete_file(place.manifest)
    for file in missing:
        tell(f"{human_bytes(file.bytes):>9}  {file.key}")
        source = str(sources[file.key])
        failure = upload(client, bucket, f"{key}/{file.key}", source, lambda sent: None, {_SHA256: file.sha256})
        if failure is not None:
            raise UserError(f"{failure}; what was sent stays, and the same command goes on from there")
    write_text(place.manifest, manifest)
    delete(client, bucket, [f"{key}/{name}" for name in stale], place.prefix)
    tell(
        f"staged {place.prefix}: {len(files)} files, {human_bytes(staging.bytes)}; {len(missing)} sent, "
        f"{len(files) - len(missing)} were there, {len(stale)} old ones deleted"
    )
    return Staging(place, staging.files, tuple(file.key for file in missing), tuple(stale))


def _former_files(place: Staged, is_there: bool) -> tuple[StagedFile, ...]:
    """Return what the manifest names that lies there; none where there is none that can be read."""
    if not is_there:
        return ()
    try:
        manifest = read_json(place.manifest, "", {"files": list})
        return tuple(StagedFile(**file) for file in manifest["files"])
    except (UserError, TypeError):
        return ()


def _stays(place: Staged, file: StagedFile, files: Sequence[StagedFile]) -> bool:
    """Return whether a file of an earlier staging is a subset that this one does not speak of."""
    of_subset = file.key.startswith((f"{place.key(place.samples)}/", f"{place.key(place.truth)}/"))
    return of_subset and file.key not in {each.key for each in files}


def _is_stale(name: str, wheelhouse: str, place: Staged, sources: Mapping[str, Path]) -> bool:
    """Return whether an object is an old wheel, or truth that lay beside the documents in earlier versions."""
    samples, truth = (f"{place.key(each)}/" for each in (place.samples, place.truth))
    was_truth = name.startswith(samples) and f"{truth}{name.removeprefix(samples)}" in sources
    return name.startswith(wheelhouse) or was_truth


def _differing(client: Any, bucket: str, key: str, files: Sequence[StagedFile], subject: str) -> list[StagedFile]:
    """Return those of some files whose objects do not bear their SHA-256 and size."""

    def is_same(file: StagedFile) -> bool:
        try:
            head = client.head_object(Bucket=bucket, Key=f"{key}/{file.key}")
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchKey", "NotFound"):
                return False  # it has just been deleted
            raise
        return bool(head["ContentLength"] == file.bytes and head["Metadata"].get(_SHA256) == file.sha256)

    with explained(subject), ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
        return [file for file, same in zip(files, asking.map(is_same, files), strict=True) if not same]
