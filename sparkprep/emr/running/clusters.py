"""Clusters that run: asked about, launched once, given steps once, ended."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sparkprep.commands import command
from sparkprep.console import leave_word, say_line, signals_held_back, what_is_left
from sparkprep.emr.aws.control import WAITING, cut_off, explained, is_refusal, may_be_done
from sparkprep.emr.jobs import input_of, inputs_of, output_of
from sparkprep.emr.places import STOP_AFTER, Staged
from sparkprep.errors import UserError
from sparkprep.io.paths import normalise

ACTIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
ENDED = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
FAILED = "TERMINATED_WITH_ERRORS"
_ID = re.compile(r"j-[A-Z0-9]+")
_GOING = ("PENDING", "RUNNING", "COMPLETED")

Json = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A step of a cluster. reason: why it failed, as EMR tells it. log: where EMR found that."""

    id: str
    name: str
    state: str
    args: tuple[str, ...]
    started: datetime | None
    ended: datetime | None
    reason: str
    log: str


@dataclass(frozen=True)
class Cluster:
    """A cluster as EMR tells of it. code, message: why it ended, in EMR's words; details: what EMR adds to them.

    at_once: how many steps it runs at once.
    """

    id: str
    name: str
    state: str
    code: str
    message: str
    details: tuple[str, ...]
    created: datetime | None
    ended: datetime | None
    log_uri: str
    at_once: int = 1

    @property
    def is_active(self) -> bool:
        """Whether it takes steps, and is billed."""
        return self.state in ACTIVE


def check_id(text: str) -> str:
    """Return a cluster's id. Raises UserError for what is none."""
    if _ID.fullmatch(text) is None:
        raise UserError(
            f"{text!r} is no cluster; its id is like j-2AXXXXXXGAPLF: `{command('emr', 'status')}` lists them"
        )
    return text


@contextmanager
def that_runs(cluster: str) -> Iterator[None]:
    """Say, whatever ends the block, that a cluster runs and how it is ended."""
    words = f"{cluster} runs and is billed; `{command('emr', 'terminate', cluster)}` ends it"
    try:
        yield
    except BaseException as error:
        is_told = what_is_left(error) is not None
        leave_word(error, words)
        if isinstance(error, BrokenPipeError) and not is_told:  # of which a program tells nothing
            say_line(words, sys.stderr)
        raise


@contextmanager
def that_may_run(cluster: str) -> Iterator[None]:
    """Say, where the block fails otherwise than by EMR's word that there is no such cluster, that it may run."""
    try:
        yield
    except BaseException as error:
        if not is_refusal(error.__context__):
            words = f"{cluster} may run and be billed; give `{command('emr', 'terminate', cluster)}` again"
            leave_word(error, f"{words}, or end it in AWS's console")
        raise


def describe(emr: Any, cluster: str) -> Cluster:
    """Return what EMR knows of a cluster. Raises UserError."""
    with explained(cluster):
        found = emr.describe_cluster(ClusterId=cluster)["Cluster"]
    status = found["Status"]
    change, timeline = status.get("StateChangeReason", {}), status.get("Timeline", {})
    return Cluster(
        id=found["Id"],
        name=found.get("Name", ""),
        state=status["State"],
        code=change.get("Code", ""),
        message=change.get("Message", ""),
        details=tuple(f"{each.get('ErrorCode', '')}: {each.get('ErrorMessage', '')}" for each in
                      status.get("ErrorDetails", [])),
        created=timeline.get("CreationDateTime"),
        ended=timeline.get("EndDateTime"),
        log_uri=normalise(found["LogUri"]) if found.get("LogUri") else "",
        at_once=int(found.get("StepConcurrencyLevel", 1)),
    )  # fmt: skip


def active(emr: Any) -> list[tuple[str, str, str, datetime | None]]:
    """Return id, name, state and begin of the clusters of this account and region that are billed. Raises UserError."""
    with explained("the clusters"):
        pages = emr.get_paginator("list_clusters").paginate(ClusterStates=list(ACTIVE))
        return [
            (
                each["Id"],
                each.get("Name", ""),
                each["Status"]["State"],
                each["Status"].get("Timeline", {}).get("CreationDateTime"),
            )
            for page in pages
            for each in page["Clusters"]
        ]


def steps_of(emr: Any, cluster: str) -> list[Step]:
    """Return the steps of a cluster in the order in which they were given. Raises UserError."""
    with explained(cluster):
        pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster)
        found = [each for page in pages for each in page["Steps"]]
    return [_step(each) for each in reversed(found)]  # EMR lists the newest first


def staged_of(emr: Any, cluster: str) -> tuple[Staged, int | None]:
    """Return where what a cluster runs was staged, and after how many hours it stops itself, by its bootstrap.

    Raises UserError where it has no bootstrap of this package.
    """
    with explained(cluster):
        pages = emr.get_paginator("list_bootstrap_actions").paginate(ClusterId=cluster)
        for each in (action for page in pages for action in page["BootstrapActions"]):
            words = each.get("Args", [])
            if words and each.get("ScriptPath", "") == Staged(words[0]).bootstrap:
                hours = words[words.index(STOP_AFTER) + 1] if STOP_AFTER in words[:-1] else None
                return Staged(words[0]), int(hours) if hours is not None and hours.isdigit() else None
    raise UserError(
        f"{cluster}: was not launched with this package's bootstrap; `{command('emr', 'launch', 'S3-PREFIX')}` does so"
    )


