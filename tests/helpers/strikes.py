"""What a run may lose while it runs: the driver, an executor, a worker with all it runs, the server of its data."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import psutil
from ceph import Ceph
from cluster import NODES, Cluster
from processes import descendants, kill

VICTIMS = ("driver", "executor", "worker", "server")


class Strike:
    """Kills one of `VICTIMS`, when it is called and there is something to kill; returns whether it has.

    node: of the executor or the worker, 1 or 2. away: seconds after which a server is there again.
    """

    def __init__(self, victim: str, cluster: Cluster, ceph: Ceph, node: int = NODES[0], away: float = 5.0) -> None:
        self.victim = victim
        self._worker = cluster.pids[NODES.index(node)]
        self._ceph, self._away = ceph, away
        self._back: threading.Timer | None = None
        self.has_struck = False

    def __call__(self) -> bool:
        ways: dict[str, Callable[[], bool]] = {
            "driver": _kill_driver,
            "executor": lambda: _kill_executor(self._worker),
            "worker": lambda: _kill_tree(self._worker),
            "server": self._kill_server,
        }
        self.has_struck = ways[self.victim]()
        return self.has_struck

    def wait(self) -> None:
        """Return when what comes again is there again."""
        if self._back is not None:
            self._back.join()

    def _kill_server(self) -> bool:
        self._ceph.kill_gateway()
        self._back = threading.Timer(self._away, self._ceph.start_gateway)
        self._back.start()
        return True


def _kill_driver() -> bool:
    """Kill the command that this process has started by `Cluster.job`, with all that it runs here."""
    started = [child for child in psutil.Process(os.getpid()).children() if "SparkSubmit" in " ".join(child.cmdline())]
    for each in started:
        _kill_tree(each.pid)
    return bool(started)


def _kill_executor(worker: int) -> bool:
    executors = [each.pid for each in descendants(worker) if "CoarseGrainedExecutorBackend" in " ".join(each.command)]
    kill(*executors)
    return bool(executors)


def _kill_tree(pid: int) -> bool:
    kill(pid, *(below.pid for below in descendants(pid)))
    return True
