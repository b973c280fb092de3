"""The keep rules and the components under them, on driver and cluster: one answer, and that of others' libraries."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as by_scipy

from sparkprep.dedup.kernels import clusters
from sparkprep.dedup.kernels.components import connected_components
from sparkprep.dedup.resolve import figures
from sparkprep.dedup.resolve.cluster import _keep_or_remove
from sparkprep.documents.keys import KEY

NO_COPIES = np.empty((0, 2), np.int64)
SHAPES = ("random", "chain", "star", "clique", "giant", "mixed")


def shaped(shape: str, nodes: int, seed: int) -> nx.Graph:
    """A graph of one shape, its nodes numbered at random, each edge with a similarity, ties among them."""
    random = np.random.default_rng(seed)
    made = {
        "random": lambda: nx.gnm_random_graph(nodes, nodes // 2, seed=seed),
        "chain": lambda: nx.path_graph(nodes),
        "star": lambda: nx.star_graph(nodes - 1),
        "clique": lambda: nx.complete_graph(min(nodes, 30)),
        "giant": lambda: nx.gnm_random_graph(nodes, 4 * nodes, seed=seed),
        "mixed": lambda: nx.disjoint_union_all([shaped(each, nodes // 5 + 2, seed) for each in SHAPES[:5]]),
    }[shape]()
    names = random.permutation(len(made)).tolist()
    graph = nx.relabel_nodes(made, dict(enumerate(names)))
    for a, b in graph.edges:
        graph.edges[a, b]["jaccard"] = float(random.choice([0.75, 0.8, 0.85, 0.9, 1.0]))
    return graph


def arrays(graph: nx.Graph) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    ends = np.array(graph.edges, np.int64).reshape(-1, 2)
    return len(graph), ends[:, 0], ends[:, 1], np.array([graph.edges[e]["jaccard"] for e in graph.edges], np.float64)


def leaders(graph: nx.Graph) -> dict[int, tuple[int, float]]:
    """{a removed node: (kept one, similarity)}: the rule in ten lines; a node's number is its place in keep order."""
    kept: set[int] = set()
    removed = {}
    for node in range(len(graph)):
        near = [(graph.edges[node, other]["jaccard"], -other) for other in graph[node] if other in kept]
        if near:
            jaccard, other = max(near)
            removed[node] = (-other, jaccard)
        else:
            kept.add(node)
    return removed


def on_driver(graph: nx.Graph, rule: str) -> dict[int, tuple[int, float]]:
    n, a, b, jaccard = arrays(graph)
    found = (clusters.leader if rule == "leader" else clusters.component)(n, NO_COPIES, a, b, jaccard)
    return dict(zip(found.removed.tolist(), zip(found.kept.tolist(), found.jaccard.tolist(), strict=True), strict=True))


def rows_in_keep_order(graph: nx.Graph, cut: int) -> list[pa.RecordBatch]:
    """What the cluster's tasks are given: a row for each node with an edge, by components, in batches of `cut` rows."""
    rows = [
        {
            "root": min(members),
            KEY: node,
            "neighbours": list(graph[node]),
            "similarity": [graph.edges[node, other]["jaccard"] for other in graph[node]],
        }
        for members in nx.connected_components(graph)
        if len(members) > 1
        for node in sorted(members)
    ]
    lists = [pa.field("neighbours", pa.list_(pa.int64())), pa.field("similarity", pa.list_(pa.float64()))]
    schema = pa.schema([pa.field("root", pa.int64()), pa.field(KEY, pa.int64()), *lists])
    return pa.Table.from_pylist(rows, schema).to_batches(max_chunksize=cut)


def on_cluster(graph: nx.Graph, rule: str, cut: int) -> dict[int, tuple[int, float]]:
    batches = _keep_or_remove(iter(rows_in_keep_order(graph, cut)), rule)
    rows = [row for batch in batches for row in batch.to_pylist()]
    return {row[KEY]: (row["kept_key"], row["jaccard"]) for row in rows}


FEW = settings(max_examples=40)

GRAPHS = st.builds(shaped, st.sampled_from(SHAPES), st.integers(2, 120), st.integers(0, 1000))


@FEW
@given(GRAPHS)
def test_components_are_those_of_scipy_and_of_networkx(graph: nx.Graph) -> None:
    n, a, b, _ = arrays(graph)
    roots = connected_components(n, a, b)
    _, labels = by_scipy(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    least = np.full(n, n)
    np.minimum.at(least, labels, np.arange(n))
    assert roots.tolist() == least[labels].tolist()
    assert {frozenset(np.flatnonzero(roots == root).tolist()) for root in set(roots.tolist())} == {
        frozenset(members) for members in nx.connected_components(graph)
    }


@FEW
@given(GRAPHS, st.integers(1, 50))
def test_leader_is_the_ten_lines_on_driver_and_on_cluster(graph: nx.Graph, cut: int) -> None:
    expected = leaders(graph)
    assert on_driver(graph, "leader") == expected
    assert on_cluster(graph, "leader", cut) == expected


@FEW
@given(GRAPHS, st.integers(1, 50))
def test_component_keeps_the_first_of_each_on_driver_and_on_cluster(graph: nx.Graph, cut: int) -> None:
    first = {node: min(members) for members in nx.connected_components(graph) for node in members}
    expected = {node: kept for node, kept in first.items() if node != kept}
    for found in (on_driver(graph, "component"), on_cluster(graph, "component", cut)):
        assert {node: kept for node, (kept, _) in found.items()} == expected
        for node, (kept, jaccard) in found.items():
            edge = graph.edges.get((kept, node))
            assert np.isnan(jaccard) if edge is None else jaccard == edge["jaccard"]


@pytest.mark.parametrize("rule", ["leader", "component"])
@FEW
@given(graph=GRAPHS, cut=st.integers(1, 50))
def test_what_other_thresholds_would_remove_is_counted_alike_in_one_pass(rule: str, graph: nx.Graph, cut: int) -> None:
    thresholds = [0.75, 0.8, 0.95, 1.0]
    counted = figures._count_removed(iter(rows_in_keep_order(graph, cut)), rule, thresholds)
    removed = [batch.to_pydict()["removed"] for batch in counted]
    expected = []
    for threshold in thresholds:
        reaching = graph.copy()
        reaching.remove_edges_from([e for e in graph.edges if graph.edges[e]["jaccard"] < threshold])
        expected.append(len(on_driver(reaching, rule)))
    assert removed == [expected]


@pytest.mark.parametrize("shape", ["chain", "star", "giant"])
def test_a_graph_of_a_hundred_thousand_is_decided_alike(shape: str) -> None:
    n, random = 100_000, np.random.default_rng(3)
    if shape == "chain":
        a, b = np.array(list(pairwise(random.permutation(n).tolist()))).T
    elif shape == "star":
        a, b = np.full(n - 1, 7), np.delete(np.arange(n), 7)
    else:
        a, b = np.stack([random.integers(0, n, 4 * n), random.integers(0, n, 4 * n)])
        a, b = np.unique(np.sort(np.stack([a, b])[:, a != b], axis=0), axis=1)
    found, labels = by_scipy(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    assert len(np.unique(connected_components(n, a, b))) == found
    decided = clusters.leader(n, NO_COPIES, a, b, np.full(len(a), 0.8))
    kept = np.ones(n, np.bool_)
    kept[decided.removed] = False
    assert not (kept[a] & kept[b]).any(), "no two that stay are joined"
    assert kept[decided.kept].all()
    assert (decided.kept < decided.removed).all()
    assert (labels[decided.kept] == labels[decided.removed]).all()
