"""The same jobs on EMR Serverless: an application without nodes of its own, and a job run in it.

There is no bootstrap there. The environment comes as an archive that Spark unpacks beside driver and executors, so it
must hold its own Python 3.11, made on Amazon Linux 2023 (docs/emr.md). Nothing here has been run on AWS: requests
follow the service's model and its documentation.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sparkprep import __version__
from sparkprep.emr.aws.model import SERVERLESS, check_request
from sparkprep.emr.cluster.fits import Fit, megabytes
from sparkprep.emr.cluster.settings import ClusterSettings
from sparkprep.emr.cost.disks import room
from sparkprep.emr.cost.formula import (
    JOB_SECONDS,
    KERNEL_SECONDS,
    Factor,
    Work,
    core_seconds,
    text_gigabytes,
    work_hours,
)
from sparkprep.emr.cost.prices import Prices
from sparkprep.emr.jobs import JOBS, USUAL_JOBS, check_uri
from sparkprep.emr.places import Staged
from sparkprep.errors import UserError
from sparkprep.spark.clusters import WORKER_DAEMON

PYTHON = "./environment/bin/python"
"""Where the archive's interpreter is for driver and executors: the archive is unpacked as `environment`."""
_WORKERS_GB = {1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)}
"""vCPUs of a worker -> least GB, most, steps (EMR Serverless user guide, "Supported worker configurations")."""
_FREE_DISK_GB = 20
APPLICATION = re.compile(r"[0-9a-z]{16}")
"""How ids of applications are written."""
_ROLE = re.compile(r"arn:aws[a-zA-Z0-9-]*:iam::\d{12}:role/[\w+=,.@/-]+")

Json = dict[str, Any]


@dataclass(frozen=True)
class Workers:
    """The workers of a job run: executors and a driver. gb: memory of each, heap and overhead."""

    executors: int
    vcpus: int
    executor_gb: int
    driver_gb: int

    @property
    def all_vcpus(self) -> int:
        """vCPUs that are billed while a job runs; the driver has as many as an executor."""
        return (self.executors + 1) * self.vcpus

    @property
    def all_gb(self) -> int:
        """GB of memory that are billed."""
        return self.executors * self.executor_gb + self.driver_gb


def workers_of(settings: ClusterSettings, placed: Fit) -> Workers:
    """Return workers like the executors of a cluster. Raises UserError for sizes that Serverless does not have."""
    vcpus = placed.cores
    if vcpus not in _WORKERS_GB:
        raise UserError(f"--executor-cores {vcpus}: workers of EMR Serverless have {', '.join(map(str, _WORKERS_GB))}")
    least, most, in_steps = _WORKERS_GB[vcpus]
    executor = math.ceil((placed.heap_mb + placed.overhead_mb) / 1024 / in_steps) * in_steps
    driver = max(least, math.ceil(megabytes(settings.driver_memory) * 1.1 / 1024 / in_steps) * in_steps)
    for what, gigabytes in (("executor", executor), ("driver", driver)):
        if not least <= gigabytes <= most:
            raise UserError(
                f"an {what} of {gigabytes} GB with {vcpus} vCPUs: EMR Serverless gives {least} to {most} GB to these; "
                "give --executor-memory and --executor-overhead that add up to that"
            )
    return Workers(placed.executors, vcpus, executor, driver)


def hourly(workers: Workers, prices: Prices) -> float:
    """Return dollars an hour while a job runs, with the disk that is free."""
    per_vcpu, per_gb = prices.number("serverless", "vcpu_hour"), prices.number("serverless", "gb_hour")
    return workers.all_vcpus * per_vcpu + workers.all_gb * per_gb


def dollars(workers: Workers, work: Work, placed: Fit, prices: Prices, jobs: Collection[str] = USUAL_JOBS) -> Factor:
    """Return what a run costs: its jobs' hours alone, as neither machines' start nor idleness is billed."""
    starts = JOB_SECONDS.plus(KERNEL_SECONDS) * (len(jobs) / 3600)
    return work_hours(core_seconds(work, jobs), placed.tasks).plus(starts) * hourly(workers, prices)


