"""What a cluster has left, brought here: logs, reports, shards; a folder for each run, which holds that run alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparkprep.emr.jobs import output_of
from sparkprep.emr.running.brought import Brought
from sparkprep.emr.running.clusters import Cluster, Step
from sparkprep.errors import UserError
from sparkprep.io.aws import bucket_client, explained
from sparkprep.io.files import sha256_of
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import join_path, normalise, scheme_of, split_s3, without_credentials
from sparkprep.io.s3 import download, is_safe_name

PARTS = ("logs", "reports", "shards", "rows")
_REPORTS = re.compile(r"(metrics\.json|_metrics\.json|report\.html|manifest\.json)")
_SHARDS = re.compile(r".*\.bin|manifest\.json")
_LISTS = ("manifest.json", "metrics.json", "_metrics.json")
"""Which of its files a job's output has, with their SHA-256."""
_S3 = re.compile(r"s3[an]?:", re.IGNORECASE)


@dataclass(frozen=True)
class Download:
    """An object and where it goes: "" where no file can have its name.

    size: bytes. etag: what S3 calls those bytes. sha256: what the run's own list tells of them, "" where it does not.
    """

    uri: str
    path: str
    size: int
    etag: str
    sha256: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether it can be a file within the folder."""
        return bool(self.path)

    def is_there(self, brought: Brought) -> bool:
        """Return whether it has been brought, and lies there as it was."""
        has_size = os.path.isfile(self.path) and os.path.getsize(self.path) == self.size
        return has_size and brought.is_whole(self.path, self.uri, self.etag, self.sha256)


def check_parts(text: str) -> tuple[str, ...]:
    """Return the parts that a list with commas names. Raises UserError for a name that is none."""
    names = tuple(each.strip() for each in text.split(",") if each.strip())
    for name in names:
        if name not in PARTS:
            raise UserError(f"--parts: {name!r} is none of {', '.join(PARTS)}")
    if not names:
        raise UserError(f"--parts: names none; there are {', '.join(PARTS)}")
    return names


def check_folder(text: str) -> str:
    """Return a folder of this machine, or where one can be made.

    Raises UserError for a place elsewhere, for which a folder named `s3:` would be made, and for a file.
    """
    folder = normalise(text) if scheme_of(text) == "file" else text
    if scheme_of(folder) or _S3.match(folder):
        raise UserError(
            f"FOLDER {without_credentials(text)}: is no folder of this machine, to which results are brought; name "
            "one (from bucket to bucket, `aws s3 cp --recursive` copies)"
        )
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UserError(f"FOLDER {folder}: is a file; name a folder")
    return folder


def runs_of(steps: Sequence[Step], chosen: str | None = None) -> dict[str, list[str]]:
    """Return the runs of a cluster, each with the outputs of its jobs: a run is the prefix that they lie in.

    chosen: the one that is meant. Raises UserError where there is no such run, and where two would have one folder.
    """
    runs: dict[str, list[str]] = {}
    for output in dict.fromkeys(filter(None, (output_of(step.args) for step in steps))):
        if _S3.match(output) and split_s3(output)[1]:  # a step of another's may write to HDFS
            place = normalise(output)
            runs.setdefault(place.rpartition("/")[0], []).append(place)
    if chosen is not None:
        if (run := normalise(chosen)) not in runs:
            there = f"there are {', '.join(runs)}" if runs else "there is none yet"
            raise UserError(f"--output {run}: is the --output of no run of this cluster; {there}")
        return {run: runs[run]}
    names: dict[str, str] = {}
    for run in runs:
        other = names.setdefault(_name(run), run)
        if other != run:
            raise UserError(
                f"{other} and {run} would both go to a folder {_name(run)}/; choose one with --output, and bring the "
                "other to another FOLDER"
            )
    return runs


def downloads(
    cluster: Cluster, runs: dict[str, list[str]], parts: Sequence[str], folder: str, brought: Brought
) -> tuple[list[Download], list[str]]:
    """Return what is to be brought into a folder, and the objects left out, whose names no file can have.

    Logs go into logs/ as EMR keeps them, the rest into a folder of the run's name as the run has it. Raises UserError
    where a bucket cannot be listed, and where files of another run lie in that folder.
    """
    found: dict[str, Download] = {}
    if "logs" in parts and cluster.log_uri:
        place = join_path(cluster.log_uri, cluster.id)
        found |= {each.uri: each for each in _below(place, os.path.join(folder, "logs"))}
    for run, outputs in runs.items() if set(parts) - {"logs"} else ():
        for output in outputs:
            target = os.path.join(folder, _name(run), _name(output))
            is_safe = is_safe_name(_name(run)) and is_safe_name(_name(output))
            there = {each.uri: each for each in _below(output, target, is_safe)}
            _refuse_others(output, target, there.keys(), folder, brought)
            found |= {each.uri: each for each in there.values() if _is_asked_for(each, output, parts)}
    wanted = list(found.values())
    return [each for each in wanted if each.is_safe], [each.uri for each in wanted if not each.is_safe]


def bring(missing: Sequence[Download], brought: Brought, on_file: Callable[[Download], None]) -> None:
    """Bring objects: a file appears when its bytes are those that were listed, and are as the run's own list tells.

    Raises UserError where one cannot be had, has changed meanwhile, or is another; the file that was there stays then.
    """
    for each in missing:
        bucket, key = split_s3(each.uri)
        client = bucket_client(bucket, each.uri)

        def check(path: str, each: Download = each, client: Any = client, bucket: str = bucket, key: str = key) -> None:
            size, sha256 = sha256_of(path)
            now = client.head_object(Bucket=bucket, Key=key)
            if (size, each.etag) != (each.size, now["ETag"]):
                raise UserError(f"{each.uri}: has changed meanwhile; the same command brings what is there then")
            if each.sha256 not in ("", sha256):
                raise UserError(
                    f"{each.uri}: is not what the run's own list tells of (other SHA-256): it is damaged, or is being "
                    "written anew; run its job again, or wait for its end"
                )
            brought.add(each.path, each.uri, each.etag, sha256)

        download(client, bucket, key, each.path, check)
        on_file(each)


def _name(place: str) -> str:
    return place.rpartition("/")[2]


def _refuse_others(output: str, target: str, uris: Collection[str], folder: str, brought: Brought) -> None:
    """Raise UserError where a file was brought to the target that the output has not: what lies there is two runs'."""
    for note in brought.below(target):
        if note.uri not in uris:
            raise UserError(
                f"{os.path.join(folder, note.path)}: was brought from {note.uri}, which {output} has not (any more): "
                f"the folder would be of two runs; name another, or move {target} away"
            )


