"""What fits on a cluster's nodes: the arithmetic of YARN's containers, before anything is paid for.

EMR gives YARN a fixed part of each node's memory. An executor's container is its heap and its overhead, rounded up; the
application master of client mode takes its own container on one of the nodes. What does not fit is not refused by
YARN: it waits, and the job runs on fewer executors, or for ever.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sparkprep.errors import UserError

ALLOCATION_MB = 32
"""Containers are multiples of this (`yarn.scheduler.minimum-allocation-mb` on EMR)."""
MASTER_MB = 512 + 384
"""The application master of client mode: `spark.yarn.am.memory` and its least overhead."""
EMR_OVERHEAD = 0.1875
"""Overhead as a share of the heap, where a job on EMR names none."""
_JVM_SHARE = 0.1
"""Of the heap: what the JVM itself takes of the overhead."""
_DRIVER_LEAVES_MB = 10 * 1024
"""What a primary node keeps for YARN's and HDFS's masters, the history server and JupyterHub."""
_MEMORY = re.compile(r"(\d+)\s*([kmgt]?)b?", re.IGNORECASE)
_KB = {"k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}


def megabytes(text: str) -> int:
    """Return the MB of an amount in Spark's notation (10g, 512m; a number alone is MB), rounded up.

    Raises ValueError for what is none.
    """
    match = _MEMORY.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no amount of memory; write it like 10g or 512m")
    return math.ceil(int(match[1]) * _KB[match[2].lower() or "m"] / 1024)


@dataclass(frozen=True)
class Node:
    """A kind of machine. yarn_mb: what EMR lets YARN give to containers there."""

    name: str
    vcpus: int
    memory_mb: int
    yarn_mb: int


@dataclass(frozen=True)
class Fit:
    """How the executors of a job lie on the nodes. executors: that are asked for, all of which are placed."""

    node: Node
    nodes: int
    executors: int
    cores: int
    heap_mb: int
    overhead_mb: int
    container_mb: int
    per_node: int

    @property
    def tasks(self) -> int:
        """How many tasks run at once."""
        return self.executors * self.cores

    @property
    def python_mb(self) -> int:
        """The memory for each Python worker: of the overhead, without what the JVM takes, one for each core."""
        return (self.overhead_mb - int(self.heap_mb * _JVM_SHARE)) // self.cores

    def rows(self) -> list[tuple[str, str]]:
        """Return the arithmetic as rows of name and text."""
        used = self.per_node * self.container_mb
        return [
            ("YARN", f"{self.node.yarn_mb:,} MB on each of {self.nodes} {self.node.name} core nodes"),
            (
                "executor",
                f"{self.heap_mb:,} MB heap + {self.overhead_mb:,} MB overhead = {self.container_mb:,} MB, "
                f"{self.cores} cores",
            ),
            (
                "node",
                f"{self.per_node} x {self.container_mb:,} = {used:,} MB; the application master's {MASTER_MB} MB lie "
                "on one of them",
            ),
            ("executors", f"{self.executors}, {self.tasks} tasks at once"),
            ("workers", f"{self.python_mb:,} MB for each Python worker"),
        ]


def placed(node: Node, nodes: int, container_mb: int, queue_percent: int = 100) -> int:
    """Return how many executors YARN can place beside the application master, by memory, as it counts."""
    whole = node.yarn_mb // container_mb
    beside_master = max(0, node.yarn_mb - MASTER_MB) // container_mb
    by_nodes = whole * (nodes - 1) + beside_master
    by_queue = (node.yarn_mb * nodes * queue_percent // 100 - MASTER_MB) // container_mb
    return max(0, min(by_nodes, by_queue))


def fit(
    node: Node,
    nodes: int,
    *,
    cores: int,
    memory: str,
    overhead: str | None,
    executors: int | None = None,
    queue_percent: int = 100,
) -> Fit:
    """Return how executors lie on the nodes. executors: None for as many as fit.

    overhead: None for EMR's own share of the heap. queue_percent: of YARN's memory, that the queue may take. Raises
    UserError, with what would fit, where not even one can be placed, or fewer than are asked for.
    """
    heap_mb = megabytes(memory)
    overhead_mb = megabytes(overhead) if overhead is not None else max(384, int(heap_mb * EMR_OVERHEAD))
    container_mb = math.ceil((heap_mb + overhead_mb) / ALLOCATION_MB) * ALLOCATION_MB
    what = f"an executor of {heap_mb:,} + {overhead_mb:,} MB"
    if cores > node.vcpus:
        raise UserError(
            f"{cores} cores an executor: a {node.name} has {node.vcpus}; give --executor-cores {node.vcpus}"
        )
    if container_mb > node.yarn_mb:
        raise UserError(
            f"{what} does not fit: YARN has {node.yarn_mb:,} MB on a {node.name}; give {_smaller(node, cores)}"
        )
    by_memory = placed(node, nodes, container_mb, queue_percent)
    if by_memory == 0 and queue_percent < 100:
        raise UserError(
            f"{what} does not fit: the queue may take {queue_percent} % of the {node.yarn_mb * nodes:,} MB that YARN "
            f"has, and the application master needs {MASTER_MB} MB of it; give {_smaller(node, cores)}, or take "
            "another queue"
        )
    if by_memory == 0:
        raise UserError(
            f"no executor can be placed: the application master needs {MASTER_MB} MB beside {what} on {nodes} "
            f"{node.name} with {node.yarn_mb:,} MB; {_smaller(node, cores)}"
        )
    at_most = min(by_memory, nodes * (node.vcpus // cores))
    if executors is not None and executors > at_most:
        raise UserError(_too_many(node, nodes, executors, at_most, container_mb, cores, what, by_memory))
    per_node = min(node.yarn_mb // container_mb, node.vcpus // cores)
    return Fit(node, nodes, executors or at_most, cores, heap_mb, overhead_mb, container_mb, per_node)


def check_driver(primary: Node, memory: str) -> None:
    """Raise UserError where a driver's heap leaves a primary node too little for its other services."""
    most = primary.memory_mb - _DRIVER_LEAVES_MB
    if megabytes(memory) > most:
        raise UserError(
            f"a driver of {memory} does not fit on a {primary.name} of {primary.memory_mb:,} MB, whose services need "
            f"{_DRIVER_LEAVES_MB:,}; give --driver-memory {most // 1024}g or less"
        )


def _too_many(
    node: Node, nodes: int, executors: int, at_most: int, container_mb: int, cores: int, what: str, by_memory: int
) -> str:
    if at_most < by_memory:
        why = f"{cores} cores each on {nodes} {node.name} of {node.vcpus}"
    else:
        why = (
            f"{container_mb:,} MB each on {nodes} {node.name} with {node.yarn_mb:,} MB, and the application master "
            f"needs {MASTER_MB} MB on one of them"
        )
    or_smaller = f", or {_smaller(node, cores)}" if executors <= nodes * (node.vcpus // cores) else ", or more nodes"
    return (
        f"{executors} executors: YARN places {at_most} of them ({why}), and the rest would wait for ever; give "
        f"--executors {at_most}{or_smaller}"
    )


def _smaller(node: Node, cores: int) -> str:
    """Say what does fit so often on each node as its cores allow, in the proportion that Python-heavy work wants."""
    each = (node.yarn_mb - MASTER_MB) // max(1, node.vcpus // cores) // 1024
    heap = max(1, round(each * 10 / 22))
    return f"--executor-memory {heap}g --executor-overhead {max(1, each - heap)}g"
