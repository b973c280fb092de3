"""What YARN can place is reckoned before a cluster is paid for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.emr.cluster.fits import MASTER_MB, Fit, Node, check_driver, fit, megabytes, placed
from sparkprep.errors import UserError
from sparkprep.spark.clusters import R5_XLARGE_X7

R5 = Node("r5.xlarge", 4, 32 * 1024, 24_576)
M5 = Node("m5.xlarge", 4, 16 * 1024, 12_288)


def fitted(node: Node = R5, nodes: int = 7, **settings: Any) -> Fit:
    return fit(node, nodes, **{"cores": 4, "memory": "10g", "overhead": "12g", **settings})


def refusal(node: Node = R5, nodes: int = 7, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        fitted(node, nodes, **settings)
    return str(caught.value)


def test_the_profile_places_an_executor_on_each_node_and_leaves_room_for_the_application_master() -> None:
    profile = R5_XLARGE_X7
    found = fitted(cores=profile.cores, memory=profile.memory, overhead=profile.overhead, executors=profile.executors)
    assert (found.executors, found.tasks, found.container_mb) == (7, 28, 22_528)
    assert found.container_mb + MASTER_MB <= R5.yarn_mb
    assert found.python_mb == (12_288 - 1_024) // 4


def test_the_courses_line_places_six_of_seven() -> None:
    assert placed(R5, 7, 20_480 + 3_840) == 6
    said = refusal(memory="20GB", overhead=None, executors=7)
    assert said.startswith("7 executors: YARN places 6 of them (24,320 MB each on 7 r5.xlarge with 24,576 MB")
    assert fitted(memory="20GB", overhead=None).executors == 6


@given(nodes=st.integers(1, 9), yarn_mb=st.integers(1_000, 40_000), container_mb=st.integers(100, 45_000))
def test_as_many_are_placed_as_node_after_node_takes(nodes: int, yarn_mb: int, container_mb: int) -> None:
    room = [yarn_mb] * nodes
    room[0] -= MASTER_MB
    executors = 0
    for number in range(nodes):
        while room[number] >= container_mb:
            room[number] -= container_mb
            executors += 1
    assert placed(Node("x", 4, 2 * yarn_mb, yarn_mb), nodes, container_mb) == executors


def test_what_a_refusal_offers_fits() -> None:
    for node, nodes, settings in (
        (R5, 7, {"memory": "25g"}),
        (M5, 7, {}),
        (M5, 1, {"memory": "11g", "overhead": "1g"}),
    ):
        offered = refusal(node, nodes, **settings).split("--executor-memory ")[1].split()
        assert fitted(node, nodes, memory=offered[0], overhead=offered[2]).executors == nodes


@pytest.mark.parametrize(
    ("nodes", "settings", "words"),
    [
        (7, {"memory": "13g"}, "an executor of 13,312 + 12,288 MB does not fit: YARN has 24,576 MB on a r5.xlarge"),
        (1, {"memory": "12g"}, "no executor can be placed: the application master needs 896 MB beside"),
        (1, {"queue_percent": 50}, "the queue may take 50 % of the 24,576 MB that YARN has"),
        (
            7,
            {"executors": 8, "memory": "1g", "overhead": "1g"},
            "YARN places 7 of them (4 cores each on 7 r5.xlarge of 4)",
        ),
        (7, {"cores": 5}, "5 cores an executor: a r5.xlarge has 4"),
    ],
)
def test_what_cannot_be_placed_is_refused_with_its_numbers(nodes: int, settings: dict[str, Any], words: str) -> None:
    assert words in refusal(nodes=nodes, **settings)


def test_a_queue_that_may_take_a_part_is_given_the_executors_that_fit_into_it() -> None:
    assert fitted(queue_percent=50).executors == 3


def test_a_driver_leaves_the_primary_node_room_for_its_services() -> None:
    check_driver(R5, "20g")
    with pytest.raises(UserError, match="give --driver-memory 6g or less"):
        check_driver(M5, "8g")


@pytest.mark.parametrize(
    ("text", "value"), [("10g", 10_240), ("512m", 512), ("20GB", 20_480), ("1025k", 2), ("77", 77)]
)
def test_memory_is_read_in_sparks_notation(text: str, value: int) -> None:
    assert megabytes(text) == value


@pytest.mark.parametrize("text", ["", "g", "-1g", "1.5g", "0g", "10 apples"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount of memory"):
        megabytes(text)
