"""Where things lie: on S3 below the prefix that staging fills, and on a node that the bootstrap has set up.

Every name that the launcher, the staging and `emr/bootstrap.sh` share stands here once. The bootstrap is given the
prefix, and perhaps `--stop-after-hours N`: then the primary node shuts itself down that long after it has started,
whatever becomes of the machine that launched it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparkprep.io.paths import join_path, lies_in
from sparkprep.sample.build import FILES

PYTHON_VERSION = "3.11"
"""The one Python that EMR 7.1 and later and EMR's releases of Spark 4 have in common."""
MACHINE = "x86_64"

JOBS = ("extract.py", "filter.py", "dedup.py", "tokens.py", "shards.py", "grade.py")

NODE_ENVIRONMENT = "/opt/sparkprep"
"""The virtual environment on every node."""
NODE_PYTHON = f"{NODE_ENVIRONMENT}/bin/python"
NODE_NUMBA_CACHE = f"{NODE_ENVIRONMENT}/numba"
"""NUMBA_CACHE_DIR of driver and executors: filled by the bootstrap, writable by the group hadoop, readable by all."""

STOP_AFTER = "--stop-after-hours"
"""Argument of the bootstrap, with a whole number of hours behind it."""


@dataclass(frozen=True)
class Staged:
    """What lies below a prefix on S3. prefix: s3://BUCKET/PREFIX, without a slash at its end."""

    prefix: str

    @property
    def bootstrap(self) -> str:
        """The script that every node runs first."""
        return join_path(self.prefix, "bootstrap.sh")

    @property
    def wheelhouse(self) -> str:
        """The folder of wheels: sparkprep's own and all that it needs."""
        return join_path(self.prefix, "wheelhouse")

    @property
    def requirements(self) -> str:
        """The wheels' names, versions and hashes, for pip."""
        return join_path(self.wheelhouse, "requirements.txt")

    @property
    def samples(self) -> str:
        """The folder of the graded subsets' documents, one folder for each size, and nothing else."""
        return join_path(self.prefix, "samples")

    @property
    def truth(self) -> str:
        """The folder of what is known of them, one folder for each size: a job that reads `samples` never meets it."""
        return join_path(self.prefix, "truth")

    @property
    def manifest(self) -> str:
        """staged.json, written last: every key with its size and SHA-256, sparkprep's version, Python, machine."""
        return join_path(self.prefix, "staged.json")

    def sample(self, size: str) -> str:
        """Return where the documents of a graded subset lie, by its size (10k)."""
        return join_path(self.samples, size, FILES[0])

    def run(self, name: str) -> str:
        """Return a place for what a run writes."""
        return join_path(self.prefix, "runs", name)

    @property
    def logs(self) -> str:
        """Where EMR puts the logs of clusters: without such a place it keeps none."""
        return join_path(self.prefix, "logs")

    def has(self, path: str) -> bool:
        """Return whether a path lies in a folder that staging or EMR fills."""
        own = (self.wheelhouse, self.samples, self.truth, self.logs, join_path(self.prefix, "jobs"))
        return any(lies_in(path, folder) for folder in own)

    def job(self, name: str) -> str:
        """Return where a job lies, by its file's name in jobs/."""
        return join_path(self.prefix, "jobs", name)

    def key(self, path: str) -> str:
        """Return what lies at `path` relative to the prefix, as staged.json names it."""
        return path.removeprefix(self.prefix).lstrip("/")
