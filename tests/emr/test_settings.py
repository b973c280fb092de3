"""What EMR would not take, or would take for something else, is refused before it is asked."""

from datetime import date
from typing import Any

import pytest

from sparkprep.emr.cluster.releases import applications_of, support_of
from sparkprep.emr.cluster.settings import ClusterSettings
from sparkprep.emr.jobs import RunSettings
from sparkprep.errors import UserError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"market": "SPOTTY"}, "market: 'SPOTTY' is none of ON_DEMAND, SPOT; did you mean SPOT?"),
        ({"volume_type": "gp9"}, "volume_type: 'gp9' is none of gp3, gp2"),
        ({"idle_minutes": 0}, "idle_minutes: 0 is below 1"),
        ({"idle_minutes": 10081}, "idle_minutes: 10081 is above 10,080"),
        ({"step_concurrency": 257}, "step_concurrency: 257 is above 256"),
        ({"core_gb": 0}, "core_gb: 0 is below 10"),
        ({"core_nodes": 1000}, "--core-nodes 1,000: more than 100, where this program stops a slip of the hand"),
        ({"core_nodes": 0}, "core_nodes: 0 is below 1"),
        ({"max_dollars": 0.0}, "max_dollars: 0 is not above 0"),
        ({"executor_memory": "lots"}, "executor_memory: 'lots' is no amount of memory"),
        ({"executor_memory": "10"}, "executor_memory: '10' has no unit; give 10g"),
        ({"driver_memory": "8"}, "driver_memory: '8' has no unit; give 8g"),
        ({"executor_memory": "1k"}, "executor_memory: '1k' is below 450m, with which Spark does not start"),
        ({"executor_overhead": "100m"}, "executor_overhead: '100m' is below 384m"),
        ({"name": "my cluster"}, "name: 'my cluster': take up to 64 letters"),
        ({"subnet": "vpc-12"}, "'vpc-12' is no subnet"),
        ({"release": "emr-77.7"}, "'emr-77.7' is no release label; write it like emr-7.7.0"),
        ({"release": "emr-7.0.0"}, "Python 3.11 comes with emr-7.1.0"),
        ({"release": "emr-6.15.0"}, "Python 3.11 comes with emr-7.1.0"),
        ({"release": "emr-spark-9.0.0"}, "knows 8.x alone"),
        ({"release": "emr-spark-8.1.0", "applications": "Spark,JupyterHub"}, "emr-spark-8.1.0 has no JupyterHub"),
        ({"applications": "Hadoop"}, "Spark is missing"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        ClusterSettings(**settings)
    assert words in str(caught.value)


def test_the_word_for_a_failed_step_is_one_of_emrs() -> None:
    with pytest.raises(UserError, match="on_failure: 'STOP' is none of"):
        RunSettings(on_failure="STOP")


def test_a_release_of_spark_4_gets_what_it_has() -> None:
    assert "JupyterHub" in applications_of("emr-7.14.0")
    assert applications_of("emr-spark-8.1.0") == ("Spark", "Livy", "JupyterEnterpriseGateway")


@pytest.mark.parametrize(
    ("label", "today", "words", "is_doubtful"),
    [
        ("emr-7.7.0", date(2026, 11, 28), "supported by AWS until 2027-02-06", False),
        ("emr-7.7.0", date(2027, 2, 6), "out of AWS's support since 2027-02-06", True),
        ("emr-7.2.0", date(2026, 11, 28), "out of AWS's support since 2026-10-16 at the latest", True),
        ("emr-7.12.0", date(2026, 11, 28), "until 2028-04-22 at the latest", False),
        ("emr-7.99.0", date(2026, 11, 28), "newer than the releases", False),
    ],
)
def test_the_end_of_a_releases_support_is_told(label: str, today: date, words: str, is_doubtful: bool) -> None:
    said, doubtful = support_of(label, today)
    assert words in said
    assert doubtful is is_doubtful
