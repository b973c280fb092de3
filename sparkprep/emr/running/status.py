"""How a cluster is, and how far its steps are: by what EMR tells, and by the last lines of the driver's log."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sparkprep.commands import command
from sparkprep.console import Exit
from sparkprep.emr.aws.control import explained, is_busy
from sparkprep.emr.cluster.settings import SPOT
from sparkprep.emr.cost.prices import Prices
from sparkprep.emr.jobs import output_of
from sparkprep.emr.places import Staged
from sparkprep.emr.running.clusters import FAILED, Cluster, Step, describe, staged_of, steps_of
from sparkprep.errors import UserError
from sparkprep.io.files import exists, open_input
from sparkprep.io.paths import join_path
from sparkprep.units import human_duration

POLL_SECONDS = 20.0
LINES = 8
_BEGUN = ("STARTING", "BOOTSTRAPPING")
_OVER = ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")
_MOST_LOG, _MOST_TEXT = 1 << 24, 1 << 28
"""Bytes of a log that are looked at, as it lies and as text."""
_GZIP = 31
"""How zlib is told of gzip's header."""
_CHATTER = re.compile(r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d (INFO|DEBUG|TRACE) ")
"""How Spark's own lines begin, between which those of a job would be lost."""
_WAYS_OUT = {
    "BOOTSTRAP_FAILURE": "the bootstrap failed on a node; `{fetch}` brings its log",
    "STEP_FAILURE": "a step failed; `{fetch}` brings its log",
    "VALIDATION_ERROR": "EMR does not take the cluster as asked for (quota of vCPUs, roles, subnet); it cost nothing",
    "INSTANCE_FAILURE": "nodes were lost (SPOT?), or the primary node came to its hard stop; launch again",
    "INTERNAL_ERROR": "a failure of EMR's own, or the primary node came to its hard stop; launch again",
}


@dataclass(frozen=True)
class Status:
    """A cluster at one moment. an_hour: its price on demand. staged, stop_after: by its bootstrap.

    None for what is not known. has_spot: whether some of its nodes are bought on the spot market, and so cost less.
    """

    cluster: Cluster
    steps: tuple[Step, ...]
    an_hour: float | None
    staged: Staged | None
    stop_after: int | None
    now: datetime
    has_spot: bool = False

    @property
    def hours(self) -> float:
        """For how long it has been there."""
        if self.cluster.created is None:
            return 0.0
        return max(0.0, ((self.cluster.ended or self.now) - self.cluster.created).total_seconds() / 3600)

    @property
    def has_failed(self) -> bool:
        """Whether the cluster or a step of it has."""
        return self.cluster.state == FAILED or any(step.state == "FAILED" for step in self.steps)

    @property
    def is_settled(self) -> bool:
        """Whether nothing changes any more: it has ended, or its steps have, or a step was lost and nothing runs."""
        if not self.cluster.is_active:
            return True
        return self.cluster.state not in _BEGUN and all(step.state in _OVER for step in self.steps)

    @property
    def is_overdue(self) -> bool:
        """Whether it lives though its hard stop has been."""
        return self.cluster.is_active and self.stop_after is not None and self.hours > self.stop_after + 0.25

    def lines(self) -> list[str]:
        """Return what there is to tell."""
        cluster = self.cluster
        lasted = human_duration(self.hours * 3600)
        cost = cost_words(self.hours, self.an_hour, self.has_spot)
        told = [f"{cluster.id} {cluster.name}: {cluster.state}, {lasted}{cost}"]
        if cluster.code or cluster.message:
            told.append(f"  {cluster.code}: {cluster.message}".replace(" : ", " "))
        told += [f"  {each}" for each in cluster.details]
        if cluster.state == FAILED and cluster.code in _WAYS_OUT:
            told.append(f"  {_WAYS_OUT[cluster.code].format(fetch=command('emr', 'fetch', cluster.id, 'logs'))}")
        told += [self._of_step(step) for step in self.steps]
        if self.is_overdue:
            end = command("emr", "terminate", cluster.id)
            told.append(f"  its hard stop after {self.stop_after} hours did not come: `{end}`")
        return told

    def _of_step(self, step: Step) -> str:
        took = ""
        if step.started is not None:
            took = f", {human_duration(((step.ended or self.now) - step.started).total_seconds())}"
        why = "".join(f": {each}" for each in (step.reason, step.log) if each)
        output = output_of(step.args)
        where = f", to {output}" if output is not None else ""
        return f"  {step.id} {step.name}: {step.state}{took}{where}{why}"


def price_of(emr: Any, cluster: str, prices: Prices) -> tuple[float | None, bool]:
    """Return (dollars an hour of a cluster on demand, whether it has nodes of the spot market); None: not known.

    Raises UserError where EMR does not tell its machines.
    """
    return _priced(_groups(emr, cluster), prices)


def look(emr: Any, cluster: str, prices: Prices) -> Status:
    """Return how a cluster is now. Raises UserError."""
    found = describe(emr, cluster)
    try:
        staged, stop_after = staged_of(emr, cluster)
    except UserError:  # made otherwise than by `launch`
        staged, stop_after = None, None
    steps, (an_hour, has_spot) = tuple(steps_of(emr, cluster)), price_of(emr, cluster, prices)
    return Status(found, steps, an_hour, staged, stop_after, datetime.now(UTC), has_spot)


def log_tail(cluster: Cluster, step: Step, lines: int = LINES) -> list[str]:
    """Return the last lines of a step's driver, which its stderr holds, without Spark's chatter; none before there are.

    EMR brings logs to S3 every five minutes, and at the end of a step. Raises UserError where they cannot be read.
    """
    if not cluster.log_uri:
        return []
    path = join_path(cluster.log_uri, cluster.id, "steps", step.id, "stderr.gz")
    if not exists(path):
        return []
    with open_input(path) as stream:
        content = stream.read(_MOST_LOG)
    told = [line for line in _text(content).splitlines() if line.strip() and not _CHATTER.match(line)]
    return told[-lines:]


def follow(
    look_now: Callable[[], Status],
    say: Callable[[str], None],
    tail: Callable[[Cluster, Step], Sequence[str]],
    wait: Callable[[float], None] = time.sleep,
) -> Status:
    """Tell of a cluster whenever something changes until it is settled, and return how it is then.

    A question that EMR is too busy to answer is asked again; any other failure of asking raises UserError.
    """
    told: list[str] = []
    seen: dict[str, list[str]] = {}
    while True:
        try:
            status = look_now()
        except UserError as error:
            if not _may_pass(error):
                raise
            wait(POLL_SECONDS)
            continue
        state = [status.cluster.state, *(step.state for step in status.steps)]
        if state != told:
            for line in status.lines():
                say(line)
            told = state
        for step in (step for step in status.steps if step.state in ("RUNNING", "FAILED")):
            lines = list(tail(status.cluster, step))
            for line in lines[_shared(seen.get(step.id, []), lines) :]:
                say(f"    {line}")
            seen[step.id] = lines
        if status.is_settled:
            return status
        wait(POLL_SECONDS)


def exit_code(status: Status) -> Exit:
    """Return the code of a program that has told of a cluster."""
    return Exit.CHECK_FAILED if status.has_failed else Exit.DONE


def _groups(emr: Any, cluster: str) -> list[dict[str, Any]]:
    with explained(cluster):
        pages = emr.get_paginator("list_instance_groups").paginate(ClusterId=cluster)
        return [each for page in pages for each in page["InstanceGroups"]]


def _priced(groups: Sequence[dict[str, Any]], prices: Prices) -> tuple[float | None, bool]:
    """Return dollars an hour of machines, on demand, and whether some are of the spot market; None: none is listed."""
    has_spot = any(each.get("Market") == SPOT for each in groups)
    try:
        an_hour = sum(
            (sum(prices.node_hour(each["InstanceType"])) + prices.number("address", "hour"))
            * int(each.get("RequestedInstanceCount", 0))
            for each in groups
        )
    except UserError:
        return None, has_spot
    return an_hour, has_spot


def cost_words(hours: float, an_hour: float | None, has_spot: bool) -> str:
    """Return what so many hours have cost, as it stands behind a state; "" where that is not known."""
    about = "at most" if has_spot else "about"
    return f", {about} ${hours * an_hour:.2f}" if an_hour is not None and hours else ""


def _may_pass(error: UserError) -> bool:
    cause = error.__context__
    return isinstance(cause, Exception) and is_busy(cause)


def _shared(before: list[str], now: list[str]) -> int:
    """Return how many of the lines were there before: the longest end of those with which these begin."""
    return next(length for length in range(len(now), -1, -1) if length == 0 or before[-length:] == now[:length])


def _text(content: bytes) -> str:
    """Return a log's text, also of a file that is not whole yet."""
    found = bytearray()
    while content and len(found) < _MOST_TEXT:
        member = zlib.decompressobj(wbits=_GZIP)
        try:
            found += member.decompress(content, _MOST_TEXT)
        except zlib.error:
            break
        content = member.unused_data
    return found.decode("utf-8", "replace")
