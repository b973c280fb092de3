"""What a cluster has left, brought here: logs, reports, shards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sparkprep.emr.jobs import output_of
from sparkprep.emr.running.clusters import Cluster, Step
from sparkprep.errors import UserError
from sparkprep.io.aws import bucket_client, explained
from sparkprep.io.files import make_folder
from sparkprep.io.paths import join_path, split_s3
from sparkprep.io.s3 import download, is_safe_name

PARTS = ("logs", "reports", "shards", "rows")
_REPORTS = re.compile(r"(metrics\.json|_metrics\.json|report\.html|manifest\.json)")
_SHARDS = re.compile(r".*\.bin|manifest\.json")


@dataclass(frozen=True)
class Download:
    """An object and where it goes: "" where no file can have its name. size: bytes."""

    uri: str
    path: str
    size: int

    @property
    def is_safe(self) -> bool:
        """Whether it can be a file within the folder."""
        return bool(self.path)

    @property
    def is_there(self) -> bool:
        """Whether it has been brought: a file appears whole or not at all."""
        return os.path.isfile(self.path) and os.path.getsize(self.path) == self.size


def check_parts(text: str) -> tuple[str, ...]:
    """Return the parts that a list with commas names. Raises UserError for a name that is none."""
    names = tuple(each.strip() for each in text.split(",") if each.strip())
    for name in names:
        if name not in PARTS:
            raise UserError(f"--parts: {name!r} is none of {', '.join(PARTS)}")
    if not names:
        raise UserError(f"--parts: names none; there are {', '.join(PARTS)}")
    return names


def downloads(
    cluster: Cluster, steps: Sequence[Step], parts: Sequence[str], folder: str
) -> tuple[list[Download], list[str]]:
    """Return what is to be brought into a folder, and the objects left out, whose names no file can have.

    Logs go into logs/ as EMR keeps them, the rest as a run's output has it. Raises UserError where a bucket cannot be
    listed.
    """
    found: dict[str, Download] = {}
    if "logs" in parts and cluster.log_uri:
        place = join_path(cluster.log_uri, cluster.id)
        found |= {each.uri: each for each in _below(place, os.path.join(folder, "logs"))}
    for output in dict.fromkeys(filter(None, (output_of(step.args) for step in steps))):
        name = output.rstrip("/").rpartition("/")[2]
        for each in _below(output, os.path.join(folder, name)):
            if _is_asked_for(each, output, parts):
                found[each.uri] = each
    wanted = list(found.values())
    return [each for each in wanted if each.is_safe], [each.uri for each in wanted if not each.is_safe]


def bring(wanted: Sequence[Download], on_file: Callable[[Download], None]) -> int:
    """Bring what is not there yet, and return how many objects that were. Raises UserError where one cannot be had."""
    missing = [each for each in wanted if not each.is_there]
    for each in missing:
        bucket, key = split_s3(each.uri)
        make_folder(os.path.dirname(each.path))
        download(bucket_client(bucket, each.uri), bucket, key, each.path)
        on_file(each)
    return len(missing)


def _is_asked_for(each: Download, output: str, parts: Sequence[str]) -> bool:
    within = each.uri[len(output.rstrip("/")) + 1 :]
    kinds = {
        "reports": _REPORTS.fullmatch(within) is not None,
        "shards": _SHARDS.fullmatch(within) is not None,
        "rows": True,
    }
    return any(kinds.get(part, False) for part in parts)


def _below(place: str, folder: str) -> Iterator[Download]:
    """Yield the objects below a prefix, but for those that stand for folders."""
    bucket, key = split_s3(place)
    client = bucket_client(bucket, place)
    with explained(place):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
            for entry in page.get("Contents", []):
                uri = f"s3://{bucket}/{entry['Key']}"
                names = entry["Key"][len(key) + 1 :].split("/")
                if names[-1]:
                    is_safe = all(is_safe_name(name) for name in names)
                    yield Download(uri, os.path.join(folder, *names) if is_safe else "", int(entry["Size"]))
