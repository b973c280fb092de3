"""What a run that did not come to its end has noted in its folder, so that a later one may go on from it.

Beside what is built lies a folder `_resume`: manifest.json (what was asked for), input.json (the files, as they were),
stages/NAME.json (a stage that has ended) and parts/NAME/NUMBER.json (a part of one that has not). None of it is read
but by a run that is to go on, and none of it becomes part of a result.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.fs as pafs

from sparkprep import __version__
from sparkprep.commands import command
from sparkprep.errors import UserError, argument
from sparkprep.io.files import exists, file_names, make_folder, write_text
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import filesystem, is_local, join_path, lies_in, split_s3
from sparkprep.units import counted

NOTES = "_resume"
FORMAT = 1
_MANIFEST, _INPUT = "manifest.json", "input.json"
_OWNER = "_resume_of.json"
"""In a folder of tables that lies elsewhere: whose they are."""
_ADVICE = "run without resuming, which starts anew"
_RUN_ID = re.compile("[0-9a-f]{8}")


@dataclass(frozen=True)
class Asked:
    """What a run is to do, as far as its answer depends on it.

    options: by their names in Python. files: path, bytes and time of change (ns) of each file of the input. scratch:
    where its tables lie. tasks: that ran at once, by which the input was cut into pieces.
    """

    job: str
    options: Mapping[str, Any]
    files: Sequence[tuple[str, int, int]]
    scratch: str
    tasks: int


@dataclass(frozen=True)
class Earlier:
    """A run that did not come to its end. path: its folder. manifest: as it lies there."""

    run_id: str
    path: str
    manifest: dict[str, Any]

    @property
    def tasks(self) -> int:
        return int(self.manifest["tasks"])

    @property
    def runs(self) -> int:
        """How many runs have worked on it."""
        return int(self.manifest["runs"])


def find_earlier(stem: str) -> Earlier | None:
    """Return the run that worked last in a folder `<stem><run id>` and has noted there what it has done; or None.

    Whether it still lives is not looked at. Raises UserError where its manifest cannot be read.
    """
    runs = [(run_id, stem + run_id) for run_id in _run_ids(stem)]
    noted = [Earlier(run_id, path, _manifest(path)) for run_id, path in runs if exists(_in(path, _MANIFEST))]
    return max(noted, key=lambda each: (each.manifest["begun"], each.run_id), default=None)


def finished(path: str) -> list[str]:
    """Return what the run of a folder has finished, in that order: names of stages, then "3 parts of write".

    Nothing where it has noted none, or its notes cannot be read.
    """
    keys = {"order": int, "is_told": bool, "stages": list}
    try:
        if not exists(_in(path, _MANIFEST)):
            return []
        names = [name.removesuffix(".json") for name in file_names(_in(path, "stages"))]
        records = [read_json(stage_file(path, name), _ADVICE, keys) for name in names]
        parts = _noted_parts(path)
    except (UserError, OSError):
        return []
    told = sorted((record for record in records if record["is_told"]), key=lambda record: int(record["order"]))
    stages = [stage["name"] for record in told for stage in record["stages"]]
    return [*stages, *(f"{counted(number, 'part')} of {name}" for name, number in parts.items() if name not in names)]


def of_resuming(path: str) -> str:
    """Return what `--resume` would go on from in a folder that is to be removed; nothing where there is nothing."""
    done = finished(path)
    return f"{argument('resume', True)} would go on from there ({', '.join(done)})" if done else ""


def _noted_parts(path: str) -> dict[str, int]:
    """Return how many parts of each stage are noted."""
    system, inner = filesystem(_in(path, "parts"))
    notes = system.get_file_info(pafs.FileSelector(inner, recursive=True, allow_not_found=True))
    return dict(Counter(note.path.split("/")[-2] for note in notes if note.type == pafs.FileType.File))


def stage_file(path: str, name: str) -> str:
    """Return where a stage of the run of a folder notes its end."""
    return _in(path, "stages", f"{name}.json")


def parts_folder(path: str, name: str) -> str:
    """Return where the tasks of a stage note their parts."""
    return _in(path, "parts", name)


def write_manifest(path: str, asked: Asked, runs: int) -> None:
    """Write what a run was asked for into its folder. Raises UserError."""
    make_folder(_in(path))
    listed = {"version": FORMAT, "files": [list(file) for file in asked.files]}
    write_text(_in(path, _INPUT), json.dumps(listed) + "\n")
    manifest = {
        "version": FORMAT,
        "sparkprep": __version__,
        "job": asked.job,
        "options": asked.options,
        "scratch": asked.scratch,
        "tasks": asked.tasks,
        "begun": datetime.now(UTC).isoformat(timespec="microseconds"),
        "runs": runs,
    }
    write_text(_in(path, _MANIFEST), json.dumps(manifest, indent=1) + "\n")
    if not lies_in(asked.scratch, path):
        write_text(join_path(asked.scratch, _OWNER), json.dumps({"version": FORMAT, "of": path}) + "\n")


def is_needed(scratch: str) -> bool:
    """Return whether a folder holds the tables of a run of another output that can still be gone on from."""
    try:
        owner = join_path(scratch, _OWNER)
        return exists(owner) and exists(_in(read_json(owner, _ADVICE, {"of": str})["of"], _MANIFEST))
    except UserError:
        return False


def check_same(earlier: Earlier, asked: Asked, free: Sequence[str] = ()) -> None:
    """Raise UserError, which names what is another now, where a run cannot go on from an earlier one.

    free: options on which the answer does not depend.
    """
    before = earlier.manifest
    what = (
        _other_program(before, asked)
        or _other_options(before["options"], json.loads(json.dumps(dict(asked.options))), free)
        or _other_input(earlier.path, asked.files)
    )
    if what is None and before["scratch"] != asked.scratch:
        what = f"its tables lie in {before['scratch']}, and {argument('work')} now names another place"
    if what is not None:
        raise UserError(
            f"{earlier.path}: what an earlier run has left there is not gone on from: {what}; make that as it was, or "
            f"run without {argument('resume', True)} to start anew; to remove it: {command('clean', earlier.path)}"
        )


def fingerprint(asked: Asked, free: Sequence[str] = ()) -> str:
    """Return a hash (SHA-256) of what a run is asked for, by which its finished result is known again.

    free: options on which the answer does not depend.
    """
    options = {name: value for name, value in asked.options.items() if name not in free}
    what = [__version__, asked.job, options, [list(file) for file in asked.files]]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def fingerprint_of(metrics: str) -> str | None:
    """Return the fingerprint of the run that has made the result with these metrics; None where they have none."""
    try:
        found = read_json(metrics, _ADVICE).get("fingerprint")
    except UserError:
        return None
    return found if isinstance(found, str) else None


def _other_program(before: Mapping[str, Any], asked: Asked) -> str | None:
    if before["sparkprep"] != __version__:
        return f"it was made by sparkprep {before['sparkprep']}, and this is {__version__}"
    if before["job"] != asked.job:
        return f"it was made by `{before['job']}`, and this is `{asked.job}`"
    return None


def _other_options(before: Mapping[str, Any], now: Mapping[str, Any], free: Sequence[str]) -> str | None:
    for name in sorted(before.keys() | now.keys()):
        if name not in free and before.get(name) != now.get(name):
            return f"{argument(name)} was {_shown(before.get(name))}, and is {_shown(now.get(name))}"
    return None


def _shown(value: object) -> str:
    return "not given" if value is None else json.dumps(value)


def _other_input(path: str, files: Sequence[tuple[str, int, int]]) -> str | None:
    """Return the first file that is not what it was."""
    before = {file[0]: file for file in _content(_in(path, _INPUT), {"files": list})["files"]}
    now = {file[0]: file for file in files}
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            return f"{name} was read by it, and is not in the input now"
        if name not in before:
            return f"{name} is in the input now, and was not then"
        (_, size, time), (_, size_now, time_now) = before[name], now[name]
        if size != size_now:
            return f"{name} had {size:,} bytes, and has {size_now:,}"
        if time != time_now:
            return f"{name} was last changed {_time(time)}, and now {_time(time_now)}"
    return None


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(sep=" ", timespec="milliseconds")


def _manifest(path: str) -> dict[str, Any]:
    keys = {"sparkprep": str, "job": str, "options": dict, "scratch": str, "tasks": int, "begun": str, "runs": int}
    return _content(_in(path, _MANIFEST), keys)


def _content(path: str, keys: Mapping[str, type]) -> dict[str, Any]:
    """Return what a file of notes holds. Raises UserError for one of a later format too."""
    content = read_json(path, _ADVICE, {"version": int})
    if content["version"] != FORMAT:
        raise UserError(
            f"{path}: was written by another version of sparkprep (format {content['version']}; this one knows "
            f"{FORMAT}): go on with that version, or run without {argument('resume', True)} to start anew"
        )
    return read_json(path, _ADVICE, keys)


def _in(path: str, *names: str) -> str:
    return join_path(path, NOTES, *names)


def _run_ids(stem: str) -> list[str]:
    if is_local(stem):
        names = [os.path.basename(path)[len(os.path.basename(stem)) :] for path in glob.glob(glob.escape(stem) + "*")]
    else:
        from sparkprep.io.aws import bucket_client
        from sparkprep.io.objects import folders  # with boto3, which local work need not wait for

        bucket, prefix = split_s3(stem)
        names = list(folders(bucket_client(bucket, stem), bucket, prefix))
    return [name for name in names if _RUN_ID.fullmatch(name)]
