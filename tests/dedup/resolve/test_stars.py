"""Connected components in DataFrames: the same as a plain search, whatever the shape of the graph."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
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
