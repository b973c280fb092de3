"""What a refusal or a warning of a plan offers is accepted when it is taken, whatever was asked for."""

import re
from datetime import date
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.cost.prices import load
from sparkprep.emr.plan import Plan, make_plan
from sparkprep.errors import UserError

MACHINES = ["m5.xlarge", "m5.2xlarge", "r5.xlarge", "r5.2xlarge", "r5.4xlarge"]
ROOMS = st.fixed_dictionaries(
    {
        "instance_type": st.sampled_from(MACHINES),
        "core_nodes": st.integers(1, 9),
        "executor_cores": st.integers(1, 20),
        "executor_memory": st.integers(1, 60).map("{}g".format),
        "executor_overhead": st.integers(1, 60).map("{}g".format),
        "driver_memory": st.integers(1, 140).map("{}g".format),
        "executors": st.none() | st.integers(1, 40),
        "queue_percent": st.integers(1, 100),
    }
)


def planned(**settings: Any) -> Plan:
    work = {name: settings.pop(name) for name in ("documents", "text_gb") if name in settings}
    return make_plan(
        ClusterSettings(**settings), WorkSettings(**work), load(), "us-east-1", None, today=date(2026, 11, 28)
    )


def refusal(**settings: Any) -> str:
    try:
        planned(**settings)
    except UserError as error:
        return str(error)
    return ""


def offered(said: str) -> list[dict[str, Any]]:
    """Every way out of a line: the flags that stand behind `give`, of each complaint one of its alternatives."""
    parts = [part.partition("give ")[2].split(", or ") for part in said.split("; ") if "give " in part]
    ways = [[flags for each in part if (flags := flags_in(each))] for part in parts]
    return [dict(pair for flags in way for pair in flags.items()) for way in product(*ways)]


def flags_in(text: str) -> dict[str, Any]:
    found = re.findall(r"--([a-z-]+) ([0-9]+g?)", text)
    return {name.replace("-", "_"): word if word.endswith("g") else int(word) for name, word in found}


@examples(suppress_health_check=[HealthCheck.filter_too_much])
@given(settings=ROOMS)
def test_memory_and_cores_that_a_refusal_offers_are_placed(settings: dict[str, Any]) -> None:
    roomy = {"max_dollars": 10_000.0, "documents": 1000, **settings}
    said = refusal(**roomy)
    ways = offered(said)
    assume(ways and "take larger" not in said)  # or no executor fits on these machines, whatever its size
    for way in ways:
        assert refusal(**{**roomy, **way}) == ""


@examples(suppress_health_check=[HealthCheck.filter_too_much])
@given(
    money=st.floats(0.1, 100),
    hours=st.none() | st.integers(1, 168),
    gigabytes=st.floats(1, 400),
    nodes=st.integers(1, 9),
)
def test_hours_and_dollars_that_a_refusal_offers_are_enough(
    money: float, hours: int | None, gigabytes: float, nodes: int
) -> None:
    settings = {"max_dollars": money, "max_hours": hours, "text_gb": gigabytes, "core_nodes": nodes, "core_gb": 1024}
    ways = offered(refusal(**settings))
    assume(ways)
    for way in ways:
        assert refusal(**{**settings, **way}) == ""


@examples(suppress_health_check=[HealthCheck.filter_too_much])
@given(settings=ROOMS)
def test_what_a_warning_of_idle_nodes_offers_gives_each_a_task(settings: dict[str, Any]) -> None:
    roomy = {"max_dollars": 10_000.0, "documents": 1000, **settings}
    assume(refusal(**roomy) == "")
    before = planned(**roomy)
    warnings = [each for each in before.warnings if "paid for; --" in each]
    assume(warnings)
    for warning in warnings:
        assert planned(**{**roomy, **flags_in(warning)}).placed.tasks > before.placed.tasks


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"executor_memory": "20g", "executor_overhead": "3840m"},
            "1 of 7 core nodes gets no executor, and 4 of 28 cores no task, though they are paid for; "
            "--executor-memory 10g --executor-overhead 13g does better",
        ),
        ({"executor_cores": 1}, "21 of 28 cores get no task, though they are paid for; --executor-cores 4 does better"),
        ({"executors": 1}, "6 of 7 core nodes get no executor, and 24 of 28 cores no task"),
        ({"queue_percent": 50}, "4 of 7 core nodes get no executor"),
        ({"executor_memory": "18g", "executor_overhead": "3g"}, "a Python worker has 307 MB and needs about 1,024"),
    ],
)
def test_what_is_paid_for_and_not_used_is_told(settings: dict[str, Any], words: str) -> None:
    assert any(words in each for each in planned(**settings).warnings), planned(**settings).warnings


def test_executors_and_driver_that_do_not_fit_are_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        planned(instance_type="m5.xlarge")
    assert "--executor-memory" in str(caught.value)
    assert "--driver-memory 6g" in str(caught.value)
