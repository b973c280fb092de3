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
LEAST_HEAP_MB = 450
"""Spark starts no JVM with less: one and a half times the 300 MB that it keeps for itself."""
LEAST_OVERHEAD_MB = 384
"""What Spark puts beside a heap at the least."""
LEAST_PYTHON_MB = 1024
"""What a Python worker of the jobs needs; with less it may be killed, and its task begun anew."""
EMR_OVERHEAD = 0.1875
"""Overhead as a share of the heap, where a job on EMR names none."""
_JVM_SHARE = 0.1
"""Of the heap: what the JVM itself takes of the overhead."""
_DRIVER_LEAVES_MB = 10 * 1024
"""What a primary node keeps for YARN's and HDFS's masters, the history server and JupyterHub."""
_MEMORY = re.compile(r"(\d+)\s*([kmgt]?)b?", re.IGNORECASE)
_LEAST_GB = 2
"""Of an executor that is worth offering: for each of its cores, of which Python gets half, or, if need be, in all."""
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
    """How the executors of a job lie on the nodes. executors: that are asked for, all of which are placed.

    better: the flags of executors that leave no node without one, "" where there are none such.
    """

    node: Node
    nodes: int
    executors: int
    cores: int
    heap_mb: int
    overhead_mb: int
    container_mb: int
    per_node: int
    better: str

    @property
    def tasks(self) -> int:
        """How many tasks run at once."""
        return self.executors * self.cores

    @property
    def python_mb(self) -> int:
        """The memory for each Python worker: of the overhead, without what the JVM takes, one for each core."""
        return (self.overhead_mb - int(self.heap_mb * _JVM_SHARE)) // self.cores

    def warnings(self) -> list[str]:
        """Return what is paid for and not used, and what will not go well, with the way out."""
        told = []
        without, cores = max(0, self.nodes - self.executors), self.nodes * self.node.vcpus
        wider = self.node.vcpus // math.ceil(self.executors / self.nodes)
        way = f"--executor-cores {wider}" if not without and wider > self.cores else self.better
        out = f"; {way} does better" if way else ""
        if without:
            gets = "gets" if without == 1 else "get"
            told.append(
                f"{without} of {self.nodes} core nodes {gets} no executor, and {cores - self.tasks} of {cores} cores "
                f"no task, though they are paid for{out}"
            )
        elif self.tasks < cores:
            told.append(f"{cores - self.tasks} of {cores} cores get no task, though they are paid for{out}")
        if self.python_mb < LEAST_PYTHON_MB:
            told.append(
                f"a Python worker has {max(0, self.python_mb):,} MB and needs about {LEAST_PYTHON_MB:,}, or it is "
                "killed in mid-task; give less --executor-memory and more --executor-overhead"
            )
        return told

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
    wrong = []
    if cores > node.vcpus:
        wrong.append(f"{cores} cores an executor: a {node.name} has {node.vcpus}; give --executor-cores {node.vcpus}")
        cores = node.vcpus
    most = nodes * (node.vcpus // cores)
    by_memory = placed(node, nodes, container_mb, queue_percent)
    at_most = min(by_memory, most)
    if at_most == 0:
        why = _why_none(node, nodes, container_mb, queue_percent, what)
        wrong.append(f"{why}; {_instead(node, nodes, cores, queue_percent, executors or most)}")
    elif executors is not None and executors > at_most:
        wrong.append(_too_many(node, nodes, executors, at_most, container_mb, cores, by_memory, queue_percent))
    if wrong:
        raise UserError("; ".join(wrong))
    better = _sizes(node, nodes, cores, queue_percent, most)
    is_better = better is not None and better[0] > (executors or at_most)
    words = "" if better is None or not is_better else _flags(better, executors is not None)
    if executors is not None and executors < at_most:
        words = f"without --executors {at_most} are placed, which"
    per_node = min(node.yarn_mb // container_mb, node.vcpus // cores)
    return Fit(node, nodes, executors or at_most, cores, heap_mb, overhead_mb, container_mb, per_node, words)


def check_driver(primary: Node, memory: str) -> None:
    """Raise UserError where a driver's heap leaves a primary node too little for its other services."""
    most = primary.memory_mb - _DRIVER_LEAVES_MB
    if megabytes(memory) > most:
        way = f"give --driver-memory {most // 1024}g or less" if most >= 1024 else "take a larger --primary-type"
        raise UserError(
            f"a driver of {memory} does not fit on a {primary.name} of {primary.memory_mb:,} MB, whose services need "
            f"{_DRIVER_LEAVES_MB:,}; {way}"
        )


def _why_none(node: Node, nodes: int, container_mb: int, queue_percent: int, what: str) -> str:
    if container_mb > node.yarn_mb:
        return f"{what} does not fit: YARN has {node.yarn_mb:,} MB on a {node.name}"
    if queue_percent < 100:
        return (
            f"{what} does not fit: the queue may take {queue_percent} % of the {node.yarn_mb * nodes:,} MB that YARN "
            f"has, and the application master needs {MASTER_MB} MB of it"
        )
    return (
        f"no executor can be placed: the application master needs {MASTER_MB} MB beside {what} on {nodes} {node.name} "
        f"with {node.yarn_mb:,} MB"
    )


def _too_many(
    node: Node, nodes: int, executors: int, at_most: int, container_mb: int, cores: int, by_memory: int, percent: int
) -> str:
    if at_most < by_memory:
        why = f"{cores} cores each on {nodes} {node.name} of {node.vcpus}"
    else:
        why = (
            f"{container_mb:,} MB each on {nodes} {node.name} with {node.yarn_mb:,} MB, and the application master "
            f"needs {MASTER_MB} MB on one of them"
        )
    sizes = _sizes(node, nodes, cores, percent, executors)
    is_way = sizes is not None and sizes[0] == executors
    or_else = f", or {_flags(sizes, False)}" if sizes is not None and is_way else ", or more nodes"
    return (
        f"{executors} executors: YARN places {at_most} of them ({why}), and the rest would wait for ever; give "
        f"--executors {at_most}{or_else}"
    )


def _instead(node: Node, nodes: int, cores: int, queue_percent: int, wanted: int) -> str:
    sizes = _sizes(node, nodes, cores, queue_percent, wanted)
    other = ", or take another queue" if queue_percent < 100 else ""
    return (
        f"give {_flags(sizes, sizes[0] < wanted)}{other}"
        if sizes
        else f"take larger machines{other or ' or more of them'}"
    )


def _flags(sizes: tuple[int, int, int], with_number: bool) -> str:
    executors, heap, overhead = sizes
    number = f" --executors {executors}" if with_number else ""
    return f"--executor-memory {heap}g --executor-overhead {overhead}g{number}"


def _sizes(node: Node, nodes: int, cores: int, queue_percent: int, wanted: int) -> tuple[int, int, int] | None:
    """Return (executors, GB of heap, GB of overhead) of the largest that fit, in the proportion of the profile.

    They are as many as are wanted, or fewer where cores or a queue give no room for so many. Enough for Python comes
    before their number; None for no room at all.
    """
    for least in (_LEAST_GB * cores, _LEAST_GB):
        for executors in range(min(wanted, nodes * (node.vcpus // cores)), 0, -1):
            on_node = (node.yarn_mb - MASTER_MB) // math.ceil(executors / nodes)
            in_queue = (node.yarn_mb * nodes * queue_percent // 100 - MASTER_MB) // executors
            each = min(on_node, in_queue) // 1024
            if each >= least:
                heap = max(1, round(each * 10 / 22))
                return executors, heap, each - heap
    return None
