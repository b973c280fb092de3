"""Where runs are kept: a bucket or a local folder, both laid out as experiments/CLUSTER/EXPERIMENT/main.log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io import aws, objects, s3
from sparkprep.io.files import cause
from sparkprep.io.paths import is_local, normalise
from trainer import run_files

ROOT = "experiments"
"""The first part of every key: experiments/CLUSTER/EXPERIMENT/file."""
LOG_SUFFIXES = (".txt", ".log")
"""What is uploaded if nothing else is said, and what is downloaded."""
DOWNLOADS = "downloaded_logs"


class RunStore:
    """Runs by cluster, in a bucket or a local folder.

    location: `s3://BUCKET` (`/experiments` behind it is harmless), or a local folder: the one that holds `experiments`,
    that folder itself, or any other that holds clusters. A local folder that holds runs directly is one cluster `.`.
    downloads: where runs from S3 are put, as DOWNLOADS/CLUSTER/EXPERIMENT/.
    passed_over: keys met so far that cannot be file names here, such as those with `..`.

    Raises UserError for a location that is neither; what asks S3 raises it where the bucket cannot be read.
    """

    def __init__(self, location: str, endpoint_url: str | None = None, downloads: str = DOWNLOADS) -> None:
        self.location = location
        self.downloads = downloads
        self.passed_over: list[str] = []
        self._made_client: Any = None
        self._endpoint_url = endpoint_url
        if is_local(location):
            root = normalise(location)
            if not os.path.isdir(root):
                raise UserError(f"{location}: no such folder; give a folder with runs, or s3://BUCKET")
            inner = os.path.join(root, ROOT)
            self._root = inner if os.path.isdir(inner) else root
        else:
            bucket, _, rest = location.split("://", 1)[1].partition("/")
            if rest.strip("/") not in ("", ROOT):
                raise UserError(f"{location}: runs are looked for in s3://{bucket}/{ROOT}; give s3://{bucket}")
            self._bucket = s3.bucket_name(bucket)

    @property
    def is_local(self) -> bool:
        """Whether the runs lie on this machine."""
        return is_local(self.location)

    def clusters(self) -> list[str]:
        """Return the names of all clusters, sorted."""
        if self.is_local:
            names = [".", *_folders(self._root)]
            return [name for name in names if _runs_in(os.path.join(self._root, name))]
        prefix = f"{ROOT}/"
        folders = objects.folders(self._client(), self._bucket, prefix)
        return sorted(name for name in folders if self._is_safe(prefix + name, [name]))

    def experiments(self, cluster: str) -> list[str]:
        """Return the names of the runs of a cluster, sorted: those that have a main.log."""
        if self.is_local:
            return _runs_in(self._folder(cluster))
        return sorted({parts[0] for parts in self._keys(cluster) if parts[1:] == [run_files.LOG]})

    def fetch(self, cluster: str, experiments: Sequence[str] | None = None) -> list[str]:
        """Return the local folders of these runs (None: all), sorted; from S3 their .txt and .log files are downloaded.

        Raises UserError for a cluster without runs and for a run that is not there.
        """
        there = self.experiments(cluster)
        if not there:
            raise UserError(
                f"{self.location}: no run in cluster {cluster!r}; there are: {', '.join(self.clusters()) or 'none'}"
            )
        names = there if experiments is None else sorted(set(experiments))
        absent = [name for name in names if name not in there]
        if absent:
            raise UserError(
                f"{self.location}: cluster {cluster!r} has no run {', '.join(absent)}; it has {', '.join(there)}"
            )
        if self.is_local:
            return [os.path.join(self._folder(cluster), name) for name in names]
        target = os.path.join(normalise(self.downloads), cluster)
        for parts in self._keys(cluster):
            if parts[0] in names and len(parts) > 1:
                key = "/".join([ROOT, cluster, *parts])
                s3.download(self._client(), self._bucket, key, os.path.join(target, *parts))
        return [os.path.join(target, name) for name in names]

    def _folder(self, cluster: str) -> str:
        if cluster == ".":
            return self._root
        return os.path.join(self._root, s3.check_name(cluster, "a cluster's name"))

    def _keys(self, cluster: str) -> list[list[str]]:
        """Return the logs of a cluster as the parts of their keys behind the cluster's name."""
        prefix = f"{ROOT}/{s3.check_name(cluster, 'a cluster')}/"
        keys = objects.objects(self._client(), self._bucket, prefix)
        split = [(key, key[len(prefix) :].split("/")) for key in keys if key.endswith(LOG_SUFFIXES)]
        return [parts for key, parts in split if self._is_safe(key, parts)]

    def _is_safe(self, key: str, parts: Sequence[str]) -> bool:
        """Return whether a key may become a path: whoever may write to the bucket chose it."""
        safe = all(s3.is_safe_name(part) for part in parts)
        if not safe and key not in self.passed_over:
            self.passed_over.append(key)
        return safe

    def _client(self) -> Any:
        """Return the client, made when the bucket is asked for the first time."""
        if self._made_client is None:
            self._made_client = aws.client(self._endpoint_url, None)
        return self._made_client


def _folders(path: str) -> list[str]:
    """Return the names of the visible folders in a folder, sorted."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UserError(f"{path}: cannot be listed: {cause(error)}") from error


def _runs_in(path: str) -> list[str]:
    """Return the names of the folders in a folder that hold a log, sorted; none where there is no such folder."""
    if not os.path.isdir(path):
        return []
    return [name for name in _folders(path) if os.path.isfile(os.path.join(path, name, run_files.LOG))]