def _is_asked_for(each: Download, output: str, parts: Sequence[str]) -> bool:
    within = each.uri[len(output) + 1 :]
    kinds = {
        "reports": _REPORTS.fullmatch(within) is not None,
        "shards": _SHARDS.fullmatch(within) is not None,
        "rows": True,
    }
    return any(kinds.get(part, False) for part in parts)


def _below(place: str, folder: str, is_safe: bool = True) -> Iterator[Download]:
    """Yield the objects below a prefix, but for those that stand for folders."""
    bucket, key = split_s3(place)
    client = bucket_client(bucket, place)
    listed: dict[str, Any] = {}
    with explained(place):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
            listed |= {entry["Key"][len(key) + 1 :]: entry for entry in page.get("Contents", [])}
    sums = {name: sha256 for file in _LISTS if file in listed for name, sha256 in _sums(join_path(place, file))}
    for name, entry in listed.items():
        names = name.split("/")
        if names[-1]:
            path = os.path.join(folder, *names) if is_safe and all(map(is_safe_name, names)) else ""
            yield Download(join_path(place, name), path, int(entry["Size"]), entry["ETag"], sums.get(name, ""))


def _sums(file: str) -> Iterator[tuple[str, str]]:
    """Yield name, from its folder, and SHA-256 of each file that a run's own list tells of; none of another's."""
    try:
        content = read_json(file, "")
    except UserError:  # it is brought as it is
        return
    shards, parts = content.get("shards"), content.get("parts")
    by_folder = {"": parts, **(parts if isinstance(parts, dict) else {})}
    for folder, entries in [("", shards), *by_folder.items()]:
        for entry in entries if isinstance(entries, list) else ():
            name = (entry.get("file") or entry.get("name")) if isinstance(entry, dict) else None
            if isinstance(name, str) and isinstance(entry.get("sha256"), str):
                yield f"{folder}/{name}" if folder else name, entry["sha256"]
