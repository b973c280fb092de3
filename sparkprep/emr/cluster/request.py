"""The request for a cluster: what RunJobFlow is given, whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkprep import __version__
from sparkprep.emr.aws.model import EMR, check_request
from sparkprep.emr.cluster.fits import Fit
from sparkprep.emr.cluster.settings import ClusterSettings
from sparkprep.emr.places import NODE_NUMBA_CACHE, NODE_PYTHON, STOP_AFTER, Staged
from sparkprep.io.paths import split_s3
from sparkprep.spark.clusters import WORKER_DAEMON

TASKS_A_CORE = 8
"""Parts of a shuffle for each core: enough to even out long documents."""

Json = dict[str, Any]


def run_job_flow(
    settings: ClusterSettings, staged: Staged, placed: Fit, stop_after: int, steps: Sequence[Json] = ()
) -> Json:
    """Return the request. stop_after: hours until the hard stop. steps: with them the cluster ends when they have.

    Raises UserError where the model of EMR does not know a key or a word.
    """
    request: Json = {
        "Name": settings.name,
        "LogUri": f"{staged.logs}/",
        "ReleaseLabel": settings.release,
        "Applications": [{"Name": each} for each in settings.application_names],
        "Instances": _instances(settings, keep_alive=not steps),
        "BootstrapActions": [
            {
                "Name": "sparkprep",
                "ScriptBootstrapAction": {
                    "Path": staged.bootstrap,
                    "Args": [staged.prefix, STOP_AFTER, str(stop_after)],
                },
            }
        ],
        "Configurations": configurations(settings, staged, placed),
        "JobFlowRole": settings.instance_profile,
        "ServiceRole": settings.service_role,
        "EbsRootVolumeSize": settings.root_gb,
        "StepConcurrencyLevel": settings.step_concurrency,
        "AutoTerminationPolicy": {"IdleTimeout": settings.idle_minutes * 60},
        "VisibleToAllUsers": True,
        "Tags": [{"Key": "sparkprep", "Value": __version__}],
    }
    if steps:
        request["Steps"] = list(steps)
    check_request(EMR, "RunJobFlow", request)
    return request


def configurations(settings: ClusterSettings, staged: Staged, placed: Fit) -> list[Json]:
    """Return what is set of the applications: the nodes' own Python for every way to start Spark, executors that fit.

    In the cluster and not in the jobs: the interpreter of a driver cannot be changed by what it runs, and notebooks
    and Livy look at the environment.
    """
    defaults = {
        "spark.pyspark.python": NODE_PYTHON,
        "spark.pyspark.driver.python": NODE_PYTHON,
        "spark.python.daemon.module": WORKER_DAEMON,
        "spark.executorEnv.NUMBA_CACHE_DIR": NODE_NUMBA_CACHE,
        "spark.dynamicAllocation.enabled": "false",
        "spark.speculation": "false",
        "spark.executor.instances": str(placed.executors),
        "spark.executor.cores": str(placed.cores),
        "spark.executor.memory": settings.executor_memory,
        "spark.executor.memoryOverhead": settings.executor_overhead,
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.maxResultSize": settings.max_result_size,
        "spark.sql.shuffle.partitions": str(TASKS_A_CORE * placed.tasks),
        "spark.ui.showConsoleProgress": "false",
    }
    export = {"PYSPARK_PYTHON": NODE_PYTHON, "NUMBA_CACHE_DIR": NODE_NUMBA_CACHE}
    made: list[Json] = [
        {"Classification": "spark-defaults", "Properties": defaults},
        {"Classification": "spark-env", "Configurations": [{"Classification": "export", "Properties": export}]},
    ]
    if "JupyterHub" in settings.application_names:  # or notebooks end with the cluster
        bucket, _ = split_s3(staged.prefix)
        persistent = {"s3.persistence.enabled": "true", "s3.persistence.bucket": bucket}
        made.append({"Classification": "jupyter-s3-conf", "Properties": persistent})
    return made


def _instances(settings: ClusterSettings, keep_alive: bool) -> Json:
    instances: Json = {
        "InstanceGroups": [
            _group("primary", "MASTER", settings.primary_type or settings.instance_type, 1, "ON_DEMAND",
                   settings.volume_type, settings.primary_gb),
            _group("core", "CORE", settings.instance_type, settings.core_nodes, settings.market,
                   settings.volume_type, settings.core_gb),
        ],
        "KeepJobFlowAliveWhenNoSteps": keep_alive,
        "TerminationProtected": False,
    }  # fmt: skip
    if settings.key_name is not None:
        instances["Ec2KeyName"] = settings.key_name
    if settings.subnet is not None:
        instances["Ec2SubnetIds"] = [settings.subnet]
    return instances


def _group(name: str, role: str, machine: str, count: int, market: str, volume_type: str, gigabytes: int) -> Json:
    volume = {"VolumeType": volume_type, "SizeInGB": gigabytes}
    return {
        "Name": name,
        "InstanceRole": role,
        "InstanceType": machine,
        "InstanceCount": count,
        "Market": market,
        "EbsConfiguration": {"EbsBlockDeviceConfigs": [{"VolumeSpecification": volume, "VolumesPerInstance": 1}]},
    }
