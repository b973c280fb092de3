"""Clusters are launched once, given steps once, and ended; where something fails, what runs and is billed is said."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from checkout import ROOT
from emr_stubs import CLUSTER, STAGED, cluster, job_run, step, stubbed

from sparkprep.console import guarded, say_line, signals_held_back, what_is_left
from sparkprep.emr.aws.control import WAITING
from sparkprep.emr.places import Staged
from sparkprep.emr.running import clusters
from sparkprep.emr.serverless import applications
from sparkprep.errors import UserError

REQUEST: dict[str, Any] = json.loads((ROOT / "tests" / "emr" / "golden" / "course.json").read_text())
STEPS: list[dict[str, Any]] = json.loads((ROOT / "tests" / "emr" / "golden" / "steps.json").read_text())
ACTIVE = {"ClusterStates": ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]}
RUNS = f"{CLUSTER} runs and is billed; `sparkprep emr terminate {CLUSTER}` ends it"


def args_of(made: dict[str, Any]) -> list[str]:
    return list(made["HadoopJarStep"]["Args"])


def launch(emr: Any) -> None:
    with clusters.launched(emr, REQUEST):
        pass


def test_a_launch_asks_for_the_whole_request_and_returns_the_id() -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("list_clusters", {"Clusters": []}, ACTIVE)
        stubber.add_response("run_job_flow", {"JobFlowId": CLUSTER}, REQUEST)
        with clusters.launched(emr, REQUEST) as cluster:
            assert cluster == CLUSTER


def test_no_second_cluster_of_the_same_name_is_launched() -> None:
    there = {"Id": "j-1", "Name": "sparkprep", "Status": {"State": "WAITING"}}
    with stubbed() as (emr, stubber):
        stubber.add_response("list_clusters", {"Clusters": [there]}, ACTIVE)
        with pytest.raises(UserError, match="j-1 is named sparkprep, too, and is WAITING: use it"):
            launch(emr)


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (
            "ThrottlingException",
            "Rate exceeded",
            "EMR is busy (ThrottlingException); run the command again in a minute",
        ),
        ("ValidationException", "The supplied release label is invalid", "EMR refuses it: The supplied release label"),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/x is not",
            "ask for leave to do elasticmapreduce:RunJobFlow",
        ),
        ("UnrecognizedClientException", "The security token is invalid", "does not accept the credentials"),
        ("ExpiredTokenException", "expired", "does not accept the credentials"),
    ],
)
def test_what_emr_refuses_is_one_line_with_the_way_out(code: str, message: str, words: str) -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("list_clusters", {"Clusters": []}, ACTIVE)
        stubber.add_client_error("run_job_flow", code, message)
        with pytest.raises(UserError) as caught:
            launch(emr)
    assert str(caught.value).startswith("the cluster was not launched: ")
    assert words in str(caught.value)


class Signalled:
    """EMR whose answer to a request comes after a signal has."""

    def __init__(self, number: signal.Signals, error: Exception | None = None) -> None:
        self.number, self.error = number, error

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"Clusters": []}])

    def run_job_flow(self, **_: Any) -> dict[str, str]:
        signal.raise_signal(self.number)
        if self.error is not None:
            raise self.error
        return {"JobFlowId": CLUSTER}

    def start_job_run(self, **_: Any) -> dict[str, str]:
        signal.raise_signal(self.number)
        return {"jobRunId": "00job"}


@pytest.fixture
def handlers() -> Iterator[None]:
    """Give signals back to whom they belonged: a program that has ended by one passes over its repeats for a while."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def last_words(work: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def whole() -> int:
        work()
        return 0

    return guarded(whole, debug=False), capsys.readouterr().err


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_request_says_what_runs(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = last_words(lambda: launch(Signalled(number)), capsys)
    assert (code, said) == (128 + number, f"{WAITING}\ninterrupted: {RUNS}\n")


@pytest.mark.usefixtures("handlers")
def test_what_is_waited_for_is_said_once_and_before_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    answered = []

    def ask() -> None:
        with signals_held_back("waiting"):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            answered.append(capsys.readouterr().err)

    assert last_words(ask, capsys) == (143, "interrupted\n")
    assert answered == ["waiting\n"]


@pytest.mark.usefixtures("handlers")
def test_a_signal_while_a_job_is_started_says_that_it_may_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    job = {"applicationId": "00f1r2h3o4m5e6d7"}
    code, said = last_words(lambda: applications.start(Signalled(signal.SIGTERM), job, "token"), capsys)
    assert code == 143
    assert "00f1r2h3o4m5e6d7 may go on; `sparkprep emr terminate 00f1r2h3o4m5e6d7`" in said


@pytest.mark.usefixtures("handlers")
def test_a_signal_during_a_request_that_is_cut_off_says_that_the_cluster_may_be_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut = ConnectionClosedError(endpoint_url="https://emr")
    code, said = last_words(lambda: launch(Signalled(signal.SIGTERM, cut)), capsys)
    assert code == 143
    assert "it may be there: `sparkprep emr status` lists what is billed" in said


@pytest.mark.parametrize(
    ("code", "status", "may_be"),
    [
        ("InternalServerException", 400, True),
        ("InternalServerError", 500, True),
        ("GatewayTimeout", 504, True),
        ("504", 504, True),
        ("ServiceUnavailable", 503, True),
        ("ThrottlingException", 503, False),
        ("InvalidRequestException", 400, False),
        ("ExpiredTokenException", 403, False),
    ],
)
def test_only_a_refusal_proves_that_nothing_was_launched(code: str, status: int, may_be: bool) -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("list_clusters", {"Clusters": []}, ACTIVE)
        stubber.add_client_error("run_job_flow", code, "said", http_status_code=status)
        with pytest.raises(UserError) as caught:
            launch(emr)
    assert ("it may be there: `sparkprep emr status` lists what is billed" in str(caught.value)) is may_be
    assert str(caught.value).startswith("the cluster was not launched: ") is not may_be


def test_steps_that_wait_run_or_are_done_are_not_given_again_and_failed_ones_are() -> None:
    there = [step(number, state, args_of(STEPS[number])) for number, state in enumerate(("COMPLETED", "FAILED"))]
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", cluster("WAITING"), {"ClusterId": CLUSTER})
        stubber.add_response("list_steps", {"Steps": there[::-1]}, {"ClusterId": CLUSTER})
        asked = {"JobFlowId": CLUSTER, "Steps": STEPS[1:]}
        stubber.add_response("add_job_flow_steps", {"StepIds": ["s-8", "s-9"]}, asked)
        new, same = clusters.add_steps(emr, CLUSTER, STEPS)
    assert new == ["s-8", "s-9"]
    assert [(each.id, each.state) for each in same] == [("s-0", "COMPLETED")]


def test_a_cluster_that_has_ended_takes_no_steps() -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", cluster("TERMINATED"), {"ClusterId": CLUSTER})
        with pytest.raises(UserError, match=f"{CLUSTER} is TERMINATED and takes no steps"):
            clusters.add_steps(emr, CLUSTER, STEPS)


@pytest.mark.parametrize("failing", ["list_steps", "add_job_flow_steps"])
def test_where_steps_cannot_be_given_it_is_said_that_the_cluster_runs(failing: str) -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", cluster("WAITING"), {"ClusterId": CLUSTER})
        if failing == "add_job_flow_steps":
            stubber.add_response("list_steps", {"Steps": []}, {"ClusterId": CLUSTER})
        stubber.add_client_error(failing, "InvalidRequestException", "Maximum number of active steps reached")
        with pytest.raises(UserError) as caught:
            clusters.add_steps(emr, CLUSTER, STEPS)
    assert what_is_left(caught.value) == RUNS


def test_an_interrupt_says_that_the_cluster_runs_and_how_it_is_ended() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, clusters.that_runs(CLUSTER):
        raise KeyboardInterrupt
    assert what_is_left(caught.value) == RUNS


def test_a_reader_that_has_gone_leaves_no_cluster_untold(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError), clusters.that_runs(CLUSTER), clusters.that_runs(CLUSTER):
        raise BrokenPipeError
    assert capsys.readouterr().err == f"{RUNS}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
def test_a_full_disk_leaves_no_cluster_untold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        with clusters.that_runs(CLUSTER):
            say_line("it is launched")
        return 0

    with open("/dev/full", "w") as full, contextlib.suppress(OSError):
        monkeypatch.setattr(sys, "stdout", full)
        code = guarded(work, debug=False)
    assert (code, capsys.readouterr().err.partition("; ")[2]) == (2, f"{RUNS}\n")


def test_a_cluster_is_terminated_once_and_one_that_has_ended_is_left() -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", cluster("WAITING"), {"ClusterId": CLUSTER})
        stubber.add_response("terminate_job_flows", {}, {"JobFlowIds": [CLUSTER]})
        stubber.add_response("describe_cluster", cluster("TERMINATING"), {"ClusterId": CLUSTER})
        assert clusters.terminate(emr, CLUSTER).state == "TERMINATING"
        stubber.add_response("describe_cluster", cluster("TERMINATED"), {"ClusterId": CLUSTER})
        assert clusters.terminate(emr, CLUSTER).state == "TERMINATED"


def test_a_cluster_that_goes_on_after_its_termination_is_an_error_that_says_so() -> None:
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", cluster("RUNNING"), {"ClusterId": CLUSTER})
        stubber.add_response("terminate_job_flows", {}, {"JobFlowIds": [CLUSTER]})
        stubber.add_response("describe_cluster", cluster("RUNNING"), {"ClusterId": CLUSTER})
        with pytest.raises(UserError, match="is still RUNNING: is it protected from termination") as caught:
            clusters.terminate(emr, CLUSTER)
    assert what_is_left(caught.value) == RUNS


def test_what_was_staged_for_a_cluster_is_known_by_its_bootstrap_and_another_ones_is_refused() -> None:
    ours = {"Name": "x", "ScriptPath": f"{STAGED}/bootstrap.sh", "Args": [STAGED, "--stop-after-hours", "3"]}
    with stubbed() as (emr, stubber):
        stubber.add_response("list_bootstrap_actions", {"BootstrapActions": [ours]}, {"ClusterId": CLUSTER})
        assert clusters.staged_of(emr, CLUSTER) == (Staged(STAGED), 3)
        other = {"Name": "x", "ScriptPath": "s3://other/bootstrap.sh", "Args": []}
        stubber.add_response("list_bootstrap_actions", {"BootstrapActions": [other]}, {"ClusterId": CLUSTER})
        with pytest.raises(UserError, match="was not launched with this package's bootstrap"):
            clusters.staged_of(emr, CLUSTER)


@pytest.mark.parametrize("text", ["", "j-", "sparkprep", "j-2ax", "j-2AX/../x"])
def test_what_is_no_cluster_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(UserError, match="is no cluster; its id is like j-2AXXXXXXGAPLF"):
        clusters.check_id(text)


def test_jobs_of_an_application_are_cancelled_before_it_is_stopped() -> None:
    application = {"applicationId": "00f1r2h3o4m5e6d7"}
    with stubbed("emr-serverless") as (serverless, stubber):
        stubber.add_response("list_job_runs", {"jobRuns": [job_run("RUNNING"), job_run("SUCCESS")]}, application)
        stubber.add_response(
            "cancel_job_run", {**application, "jobRunId": "00RUNNING"}, {**application, "jobRunId": "00RUNNING"}
        )
        assert applications.end(serverless, application["applicationId"]) == ["00RUNNING"]
        stubber.add_response("list_job_runs", {"jobRuns": [job_run("CANCELLED")]}, application)
        stubber.add_response("stop_application", {}, application)
        assert applications.end(serverless, application["applicationId"]) == []


@pytest.mark.parametrize("job", [0, 1, 2])
@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETED"])
def test_a_run_with_other_words_takes_another_output(job: int, state: str) -> None:
    there = [step(number, state, args_of(each)) for number, each in enumerate(STEPS)]
    changed = json.loads(json.dumps(STEPS))
    changed[job]["HadoopJarStep"]["Args"] += ["--seed", "7"]
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", cluster("WAITING"), {"ClusterId": CLUSTER})
        stubber.add_response("list_steps", {"Steps": there[::-1]}, {"ClusterId": CLUSTER})
        with pytest.raises(UserError, match=f"s-{job} step {job} of {CLUSTER} writes there with other words") as caught:
            clusters.add_steps(emr, CLUSTER, changed)
    assert "take another --output" in str(caught.value)
    assert what_is_left(caught.value) == RUNS


@pytest.mark.parametrize(
    ("given", "there", "words"),
    [
        (STEPS, [], "give the jobs one after the other's end, with --jobs dedup first"),
        (STEPS[1:2], [step(0, "RUNNING", args_of(STEPS[0]))], "give the jobs one after the other's end"),
        (STEPS[1:2], [step(0, "COMPLETED", args_of(STEPS[0]))], "give --on-failure CONTINUE"),
    ],
)
def test_a_cluster_that_runs_steps_at_once_is_given_none_that_waits_for_another(
    given: list[dict[str, Any]], there: list[dict[str, Any]], words: str
) -> None:
    waiting = cluster("WAITING")
    waiting["Cluster"]["StepConcurrencyLevel"] = 3
    with stubbed() as (emr, stubber):
        stubber.add_response("describe_cluster", waiting, {"ClusterId": CLUSTER})
        stubber.add_response("list_steps", {"Steps": there}, {"ClusterId": CLUSTER})
        with pytest.raises(UserError, match=f"{CLUSTER} runs 3 steps at once.*{words}"):
            clusters.add_steps(emr, CLUSTER, given)
