"""How a cluster is: failures by name with the way out, what it has cost, and the last lines of the driver's log."""

import gzip
from datetime import timedelta
from typing import Any

import pytest
import s3_buckets
from emr_stubs import CLUSTER, STAGED, START, add_look, step, stubbed

from sparkprep.console import Exit
from sparkprep.emr.cost.prices import load
from sparkprep.emr.running.clusters import Cluster, Step
from sparkprep.emr.running.status import Status, exit_code, follow, log_tail, look
from sparkprep.errors import UserError

PRICES = load()


def looked(state: str, steps: list[dict[str, Any]], **reason: Any) -> Status:
    with stubbed() as (emr, stubber):
        add_look(stubber, state, steps, **reason)
        return look(emr, CLUSTER, PRICES)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("BOOTSTRAP_FAILURE", "the bootstrap failed on a node; `sparkprep emr fetch"),
        ("STEP_FAILURE", "a step failed; `sparkprep emr fetch"),
        ("VALIDATION_ERROR", "EMR does not take the cluster as asked for (quota of vCPUs"),
        ("INTERNAL_ERROR", "or the primary node came to its hard stop"),
        ("INSTANCE_FAILURE", "nodes were lost (SPOT?)"),
    ],
)
def test_a_cluster_that_ended_with_errors_says_why_and_what_to_do(code: str, words: str) -> None:
    detail = {"ErrorCode": "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE", "ErrorMessage": "bootstrap action 1 failed"}
    now = looked("TERMINATED_WITH_ERRORS", [], code=code, message="On the primary instance", ErrorDetails=[detail])
    told = "\n".join(now.lines())
    assert words in told
    assert f"{code}: On the primary instance" in told
    assert "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE: bootstrap action 1 failed" in told
    assert exit_code(now) == Exit.CHECK_FAILED
    assert now.is_settled


def test_a_step_that_failed_is_told_with_emrs_reason_and_sets_the_exit_code() -> None:
    now = looked("WAITING", [step(1, "COMPLETED"), step(2, "FAILED", Reason="Unknown Error.", LogFile="s3://x")])
    assert any(line.startswith("  s-2 step 2: FAILED") and "Unknown Error.: s3://x" in line for line in now.lines())
    assert exit_code(now) == Exit.CHECK_FAILED
    assert exit_code(looked("WAITING", [step(1, "COMPLETED")])) == Exit.DONE


def test_steps_stand_in_the_order_in_which_they_were_given() -> None:
    now = looked("RUNNING", [step(1, "COMPLETED"), step(2, "RUNNING"), step(3, "PENDING")])
    assert [each.id for each in now.steps] == ["s-1", "s-2", "s-3"]
    assert "s-1 step 1: COMPLETED, 5 minutes" in now.lines()[1]


def test_steps_of_two_runs_are_told_apart_by_where_they_write() -> None:
    words = [["spark-submit", "x.py", "--input", "s3://b/docs", "--output", f"s3://b/{run}/clean"] for run in "xy"]
    told = looked("RUNNING", [step(1, "COMPLETED", words[0]), step(2, "RUNNING", words[1])]).lines()
    assert told[-2].endswith(", to s3://b/x/clean")
    assert told[-1].endswith(", to s3://b/y/clean")


def test_what_it_has_cost_so_far_and_a_hard_stop_that_did_not_come_are_told() -> None:
    now = looked("WAITING", [])
    later = Status(now.cluster, now.steps, now.an_hour, now.staged, now.stop_after, START + timedelta(hours=9))
    assert now.an_hour == pytest.approx(8 * (0.315 + 0.005))
    assert later.lines()[0].endswith("WAITING, 9 hours, about $23.04")
    assert f"its hard stop after 8 hours did not come: `sparkprep emr terminate {CLUSTER}`" in later.lines()[-1]


