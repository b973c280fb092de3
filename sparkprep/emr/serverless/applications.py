"""Applications of EMR Serverless: made, given a job, watched, deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sparkprep.commands import command
from sparkprep.console import leave_word, signals_held_back
from sparkprep.emr.aws.control import WAITING, explained, is_refusal
from sparkprep.errors import UserError

GOING = ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "QUEUED")
FAILED = ("FAILED", "CANCELLED")
DONE = "SUCCESS"
POLL_SECONDS = 20.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A job run. words: what the job was given."""

    id: str
    name: str
    state: str
    words: tuple[str, ...]
    details: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it waits or runs."""
        return self.state in GOING


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


def runs_that_count(serverless: Any, application: str) -> list[Run]:
    """Return the job runs that go on or are done, with what they were given. Raises UserError."""
    found = [each for each in job_runs(serverless, application) if each["state"] in (*GOING, DONE)]
    return [look(serverless, application, str(each["id"])) for each in found]


def look(serverless: Any, application: str, run: str) -> Run:
    """Return a job run as it is now. Raises UserError."""
    with explained(application):
        found = serverless.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
    words = found["jobDriver"].get("sparkSubmit", {}).get("entryPointArguments", [])
    return Run(run, found.get("name", ""), found["state"], tuple(words), found.get("stateDetails", ""))


def wait_for(serverless: Any, application: str, run: str, wait: Callable[[float], None] = time.sleep) -> None:
    """Wait until a job run has ended; what ends the wait says that it may go on. Raises UserError where it failed."""
    with _that_runs(application):
        while (now := look(serverless, application, run)).goes_on:
            wait(POLL_SECONDS)
    if now.state != DONE:
        why = f": {now.details}" if now.details else ""
        raise UserError(f"{application}: {run} ({now.name}) is {now.state}{why}; what comes after it was not started")


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
        if is_refusal(error.__context__):
            raise
        leave_word(error, f"{application} may go on; `{command('emr', 'terminate', application)}` ends its jobs")
        raise
