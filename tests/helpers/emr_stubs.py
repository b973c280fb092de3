"""EMR as botocore's Stubber plays it: every request is compared whole, and answered by a script."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import boto3
from botocore.stub import Stubber

CLUSTER = "j-2AXXXXXXGAPLF"
STAGED = "s3://my-bucket/sparkprep"
START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@contextmanager
def stubbed(service: str = "emr") -> Iterator[tuple[Any, Stubber]]:
    """A client whose requests are answered by what is added; all of it must be asked for."""
    client = _client(service)
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


@lru_cache
def _client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def cluster(state: str, code: str = "", message: str = "", **further: Any) -> dict[str, Any]:
    """An answer of DescribeCluster."""
    reason = {"StateChangeReason": {"Code": code, "Message": message}} if code else {}
    status = {"State": state, "Timeline": {"CreationDateTime": START}, **reason, **further}
    return {
        "Cluster": {"Id": CLUSTER, "Name": "sparkprep", "Status": status, "LogUri": "s3n://my-bucket/sparkprep/logs/"}
    }


def step(number: int, state: str, args: list[str] | None = None, **failure: str) -> dict[str, Any]:
    """A step as ListSteps lists it."""
    status: dict[str, Any] = {"State": state, "Timeline": {"StartDateTime": START}}
    if state == "COMPLETED":
        status["Timeline"]["EndDateTime"] = START + timedelta(minutes=5)
    if failure:
        status["FailureDetails"] = failure
    config = {"Jar": "command-runner.jar", "Args": args or ["spark-submit"]}
    return {"Id": f"s-{number}", "Name": f"step {number}", "Config": config, "Status": status}


def add_look(stubber: Stubber, state: str, steps: list[dict[str, Any]], **reason: Any) -> None:
    """What one look at a cluster asks for, and is told; steps: in the order in which they were given."""
    asked = {"ClusterId": CLUSTER}
    stubber.add_response("describe_cluster", cluster(state, **reason), asked)
    action = {"Name": "sparkprep", "ScriptPath": f"{STAGED}/bootstrap.sh", "Args": [STAGED, "--stop-after-hours", "8"]}
    stubber.add_response("list_bootstrap_actions", {"BootstrapActions": [action]}, asked)
    stubber.add_response("list_steps", {"Steps": steps[::-1]}, asked)
    groups = [{"InstanceType": "r5.xlarge", "RequestedInstanceCount": count} for count in (1, 7)]
    stubber.add_response("list_instance_groups", {"InstanceGroups": groups}, asked)


ARN = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2h3o4m5e6d7/jobruns/00job"


def add_runs(stubber: Stubber, *runs: tuple[str, list[str]]) -> None:
    """What one look at an application's job runs asks for, and is told: (state, words) of each."""
    application = {"applicationId": "00f1r2h3o4m5e6d7"}
    stubber.add_response("list_job_runs", {"jobRuns": [job_run(state) for state, _ in runs]}, application)
    for state, words in runs:
        if state not in ("FAILED", "CANCELLED"):
            add_run(stubber, state, words)


def add_run(stubber: Stubber, state: str, words: list[str], listed: str | None = None) -> None:
    """A look at one job run. listed: the state that it was listed with, by which it is named here."""
    driver = {"sparkSubmit": {"entryPoint": "s3://x/job.py", "entryPointArguments": words}}
    asked = {"applicationId": "00f1r2h3o4m5e6d7", "jobRunId": f"00{listed or state}"}
    run = {**job_run(state), "jobRunId": asked["jobRunId"], "jobDriver": driver, "tags": {}}
    del run["id"]
    stubber.add_response("get_job_run", {"jobRun": run}, asked)


def job_run(state: str) -> dict[str, Any]:
    """A job run of EMR Serverless as ListJobRuns lists it."""
    role = "arn:aws:iam::123456789012:role/jobs"
    run = {"applicationId": "00f1r2h3o4m5e6d7", "id": f"00{state}", "arn": ARN, "createdBy": role, "state": state}
    return {
        **run,
        "createdAt": START,
        "updatedAt": START,
        "executionRole": role,
        "stateDetails": "x",
        "releaseLabel": "x",
    }