def test_following_tells_each_change_once_and_ends_when_the_steps_are_over() -> None:
    states = [
        ("STARTING", []),
        ("RUNNING", [step(1, "RUNNING")]),
        ("RUNNING", [step(1, "RUNNING")]),
        ("WAITING", [step(1, "COMPLETED")]),
    ]
    logs = iter([["read  1 s"], ["read  1 s", "sketch  2 s"]])
    said: list[str] = []
    waited: list[float] = []
    with stubbed() as (emr, stubber):
        for state, steps in states:
            add_look(stubber, state, steps)
        last = follow(lambda: look(emr, CLUSTER, PRICES), said.append, lambda *_: next(logs), waited.append)
    assert last.is_settled
    assert len(waited) == 3
    assert [line.strip() for line in said if line.startswith("    ")] == ["read  1 s", "sketch  2 s"]
    assert sum("s-1 step 1: RUNNING" in line for line in said) == 1


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        (
            [("STARTING", [], {}), ("BOOTSTRAPPING", [], {}),
             ("TERMINATED_WITH_ERRORS", [], {"code": "BOOTSTRAP_FAILURE", "message": "On the primary instance"})],
            "BOOTSTRAP_FAILURE: On the primary instance",
        ),
        (
            [("RUNNING", [step(1, "RUNNING"), step(2, "PENDING")], {}),
             ("WAITING", [step(1, "FAILED", Reason="Unknown Error."), step(2, "CANCELLED")], {})],
            "s-1 step 1: FAILED",
        ),
        (
            [("RUNNING", [step(1, "RUNNING")], {}),
             ("TERMINATING", [step(1, "FAILED")], {"code": "STEP_FAILURE", "message": "Shut down as step failed"})],
            "STEP_FAILURE: Shut down as step failed",
        ),
    ],
)  # fmt: skip
def test_following_ends_with_a_failure_and_its_exit_code(
    looks: list[tuple[str, list[dict[str, Any]], dict[str, str]]], words: str
) -> None:
    said: list[str] = []
    with stubbed() as (emr, stubber):
        for state, steps, reason in looks:
            add_look(stubber, state, steps, **reason)
        last = follow(lambda: look(emr, CLUSTER, PRICES), said.append, lambda *_: [], lambda seconds: None)
    assert words in "\n".join(said)
    assert exit_code(last) == Exit.CHECK_FAILED


def test_following_bears_that_emr_is_busy_and_nothing_else() -> None:
    said: list[str] = []
    with stubbed() as (emr, stubber):
        stubber.add_client_error("describe_cluster", "ThrottlingException", "Rate exceeded")
        add_look(stubber, "TERMINATED", [])
        follow(lambda: look(emr, CLUSTER, PRICES), said.append, lambda *_: [], lambda seconds: None)
        stubber.add_client_error("describe_cluster", "InvalidRequestException", "Cluster id is not valid.")
        with pytest.raises(UserError, match="EMR refuses it: Cluster id is not valid"):
            follow(lambda: look(emr, CLUSTER, PRICES), said.append, lambda *_: [], lambda seconds: None)
    assert "TERMINATED" in said[0]


def cluster_of_logs(uri: str) -> tuple[Cluster, Step]:
    found = Cluster(CLUSTER, "x", "RUNNING", "", "", (), None, None, uri)
    return found, Step("s-1", "x", "RUNNING", (), None, None, "", "")


def test_the_last_lines_of_the_drivers_log_are_read_from_s3(bucket: str) -> None:
    chatter = "26/11/28 12:00:00 INFO TaskSetManager: Starting task 0.0\n"
    text = "".join(f"{chatter}line {number}\n{chatter}" for number in range(100)).encode()
    key = f"logs/{CLUSTER}/steps/s-1/stderr.gz"
    s3_buckets.client().put_object(Bucket="bucket", Key=key, Body=gzip.compress(text))
    assert log_tail(*cluster_of_logs(f"{bucket}/logs"), lines=2) == ["line 98", "line 99"]
    cut = gzip.compress(text)[:-12]  # while EMR has not ended the file
    s3_buckets.client().put_object(Bucket="bucket", Key=key, Body=cut)
    assert log_tail(*cluster_of_logs(f"{bucket}/logs"), lines=1)[0].startswith("line ")
    assert log_tail(*cluster_of_logs(f"{bucket}/elsewhere")) == []


def test_the_logs_of_a_cluster_lie_where_emr_says_whatever_scheme_it_writes() -> None:
    assert looked("RUNNING", []).cluster.log_uri == f"{STAGED}/logs"
