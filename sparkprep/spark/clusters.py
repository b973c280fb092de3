"""What `--size` stands for: the Spark settings of a data set of that size, and the submit line for the rest."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

WORKER_DAEMON = "sparkprep.startup.worker_daemon"
"""What Spark is to start its Python workers from, where the package is on every node."""


@dataclass(frozen=True)
class Cluster:
    """Executors on YARN. Memory in Spark's notation; `overhead` is what Python workers and Arrow live in."""

    executors: int
    cores: int
    memory: str
    overhead: str


# Seven r5.xlarge core nodes: YARN has 24,576 MB on each, and the application master of client mode needs 896 MB on
# one of them. 10g + 12g = 22,528 MB fits beside it, so that all seven executors are placed. The work is done in
# Python, outside the heap: hence more overhead than heap.
R5_XLARGE_X7 = Cluster(executors=7, cores=4, memory="10g", overhead="12g")


@dataclass(frozen=True)
class Size:
    """One value of `--size`.

    `runtime` is what a new session is given (`session.get_session`), where the user has not set it. The rest must be
    known before the driver starts: `submit_line` prints it. `cluster` is None where one machine is enough.
    """

    name: str
    driver_memory: str
    runtime: Mapping[str, str] = field(default_factory=dict)
    max_result_size: str = "1g"
    cluster: Cluster | None = None


def _runtime(shuffle_partitions: int) -> Mapping[str, str]:
    """A few tasks for each core: enough to even out long documents, few enough that a task outweighs its start."""
    return MappingProxyType({"spark.sql.shuffle.partitions": str(shuffle_partitions)})


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        size.name: size
        for size in (
            Size("1k", "2g", _runtime(4)),
            Size("10k", "4g", _runtime(8)),
            Size("500k", "6g", _runtime(112), "2g", R5_XLARGE_X7),
            Size("5m", "8g", _runtime(224), "2g", R5_XLARGE_X7),
        )
    }
)


def submit_line(size: Size, script: str, args: Sequence[str] = (), launcher: str = "spark-submit") -> str:
    """Return the spark-submit command, in one line and quoted for a shell, that starts `script args` with all it needs.

    On YARN for the sizes that want a cluster; `args` are passed on as they are.
    """
    words = [launcher]
    if size.cluster:
        words += ["--master", "yarn", "--deploy-mode", "client"]
        words += ["--num-executors", str(size.cluster.executors), "--executor-cores", str(size.cluster.cores)]
        words += ["--executor-memory", size.cluster.memory]
    words += ["--driver-memory", size.driver_memory]
    if size.cluster:
        # A fixed batch job on a cluster of its own gains nothing from giving executors back.
        for setting in (
            f"spark.executor.memoryOverhead={size.cluster.overhead}",
            "spark.dynamicAllocation.enabled=false",
            f"spark.python.daemon.module={WORKER_DAEMON}",
            f"spark.driver.maxResultSize={size.max_result_size}",
        ):
            words += ["--conf", setting]
    return shlex.join([*words, script, *args])
