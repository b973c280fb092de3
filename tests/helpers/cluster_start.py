"""Start a standalone Spark master, and workers that share no folder with the driver; stop them, and all they started.

Each worker runs in a mount namespace of its own (tests/cluster/node.sh): the driver's checkout and folders are empty
there, its home is read-only, and its Python has the package from the wheel. Driver and workers share S3 alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from checkout import ROOT
from cluster import NODES, Cluster, Folders

from sparkprep.spark.java import java_home, spark_home

ENVIRONMENT = ROOT / ".venv-cluster"
"""The Python of the nodes (scripts/node_environment.py)."""
PACKAGES = Path(sysconfig.get_path("purelib"))
"""What it depends on: the packages of this environment, Spark among them."""
WAYS = {
    "mount namespaces, as root": ("unshare", "--mount", "--propagation", "private"),
    "mount namespaces in a user namespace": ("unshare", "--map-root-user", "--mount", "--propagation", "private"),
}
"""How to hide folders from a process: what to call it -> what to run the process by."""
_WITH_US = ("setpriv", "--pdeathsig", "TERM")
"""What ends a process when the one that started it has ended, as one does that is killed before it can stop it."""
_SECONDS_TO_START, _SECONDS_TO_STOP = 90, 30


def way_to_hide() -> str | None:
    """Return the first of `WAYS` that works here; None where none does, as in most containers."""
    with tempfile.TemporaryDirectory() as folder:
        for name, words in WAYS.items():
            trial = [*words, "mount", "-t", "tmpfs", "tmpfs", folder]
            with contextlib.suppress(OSError):  # no `unshare`, as on macOS
                if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
                    return name
    return None


@contextlib.contextmanager
def started(root: Path, access: Mapping[str, str], way: str) -> Iterator[Cluster]:
    """Run a cluster with its files in an empty folder; at the end none of its processes is left.

    access: the variables that tell an AWS client of the S3 server. way: one of `WAYS`. Raises RuntimeError, with the
    end of its log, where one of its processes does not come up.
    """
    subprocess.run([sys.executable, ROOT / "scripts" / "node_environment.py", ENVIRONMENT], check=True)
    folders = Folders(root)
    folders.make()
    with contextlib.ExitStack() as running:
        log = folders.log("master")
        master = running.enter_context(_daemon(_class("master.Master", PACKAGES), root, log))
        (address,) = _told(r"Starting Spark master at (spark://\S+)", log, master)
        workers = [running.enter_context(_worker(folders, number, way, address)) for number in NODES]
        for number, worker in zip(NODES, workers, strict=True):
            _told("Successfully registered with master", folders.log(f"worker-{number}"), worker)
        yield Cluster(address, folders, way, access, tuple(worker.pid for worker in workers))


def _worker(folders: Folders, number: int, way: str, master: str) -> contextlib.AbstractContextManager[psutil.Popen]:
    own = folders.node(number)
    seen = [f"{ENVIRONMENT}:{folders.environment}", f"{PACKAGES}:{folders.packages}"]
    hidden = [str(folder) for folder in folders.hidden_from(number)]
    as_node = [*WAYS[way], str(ROOT / "tests" / "cluster" / "node.sh"), str(own / "home"), *seen, "--", *hidden, "--"]
    spark = _class("worker.Worker", folders.packages)
    spark += ["--cores", "1", "--memory", "1g", "--work-dir", str(own / "work"), master]
    return _daemon([*as_node, *spark], own, folders.log(f"worker-{number}"))


def _class(name: str, packages: Path) -> list[str]:
    """Return the command that runs one of Spark's daemons, with nothing around it but what a machine has."""
    home, java = spark_home(), java_home()
    if home is None or java is None:
        raise RuntimeError("no Spark or no Java in this environment: run `make setup`")
    environ = {
        "PATH": os.defpath,
        "SPARK_HOME": _seen_in(home, packages),
        "JAVA_HOME": _seen_in(java, packages),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
    }
    settings = [f"{key}={value}" for key, value in environ.items()]
    spark_class = f"{environ['SPARK_HOME']}/bin/spark-class"
    run = [spark_class, f"org.apache.spark.deploy.{name}", "--port", "0", "--webui-port", "0"]
    return [*_WITH_US, "env", *settings, *run]


def _seen_in(path: str, packages: Path) -> str:
    """Return where one of this environment's packages lies, for who has them at another place."""
    inside = Path(path).is_relative_to(PACKAGES)
    return str(packages / Path(path).relative_to(PACKAGES)) if inside else path


@contextlib.contextmanager
def _daemon(command: list[str], own: Path, log: Path) -> Iterator[psutil.Popen]:
    """Run a process in a folder of its own, its home and temporary files included, and stop all that it has started."""
    environ = {"PATH": os.defpath, "HOME": str(own / "home"), "TMPDIR": str(own / "tmp")}
    with log.open("wb") as stream:
        process = psutil.Popen(
            command, cwd=own, env=environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        below = process.children(recursive=True) if process.is_running() else []
        process.terminate()
        process.wait(_SECONDS_TO_STOP)
        _await_end(below)


def _await_end(processes: list[psutil.Process]) -> None:
    """Wait until they are gone; kill those that are not. Raises RuntimeError where it came to that."""
    deadline = time.monotonic() + _SECONDS_TO_STOP
    while left := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            raise RuntimeError(f"still there after its worker had ended: {left}")
        time.sleep(0.1)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _told(pattern: str, log: Path, process: psutil.Popen) -> tuple[str, ...]:
    """Wait until a process has told something in its log; return the groups of the pattern."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while (found := re.search(pattern, log.read_text(errors="replace"))) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.name} does not tell {pattern!r}, but ends with:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    return found.groups()