def disk_warnings(work: Work, workers: Workers) -> list[str]:
    """Return a warning where a run may not have room on the workers' disks. Raises UserError where it cannot have."""
    return room(
        text_gigabytes(work),
        _FREE_DISK_GB,
        workers.executors,
        "the workers'",
        "take a cluster, or give it in several runs",
    )


def create_application(settings: ClusterSettings, workers: Workers) -> Json:
    """Return the request for an application, which costs nothing while no job runs: it may not grow beyond one run.

    Raises UserError where the service's model does not know it.
    """
    request: Json = {
        "name": settings.name,
        "releaseLabel": settings.release,
        "type": "SPARK",
        "architecture": "X86_64",
        "maximumCapacity": {"cpu": f"{workers.all_vcpus} vCPU", "memory": f"{workers.all_gb} GB"},
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": settings.idle_minutes},
        "tags": {"sparkprep": __version__},
    }
    request["clientToken"] = token_of(request)
    check_request(SERVERLESS, "CreateApplication", request)
    return request


def start_job_run(
    application: str, name: str, words: Sequence[str], staged: Staged, environment: str, role: str,
    workers: Workers, settings: ClusterSettings, stop_after: int,
) -> Json:  # fmt: skip
    """Return the request for one job. environment: the archive. role: the job's, as an ARN. stop_after: hours.

    Raises UserError for a role or archive that is none, and for words that hold blanks: the service splits its one line
    of parameters at them.
    """
    if _ROLE.fullmatch(role) is None:
        raise UserError(f"--role: {role!r} is no role; write it like arn:aws:iam::123456789012:role/NAME")
    archive = check_uri(environment, "--environment")
    if not archive.endswith((".tar.gz", ".tgz", ".zip")):
        raise UserError(f"--environment: {archive}: an archive's name ends in .tar.gz, .tgz or .zip")
    job = next(each for each in JOBS if each.name == name)
    request = {
        "applicationId": check_application(application),
        "executionRoleArn": role,
        "name": f"sparkprep {name}",
        "executionTimeoutMinutes": stop_after * 60,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": staged.job(job.file),
                "entryPointArguments": list(words),
                "sparkSubmitParameters": _parameters(archive, workers, settings),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": f"{staged.logs}/"}}
        },
        "tags": {"sparkprep": __version__},
    }
    check_request(SERVERLESS, "StartJobRun", {**request, "clientToken": "checked"})
    return request


def token_of(*of: object) -> str:
    """Return a token by which the same request, sent again, does nothing more."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def check_application(text: str) -> str:
    """Return an application's id. Raises UserError for what is none."""
    if APPLICATION.fullmatch(text) is None:
        raise UserError(f"{text!r} is no application of EMR Serverless; its id is like 00f1r2h3o4m5e6d7")
    return text


def _parameters(archive: str, workers: Workers, settings: ClusterSettings) -> str:
    """Return the line of Spark's settings. No value may hold a blank: the service splits at them."""
    values = {
        "spark.archives": f"{archive}#environment",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
        "spark.python.daemon.module": WORKER_DAEMON,
        "spark.dynamicAllocation.enabled": "false",
        "spark.executor.instances": str(workers.executors),
        "spark.executor.cores": str(workers.vcpus),
        "spark.executor.memory": settings.executor_memory,
        "spark.executor.memoryOverhead": settings.executor_overhead,
        "spark.emr-serverless.executor.disk": f"{_FREE_DISK_GB}G",
        "spark.driver.cores": str(workers.vcpus),
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.maxResultSize": settings.max_result_size,
    }
    words = [f"--conf {name}={value}" for name, value in values.items()]
    if any(re.search(r"\s", value) for value in values.values()):
        raise UserError(f"--environment: {archive!r}: a blank in it cannot be handed on to EMR Serverless")
    return " ".join(words)
