"""Connected components on a cluster whose workers are killed between the rounds."""

import re
from pathlib import Path

import pytest
from cluster import Cluster

pytestmark = pytest.mark.cluster

COMPONENTS = """
import sys
import time
import numpy as np
import psutil
from sparkprep.dedup.columns import LINKS
from sparkprep.dedup.resolve import stars
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import Table, spark_schema

folder, nodes, *workers = sys.argv[1:]
spark = get_session("stars")
names = np.random.default_rng(5).permutation(int(nodes)).tolist()
rows = spark.createDataFrame(list(zip(names[:-1], names[1:])), spark_schema(LINKS))
killed, asked = [], []

def is_executor(process):
    try:
        return "CoarseGrainedExecutorBackend" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False

def an_executor():
    end = time.monotonic() + 120
    while time.monotonic() < end:
        below = [each for pid in workers for each in psutil.Process(int(pid)).children(recursive=True)]
        for each in filter(is_executor, below):
            return each
        time.sleep(0.2)
    raise AssertionError("no executor runs")

def table_of_round(number):
    asked.append(number)
    if number in (2, 4):
        victim = an_executor()
        victim.kill()
        killed.append(victim.pid)
    return Table(f"{folder}/{number}", LINKS)

roots, rounds = stars.components(rows, table_of_round)
found = sorted(tuple(row) for row in roots.collect())
assert found == [(node, 0) for node in range(int(nodes))], "one chain, of which every node knows the least"
assert asked == list(range(rounds + 1)), "no round is made again"
print("killed", len(set(killed)), "rounds", rounds)
"""


def test_a_worker_that_is_killed_between_rounds_takes_no_round_with_it(
    cluster: Cluster, bucket: str, tmp_path: Path
) -> None:
    """A round lies in files that all see, and the next reads nothing else: what is lost with a worker is not missed."""
    script = tmp_path / "components.py"
    script.write_text(COMPONENTS)
    done = cluster.submit(script, f"{bucket}/rounds", "600", *map(str, cluster.pids))
    assert done.code == 0, done.said[-3000:]
    (told,) = re.findall(r"^killed (\d+) rounds (\d+)$", done.said, re.MULTILINE)
    assert told[0] == "2"
    assert int(told[1]) > 4
