"""Applications of EMR Serverless: made, given a job, watched, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sparkprep.commands import command
from sparkprep.console import leave_word, signals_held_back
from sparkprep.emr.control import WAITING, explained

GOING = ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "QUEUED")
FAILED = ("FAILED", "CANCELLED")

Json = dict[str, Any]


def create(serverless: Any, request: Json) -> str:
    """Make an application and return its id; its token makes a second request the same one. Raises UserError."""
    with signals_held_back(WAITING), explained("the application was not made"):
        return str(serverless.create_application(**request)["applicationId"])


def start(serverless: Any, request: Json, token: str) -> str:
    """Start a job run and return its id; the same token starts no second one. Raises UserError.

    A signal waits until the id is known; what ends the program then says that the job may go on.
    """
    with _that_runs(request["applicationId"]), signals_held_back(WAITING), explained(request["applicationId"]):
        return str(serverless.start_job_run(**request, clientToken=token)["jobRunId"])


def job_runs(serverless: Any, application: str) -> list[Json]:
    """Return the job runs of an application: id, name, state, stateDetails. Raises UserError."""
    with explained(application):
        pages = serverless.get_paginator("list_job_runs").paginate(applicationId=application)
        return [each for page in pages for each in page["jobRuns"]]


def state_of(serverless: Any, application: str) -> str:
    """Return the state of an application. Raises UserError."""
    with explained(application):
        return str(serverless.get_application(applicationId=application)["application"]["state"])


def end(serverless: Any, application: str) -> list[str]:
    """Cancel what runs in an application and stop it; return the ids of what was cancelled. Raises UserError.

    Nothing is billed then. It stays, stopped, until it is deleted; it cannot be while it stops.
    """
    cancelled = []
    with _that_runs(application):
        for each in job_runs(serverless, application):
            if each["state"] in GOING:
                with explained(application):
                    serverless.cancel_job_run(applicationId=application, jobRunId=each["id"])
                cancelled.append(str(each["id"]))
        if not cancelled:  # it does not stop while a job is being cancelled
            with explained(application):
                serverless.stop_application(applicationId=application)
    return cancelled


@contextmanager
def _that_runs(application: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        leave_word(error, f"{application} may go on; `{command('emr', 'terminate', application)}` ends its jobs")
        raise
