"""A cluster that is like one, on this machine: where its files lie, how a job is run on it, what its nodes see.

tests/helpers/cluster_start.py starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from checkout import ROOT
from processes import descendants, kill

from sparkprep.spark.clusters import WORKER_DAEMON

NODES = (1, 2)
DEAD_FILE_SYSTEM = {"spark.hadoop.fs.defaultFS": "hdfs://localhost:9"}
"""As where Hadoop's default file system has nothing to do with the job, and does not even answer."""


@dataclass(frozen=True)
class Done:
    """How a command ended. said: what it printed, stderr included, which spark-submit joins to stdout."""

    code: int
    said: str

    @property
    def error(self) -> str:
        """The one line that tells what was wrong; the test fails where there is none, or more than one."""
        (line,) = [line for line in self.said.splitlines() if line.startswith("error: ")] or [self.said]
        return line


@dataclass(frozen=True)
class Folders:
    """Where everything lies: `driver` for the driver alone, a node's for that node alone."""

    root: Path

    @property
    def driver(self) -> Path:
        """The driver's working folder; its home and temporary files are in it."""
        return self.root / "driver"

    @property
    def default(self) -> Path:
        """What lies on the default file system, which all see: stands in for HDFS."""
        return self.root / "default"

    @property
    def environment(self) -> Path:
        """The nodes' Python; empty for the driver."""
        return self.root / "environment"

    @property
    def packages(self) -> Path:
        """The packages that it depends on; empty for the driver."""
        return self.root / "packages"

    def node(self, number: int) -> Path:
        return self.root / "nodes" / str(number)

    def log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def make(self) -> None:
        """Make them all."""
        for folder in (self.driver / "home", self.driver / "tmp", self.default, self.environment, self.packages):
            folder.mkdir(parents=True)
        for number in NODES:
            for name in ("home", "tmp", "work"):
                (self.node(number) / name).mkdir(parents=True)

    def hidden_from(self, number: int) -> list[Path]:
        """List the folders that are empty on a node: the checkout, the driver's and those of other nodes."""
        return [ROOT, self.driver, *(self.node(other) for other in NODES if other != number)]


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    way: how its nodes are kept apart. access: the variables that tell an AWS client of the S3 server. pids: of the
    nodes' Spark workers.
    """

    master: str
    folders: Folders
    way: str
    access: Mapping[str, str]
    pids: tuple[int, ...]

    def asking(self, access: Mapping[str, str]) -> Cluster:
        """Return it with another way to S3 for the jobs to come."""
        return replace(self, access=access)

    def job(self, name: str, *words: str) -> Done:
        """Run a job of jobs/ on the cluster."""
        return self.submit(ROOT / "jobs" / f"{name}.py", *words)

    def submit(self, script: Path, *words: str, settings: Mapping[str, str] = MappingProxyType({})) -> Done:
        """Run a script on the cluster, with the settings that a real one needs, and perhaps others."""
        needed = {
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.pyspark.python": str(self.folders.environment / "bin" / "python"),
            "spark.pyspark.driver.python": sys.executable,
            "spark.python.daemon.module": WORKER_DAEMON,
            "spark.executor.memory": "1g",
            "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # they live for seconds
            "spark.sql.shuffle.partitions": "4",
            "spark.scheduler.minRegisteredResourcesRatio": "1",  # or the node that is up first does all of it
            **{f"spark.executorEnv.{name}": value for name, value in self.access.items()},
        }
        return self._spark_submit(script, words, self.master, {**self.other_file_system, **needed, **settings})

    def local_job(self, name: str, *words: str, settings: dict[str, str]) -> Done:
        """Run a job of jobs/ on the driver's machine alone, with these of Spark's settings."""
        return self._spark_submit(ROOT / "jobs" / f"{name}.py", words, "local[*]", settings)

    def alone(self, *words: str) -> Done:
        """Run a verb of `sparkprep` that wants no Spark where the driver is."""
        return self._run([sys.executable, "-m", "sparkprep", *words])

    def _spark_submit(self, script: Path, words: Sequence[str], master: str, settings: dict[str, str]) -> Done:
        options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        launcher = str(Path(sys.executable).with_name("spark-submit"))
        return self._run([launcher, "--master", master, "--driver-memory", "1g", *options, str(script), *words])

    def _run(self, command: list[str]) -> Done:
        """Run a command where the driver is. One that hangs is ended, with all that it has started."""
        driver = self.folders.driver
        environ = {**os.environ, **self.access, "HOME": str(driver / "home"), "TMPDIR": str(driver / "tmp")}
        with subprocess.Popen(
            command, cwd=driver, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                said, _ = process.communicate(timeout=240)
            except BaseException:
                kill(*(below.pid for below in descendants(process.pid)), process.pid)
                raise
        return Done(process.returncode, said)

    @property
    def other_file_system(self) -> dict[str, str]:
        """Settings by which a bare path means another file system than the local one, to Spark, as on EMR."""
        return {
            "spark.hadoop.fs.defaultFS": "viewfs://c/",
            "spark.hadoop.fs.viewfs.mounttable.c.linkMergeSlash./": self.folders.default.as_uri(),
        }

    def seen(self, number: int, folder: Path) -> list[str]:
        """List a folder as a node sees it."""
        return sorted(os.listdir(f"/proc/{self.pids[NODES.index(number)]}/root{folder}"))

    def strays(self) -> list[str]:
        """List what lies where nothing may: on the default file system, and on a node in folders of others."""
        found = [str(path) for path in self.folders.default.rglob("*")]
        for number in NODES:
            for folder in self.folders.hidden_from(number):
                found += [f"{folder}/{name} on node {number}" for name in self.seen(number, folder)]
        return found

    def tasks(self) -> list[int]:
        """Count the tasks that each node has finished since it started."""
        logs = [self.folders.node(number).glob("work/app-*/*/stderr") for number in NODES]
        return [sum(log.read_text().count("INFO Executor: Finished task") for log in of_node) for of_node in logs]