@contextmanager
def launched(emr: Any, request: Json) -> Iterator[str]:
    """Launch a cluster and yield its id; whatever ends the block then says that it runs (`that_runs`).

    A signal waits until the id is known, or that none will be. emr: a client that asks once. Raises UserError; EMR
    would launch a second one of the same name without a word, so that this is refused here.
    """
    for cluster, name, state, _ in active(emr):
        if name == request["Name"]:
            raise UserError(
                f"{cluster} is named {name}, too, and is {state}: use it (`{command('emr', 'status', cluster)}`), "
                f"end it (`{command('emr', 'terminate', cluster)}`), or take another --name"
            )
    with ExitStack() as stack:
        try:
            with signals_held_back(WAITING):
                cluster = _asked_for(emr, request)
                stack.enter_context(that_runs(cluster))  # before a signal that was held back is answered
        except KeyboardInterrupt as error:
            if isinstance(error.__context__, UserError):  # it was held back while the request failed
                leave_word(error, str(error.__context__))
            raise
        yield cluster


def add_steps(
    emr: Any,
    cluster: str,
    steps: Sequence[Json],
    check_inputs: Callable[[Mapping[str, Sequence[str]], Sequence[str]], None] = lambda needed, soon: None,
) -> tuple[list[str], list[Step]]:
    """Give a cluster those of the steps that it does not have; return the new ones' ids and those that were there.

    emr: a client that asks once. A step is there if it waits, runs or is done with the same words; one that failed is
    given again. check_inputs: is given what the new ones read, and where others still write. Raises UserError where the
    cluster takes no steps, and as that does.
    """
    found = describe(emr, cluster)
    if not found.is_active:
        raise UserError(
            f"{cluster} is {found.state} and takes no steps; `{command('emr', 'launch', 'S3-PREFIX')}` makes another"
        )
    with that_runs(cluster):
        going = [step for step in steps_of(emr, cluster) if step.state in _GOING]
        known = {step.args: step for step in going}
        new = [step for step in steps if tuple(step["HadoopJarStep"]["Args"]) not in known]
        same = [known[args] for step in steps if (args := tuple(step["HadoopJarStep"]["Args"])) in known]
        if not new:
            return [], same
        waited_for = (output_of(step.args) for step in going if step.state != "COMPLETED")
        _check_outputs(cluster, new, going)
        _check_order(found, new, going)
        check_inputs(inputs_of(new), [each for each in waited_for if each is not None])
        with signals_held_back(WAITING), explained(cluster):
            return list(emr.add_job_flow_steps(JobFlowId=cluster, Steps=new)["StepIds"]), same


def terminate(emr: Any, cluster: str) -> Cluster:
    """End a cluster, or leave one that has ended; return it as it is then. Raises UserError where it goes on."""
    with that_may_run(cluster):
        before = describe(emr, cluster)
    if not before.is_active:
        return before
    with that_runs(cluster):
        with signals_held_back(WAITING), explained(cluster):
            emr.terminate_job_flows(JobFlowIds=[cluster])
        after = describe(emr, cluster)
        if after.is_active:
            raise UserError(f"{cluster} is still {after.state}: is it protected from termination?")
        return after


def _check_outputs(cluster: str, new: Sequence[Json], going: Sequence[Step]) -> None:
    """Raise UserError where steps would write where one with other words has written, or will.

    What it wrote is taken for done by those behind it, so that a run would be made of two.
    """
    writers = {output_of(step.args): step for step in going}
    for args in (step["HadoopJarStep"]["Args"] for step in new):
        other = writers.get(place) if (place := output_of(args)) is not None else None
        if other is not None:
            raise UserError(
                f"{place}: {other.id} {other.name} of {cluster} writes there with other words ({other.state}), and "
                "what is behind it would be of two runs; take another --output"
            )


def _check_order(cluster: Cluster, new: Sequence[Json], going: Sequence[Step]) -> None:
    """Raise UserError where a cluster that runs steps at once would start one before what it reads is written.

    Nor does it take the word that cancels the others where one fails.
    """
    if cluster.at_once == 1:
        return
    at_once = f"{cluster.id} runs {cluster.at_once} steps at once"
    written = {output_of(step.args) for step in going if step.state != "COMPLETED"}
    if len(new) > 1 or any(input_of(each["HadoopJarStep"]["Args"]) in written for each in new):
        raise UserError(f"{at_once}: give the jobs one after the other's end, with --jobs dedup first")
    if any(each["ActionOnFailure"] == "CANCEL_AND_WAIT" for each in new):
        raise UserError(f"{at_once}, where none cancels the others; give --on-failure CONTINUE")


def _asked_for(emr: Any, request: Json) -> str:
    try:
        with explained("the cluster was not launched"):
            return str(emr.run_job_flow(**request)["JobFlowId"])
    except UserError as error:
        if may_be_done(error.__context__):
            raise UserError(
                f"EMR did not say whether it launched the cluster ({cut_off(error.__context__)}), and it may be there: "
                f"`{command('emr', 'status')}` lists what is billed"
            ) from None
        raise


def _step(found: Json) -> Step:
    status = found["Status"]
    failure, timeline = status.get("FailureDetails", {}), status.get("Timeline", {})
    return Step(
        id=found["Id"],
        name=found.get("Name", ""),
        state=status["State"],
        args=tuple(found.get("Config", {}).get("Args", [])),
        started=timeline.get("StartDateTime"),
        ended=timeline.get("EndDateTime"),
        reason=" ".join(part for part in (failure.get("Reason", ""), failure.get("Message", "")) if part),
        log=failure.get("LogFile", ""),
    )
