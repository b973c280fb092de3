"""Connected components in DataFrames: the same as a plain search, whatever the shape of the graph."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkprep.dedup.columns import LINKS
from sparkprep.dedup.resolve import stars
from sparkprep.spark.tables import Table, spark_schema


def by_search(edges: list[tuple[int, int]]) -> dict[int, int]:
    neighbours = defaultdict(set)
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    root: dict[int, int] = {}
    for start in sorted(neighbours):
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node not in root:
                root[node] = start
                waiting += neighbours[node]
    return root


def shapes(random: np.random.Generator) -> list[tuple[int, int]]:
    """A path of 40, a star, a cycle, a clique, a random tree and random pairs; nodes bear random names below 2**40."""
    parts = [
        [(i, i + 1) for i in range(39)],
        [(0, i) for i in range(1, 40)],
        [(i, (i + 1) % 12) for i in range(12)],
        [(i, j) for j in range(8) for i in range(j)],
        [(i, int(random.integers(0, i))) for i in range(1, 60)],
        random.integers(0, 80, (60, 2)).tolist(),
    ]
    edges, used = [], 0
    for part in parts:
        edges += [(a + used, b + used) for a, b in part if a != b]
        used += 1 + max(max(edge) for edge in part)
    names = np.sort(random.choice(1 << 40, used, replace=False))
    in_order = used // 2  # half of the nodes keep their order: a path that runs upwards all the way
    names[in_order:] = random.permutation(names[in_order:])
    return [(int(names[a]), int(names[b])) for a, b in edges]


def rounds_in(folder: Path) -> Callable[[int], Table]:
    return lambda number: Table(str(folder / str(number)), LINKS)


def test_components_are_those_of_a_search(spark: SparkSession, tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    edges = shapes(random)
    both_ways = edges + [(b, a) for a, b in edges[::5]] + edges[::7]  # directions and repeats say nothing
    rows = spark.createDataFrame([both_ways[i] for i in random.permutation(len(both_ways))], spark_schema(LINKS))
    roots, told = stars.components(rows, rounds_in(tmp_path / "rounds"))
    found = [tuple(row) for row in roots.select("node", "root").collect()]
    expected = by_search(edges)
    assert len(found) == len(expected), "each node once"
    assert dict(found) == expected
    rounds = len(list((tmp_path / "rounds").iterdir()))
    assert rounds == told + 1, "the links as they came, and those after each round"
    assert rounds <= 10, "a path of 40 settles in few rounds"


def test_no_edges_no_components(spark: SparkSession, tmp_path: Path) -> None:
    none = spark.createDataFrame([], spark_schema(LINKS))
    assert stars.components(none, rounds_in(tmp_path / "rounds")).roots.collect() == []


KILLED = """
import os, signal, sys
import numpy as np
import psutil
from sparkprep.dedup.columns import LINKS
from sparkprep.dedup.resolve import stars
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import Table, spark_schema

folder, nodes = sys.argv[1], 3000
few = {"spark.sql.shuffle.partitions": "2", "spark.task.maxFailures": "8"}
spark = get_session("killed", few, master="local-cluster[2,1,1024]")
names = np.random.default_rng(5).permutation(nodes).tolist()
rows = spark.createDataFrame(list(zip(names[:-1], names[1:])), spark_schema(LINKS))
killed, written = [], {}

def table_of_round(number):
    for before in range(number):
        there = {f.name: f.stat().st_mtime_ns for f in os.scandir(f"{folder}/{before}")}
        assert written.setdefault(before, there) == there, f"round {before} was computed again"
    if number in (3, 5):
        below = psutil.Process().children(recursive=True)
        workers = [each for each in below if "CoarseGrainedExecutorBackend" in " ".join(each.cmdline())]
        assert len(workers) >= 1, "no executor of ours is there"
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait(30)
        killed.append(workers[0].pid)
    return Table(f"{folder}/{number}", LINKS)

roots, rounds = stars.components(rows, table_of_round)
found = sorted(tuple(row) for row in roots.collect())
assert found == [(node, 0) for node in range(nodes)], "one chain, of which every node knows the least"
print("killed", len(killed), "rounds", rounds)
spark.stop()
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_between_rounds_takes_no_round_with_it(tmp_path: Path) -> None:
    """On two executors, each killed in turn: a round lies in files, which all see, and is never computed again."""
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    _, killed, _, rounds = run.stdout.split()[-4:]
    assert int(killed) == 2
    assert int(rounds) > 5
