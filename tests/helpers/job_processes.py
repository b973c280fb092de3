"""A job of the command line in a process of its own, struck at a moment that its lines or its files tell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from checkout import ROOT
from processes import descendants, kill

WORKERS = "sparkprep.startup.worker_daemon"


@dataclass
class Job:
    """A job that runs. said: the lines that were read so far, stderr among them."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def read_until(self, begin: str) -> None:
        """Read lines until one begins so; the test fails where none does."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if line.startswith(begin):
                return
        raise AssertionError("\n".join(self.said))

    def wait_for(self, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        """Wait until something is so, while the job runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < end
            time.sleep(0.01)

    def kill_all(self) -> None:
        """Kill the driver, its JVM and its workers, as a machine that goes down does."""
        kill(*(each.pid for each in descendants(self.process.pid)), self.process.pid)
        self.process.wait()

    def kill_worker(self) -> bool:
        """Kill one of Spark's Python workers; return whether there was one."""
        family = descendants(self.process.pid)
        daemons = {each.pid for each in family if WORKERS in each.command}
        workers = [each.pid for each in family if each.parent in daemons]
        kill(*workers[-1:])
        return bool(workers)

    def end(self) -> str:
        """Wait for the end, and return all that was said."""
        rest, _ = self.process.communicate(timeout=300)
        self.said += rest.splitlines()
        return "\n".join(self.said)


@contextmanager
def started(folder: Path, *words: str, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Job]:
    """Run `sparkprep WORDS` in a folder for the block, on two cores; what is left of it then is killed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK", "SPARK", "COV"))}
    master = {"PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell", "SPARK_DRIVER_MEMORY": "1g"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sparkprep", *words],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **master, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    job = Job(process)
    try:
        yield job
    finally:
        if process.poll() is None:
            job.kill_all()
        assert process.stdout is not None
        process.stdout.close()


def done(folder: Path, *words: str, code: int = 0, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Run `sparkprep WORDS` to its end, which must be with that code; return what it says."""
    with started(folder, *words, environment=environment) as job:
        said = job.end()
        assert job.process.returncode == code, said
        return said
