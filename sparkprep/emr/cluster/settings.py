"""What a cluster, and a run on it, can be told; by default the cluster of the course."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Any

from sparkprep.emr.aws.model import Enumerated
from sparkprep.emr.cluster.fits import LEAST_HEAP_MB, LEAST_OVERHEAD_MB, megabytes
from sparkprep.emr.cluster.releases import applications_of, check_applications
from sparkprep.errors import UserError
from sparkprep.kinds import Integer, Number, OneOf, Text
from sparkprep.options import Keywords, check_options, option
from sparkprep.spark.clusters import R5_XLARGE_X7, SIZES

MOST_HOURS = 12
"""A cluster is stopped after so many hours, however much money there is: the time that the course gives a run."""
MOST_STOP_HOURS = 168
"""The most that --max-hours takes: a week."""
MOST_NODES = 100
"""Core nodes, a bound against a slip of the hand: the course has seven."""
MOST_DISK_GB = 1024
SPOT = "SPOT"
"""The market of nodes that EC2 may take away."""
_LARGE = SIZES["5m"]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Memory:
    """An amount in Spark's notation, with its unit, such as 10g; `least_mb` of it at the least."""

    least_mb: int

    def __call__(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        text = str(value).strip()
        try:
            given = megabytes(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if re.fullmatch(r"\d+b?", text, re.IGNORECASE):  # MB to Spark or bytes, which nobody means
            raise argparse.ArgumentTypeError(f"{text!r} has no unit; give {text.rstrip('bB')}g")
        if given < self.least_mb:
            raise argparse.ArgumentTypeError(f"{text!r} is below {self.least_mb}m, with which Spark does not start")
        return text


class Name:
    """A name of a cluster, also fit for a key of S3 and a line of a log."""

    def __call__(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        if not isinstance(value, str) or _NAME.fullmatch(value) is None:
            raise argparse.ArgumentTypeError(f"{value!r}: take up to 64 letters, digits, dots, hyphens")
        return value


@dataclass(frozen=True)
class ClusterSettings(Keywords):
    """A cluster of EMR on EC2. Raises UserError on a value that cannot be."""

    name: str = option("sparkprep", "name of the cluster; two that run never have the same", Name(), "NAME")
    release: str = option("emr-7.7.0", "release of EMR: emr-7.1.0 or later 7.x, or emr-spark-8.x", Text(), "LABEL")
    applications: str | None = option(
        None,
        "applications, with commas (default: Hadoop,Spark,JupyterHub; on emr-spark-8.x what it has)",
        Text(),
        "A,B",
    )
    instance_type: str = option("r5.xlarge", "machine of the core nodes", Text(), "TYPE")
    primary_type: str | None = option(None, "machine of the primary node (default: the same)", Text(), "TYPE")
    core_nodes: int = option(R5_XLARGE_X7.executors, "core nodes, beside one primary", Integer(1))
    market: str = option("ON_DEMAND", "how core nodes are bought: ON_DEMAND or SPOT", Enumerated("MarketType"), "WORD")
    volume_type: str = option("gp3", "kind of the disks", OneOf(("gp3", "gp2")))
    root_gb: int = option(100, "GB of each node's root disk", Integer(15, 1024))
    core_gb: int = option(200, "GB of each core node's disk for HDFS and shuffles", Integer(10, MOST_DISK_GB))
    primary_gb: int = option(64, "GB of the primary node's disk", Integer(10, 1024))
    executors: int | None = option(None, "executors (default: as many as fit)", Integer(1))
    executor_cores: int = option(R5_XLARGE_X7.cores, "tasks at once in an executor", Integer(1, 64))
    executor_memory: str = option(R5_XLARGE_X7.memory, "heap of an executor", Memory(LEAST_HEAP_MB), "10g")
    executor_overhead: str = option(
        R5_XLARGE_X7.overhead,
        "memory beside the heap, in which Python and Arrow live",
        Memory(LEAST_OVERHEAD_MB),
        "12g",
    )
    queue_percent: int = option(100, "of YARN's memory, that the queue of the jobs may take", Integer(1, 100))
    driver_memory: str = option(
        _LARGE.driver_memory, "heap of the driver, on the primary node", Memory(LEAST_HEAP_MB), "8g"
    )
    idle_minutes: int = option(10, "the cluster ends after so many minutes without work", Integer(1, 10080))
    max_dollars: float = option(
        25.0, "the most that the cluster may cost until its hard stop", Number(0, above=True), "X"
    )
    max_hours: int | None = option(
        None,
        f"hours until the hard stop (default: what --max-dollars buys, at most {MOST_HOURS})",
        Integer(1, MOST_STOP_HOURS),
    )
    step_concurrency: int = option(1, "steps that run at once", Integer(1, 256))
    key_name: str | None = option(None, "EC2 key pair, for ssh to the primary node", Text(), "NAME")
    subnet: str | None = option(None, "subnet of the nodes (default: EMR's choice in the default VPC)", Text(), "ID")
    service_role: str = option("EMR_DefaultRole", "role of EMR itself", Text(), "ROLE")
    instance_profile: str = option("EMR_EC2_DefaultRole", "role of the nodes", Text(), "ROLE")
    region: str | None = option(None, "region (default: what AWS's settings say, or else us-east-1)", Text(), "REGION")

    def __post_init__(self) -> None:
        check_options(self)
        if self.core_nodes > MOST_NODES:
            raise UserError(
                f"--core-nodes {self.core_nodes:,}: more than {MOST_NODES}, where this program stops a slip of the "
                f"hand; give up to {MOST_NODES}, of larger machines"
            )
        check_applications(self.release, self.application_names)
        if self.subnet is not None and not re.fullmatch(r"subnet-[0-9a-f]+", self.subnet):
            raise UserError(f"--subnet: {self.subnet!r} is no subnet; write it like subnet-0123abcd")

    @property
    def application_names(self) -> tuple[str, ...]:
        """What is installed beside EMR's own parts."""
        if self.applications is None:
            return applications_of(self.release)
        return tuple(each.strip() for each in self.applications.split(",") if each.strip())

    @property
    def max_result_size(self) -> str:
        """The most that a job may bring to the driver."""
        return _LARGE.max_result_size


@dataclass(frozen=True)
class WorkSettings(Keywords):
    """The work that is to be paid for, for its estimate. Raises UserError on a value that cannot be."""

    documents: int = option(5_000_000, "documents of the run that is estimated", Integer(1))
    text_gb: float | None = option(
        None, "GB of their text (default: what such documents measure, from 4.3 to 8.7 kB each)", Number(0, above=True)
    )

    def __post_init__(self) -> None:
        check_options(self)
