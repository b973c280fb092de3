"""Who stays: both keep rules against brute force on graphs of every shape, and the figures made from the outcome."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.clusters import Decisions, component, leader
from sparkprep.dedup.resolve import outcome

Edges = dict[tuple[int, int], float]
# Few different values, so that ties are common.
SIMILARITIES = [0.8, 0.85, 0.9, 1.0]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], Edges]:
    """(n, pairs of exact copies, edges): as the stages before make them.

    Nodes with the same text are joined as (one of them, another); edges run between one chosen node of each text, which
    need not be the first in keep order.
    """
    n = draw(st.integers(1, 14))
    text = draw(st.lists(st.integers(0, draw(st.integers(0, 13))), min_size=n, max_size=n))
    nodes = {t: [i for i in range(n) if text[i] == t] for t in set(text)}
    spokesman = {t: draw(st.sampled_from(same)) for t, same in nodes.items()}
    copies = [(spokesman[t], i) for t, same in nodes.items() for i in same if i != spokesman[t]]
    speakers = sorted(spokesman.values())
    candidates = [(a, b) for i, a in enumerate(speakers) for b in speakers[i + 1 :]]
    chosen = draw(st.lists(st.sampled_from(candidates), unique=True)) if candidates else []
    edges = {}
    for a, b in chosen:
        edges[(a, b) if draw(st.booleans()) else (b, a)] = draw(st.sampled_from(SIMILARITIES))
    return n, draw(st.permutations(copies)), edges


def run(rule, n: int, copies: list[tuple[int, int]], edges: Edges) -> dict[int, tuple[int, float, bool]]:  # type: ignore[no-untyped-def]
    """removed -> (kept, similarity, whether an exact copy)."""
    ends = np.array(list(edges), np.int64).reshape(-1, 2)
    found: Decisions = rule(
        n, np.array(copies, np.int64).reshape(-1, 2), ends[:, 0], ends[:, 1], np.array(list(edges.values()), np.float64)
    )
    assert found.removed.tolist() == sorted(set(found.removed.tolist()))
    columns = (found.kept.tolist(), found.jaccard.tolist(), found.exact.tolist())
    return dict(zip(found.removed.tolist(), zip(*columns, strict=True), strict=True))


def full_graph(n: int, copies: list[tuple[int, int]], edges: Edges) -> tuple[dict[tuple[int, int], float], list[int]]:
    """(similarity of all pairs of nodes, every copy having the edges of its text; the text of each node)."""
    text = list(range(n))
    for a, b in copies:
        old, new = text[b], text[a]
        text = [new if t == old else t for t in text]
    by_text = {frozenset((text[a], text[b])): j for (a, b), j in edges.items()}
    similar = {}
    for a in range(n):
        for b in range(n):
            if a != b:
                j = 1.0 if text[a] == text[b] else by_text.get(frozenset((text[a], text[b])))
                if j is not None:
                    similar[a, b] = j
    return similar, text


@given(graphs())
def test_leader_keeps_the_lexicographically_first_maximal_independent_set(graph) -> None:
    n, copies, edges = graph
    similar, _ = full_graph(n, copies, edges)
    kept: list[int] = []
    for i in range(n):
        if not any((k, i) in similar for k in kept):
            kept.append(i)
    removed = run(leader, n, copies, edges)
    assert set(range(n)) - set(removed) == set(kept)


@given(graphs())
def test_leader_lays_each_removed_node_to_its_most_similar_kept_neighbour(graph) -> None:
    n, copies, edges = graph
    similar, text = full_graph(n, copies, edges)
    removed = run(leader, n, copies, edges)
    kept = set(range(n)) - set(removed)
    for node, (keeper, jaccard, exact) in removed.items():
        assert keeper in kept
        assert keeper < node, "the one that stays comes before it in the keep order"
        assert similar[keeper, node] == jaccard
        assert exact == (text[keeper] == text[node])
        if not exact:  # copies of a removed document go where the first of them goes
            first = text.index(text[node])
            before = [k for k in kept if k < first and (k, first) in similar]
            assert keeper == max(before, key=lambda k: (similar[k, first], -k))
    for a in kept:
        assert not any((a, b) in similar for b in kept), "no two kept nodes are near-duplicates"


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_edges_and_of_their_ends_does_not_matter(graph, random) -> None:
    n, copies, edges = graph
    items = [((b, a) if random.random() < 0.5 else (a, b), j) for (a, b), j in edges.items()]
    random.shuffle(items)
    for rule in (leader, component):
        assert repr(run(rule, n, copies, edges)) == repr(run(rule, n, copies, dict(items)))


@given(graphs())
def test_component_keeps_the_first_of_each_component(graph) -> None:
    n, copies, edges = graph
    similar, text = full_graph(n, copies, edges)
    root: dict[int, int] = {}
    for i in range(n):
        stack = [i]
        while stack:
            node = stack.pop()
            if node not in root:
                root[node] = i
                stack += [b for a, b in similar if a == node]
    removed = run(component, n, copies, edges)
    assert {node: kept for node, (kept, _, _) in removed.items()} == {k: r for k, r in root.items() if k != r}
    for node, (kept, jaccard, exact) in removed.items():
        assert exact == (text[kept] == text[node])
        if (kept, node) in similar:
            assert jaccard == similar[kept, node]
        else:
            assert np.isnan(jaccard)


def test_of_a_chain_leader_keeps_both_ends_and_component_the_first() -> None:
    chain: Edges = {(0, 1): 0.85, (1, 2): 0.9}
    assert run(leader, 3, [], chain) == {1: (0, 0.85, False)}
    last = run(component, 3, [], chain)
    assert last[1] == (0, 0.85, False)
    assert last[2][0] == 0
    assert np.isnan(last[2][1])


def test_a_node_whose_only_similar_node_is_removed_stays() -> None:
    """0 - 1 - 2 - 3 - 4: 1 and 3 go, and 2 stays although it is similar to both."""
    path: Edges = {(i, i + 1): 0.8 for i in range(4)}
    assert set(run(leader, 5, [], path)) == {1, 3}


def test_of_kept_neighbours_the_most_similar_is_named_and_of_equals_the_first() -> None:
    star: Edges = {(0, 3): 0.8, (1, 3): 0.9, (2, 3): 0.9}
    assert run(leader, 4, [], star) == {3: (1, 0.9, False)}
    removed_is_nearer: Edges = {(0, 1): 0.8, (1, 2): 1.0, (0, 2): 0.8}
    assert run(leader, 3, [], removed_is_nearer)[2] == (0, 0.8, False)


def test_copies_of_a_removed_document_go_with_it() -> None:
    """2 and 3 have one text, near to 0: both are laid to 0 with that similarity, and neither is a copy of it."""
    assert run(leader, 4, [(2, 3)], {(3, 0): 0.9}) == {2: (0, 0.9, False), 3: (0, 0.9, False)}
    assert run(leader, 2, [(1, 0)], {}) == {1: (0, 1.0, True)}


def test_copies_given_as_a_chain_are_one_text() -> None:
    for rule in (leader, component):
        assert run(rule, 4, [(3, 2), (2, 1), (1, 0)], {}) == dict.fromkeys((1, 2, 3), (0, 1.0, True))


def test_nothing_in_nothing_out() -> None:
    for rule in (leader, component):
        assert run(rule, 0, [], {}) == {}
        assert run(rule, 3, [], {}) == {}


def test_a_long_path_and_a_great_star_take_no_recursion() -> None:
    n = 200_000
    nodes = np.arange(n)
    none = np.empty((0, 2), np.int64)
    path = leader(n, none, nodes[:-1], nodes[1:], np.full(n - 1, 0.9))
    assert path.removed.tolist() == list(range(1, n, 2))
    assert len(component(n, none, nodes[:-1], nodes[1:], np.full(n - 1, 0.9)).removed) == n - 1
    star = leader(n, none, np.zeros(n - 1, np.int64), nodes[1:], np.full(n - 1, 0.9))
    assert (star.kept == 0).all()
    assert len(star.removed) == n - 1


# The outcome's figures ------------------------------------------------------------------------------------------------


def removed_table(kept: list[int], jaccard: list[float]) -> pa.Table:
    n = len(kept)
    ids = [f"d{i}" for i in range(n)]
    return pa.table(
        {
            "__key": pa.array(range(1000, 1000 + n), pa.int64()),
            "kept_key": pa.array(kept, pa.int64()),
            "id": pa.array(ids, pa.string()),
            "kept_id": pa.array([f"k{k}" for k in kept], pa.string()),
            "jaccard": pa.array(jaccard, pa.float64()),
            "rule": pa.array(["exact" if j == 1.0 else "near" for j in jaccard], pa.string()),
        }
    )


def test_cluster_sizes_count_the_one_that_stays() -> None:
    assert outcome.cluster_sizes(np.array([5, 5, 5, 8, 9])) == {2: 2, 4: 1}
    assert outcome.cluster_sizes(np.array([], np.int64)) == {}


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from([0.8, 0.9, 0.95, 1.0])), max_size=120))
def test_the_samples_are_the_largest_clusters_and_pairs_of_all_similarities(rows) -> None:
    kept, jaccard = [k for k, _ in rows], [j for _, j in rows]
    heads, clusters, pairs = outcome.samples(removed_table(kept, jaccard))
    sizes = sorted((kept.count(k) + 1 for k in set(kept)), reverse=True)
    assert heads == sizes[: outcome.CLUSTERS]
    shown = clusters["kept_key"].to_pylist()
    blocks = list(dict.fromkeys(shown))
    assert shown == [k for k in blocks for _ in range(min(kept.count(k), outcome.MEMBERS))]
    assert [kept.count(k) + 1 for k in blocks] == heads
    near = sorted(j for j in jaccard if j < 1.0)
    values = pairs["jaccard"].to_pylist()
    copies = min(len(jaccard) - len(near), outcome.COPIES)
    assert values == sorted(values)
    assert len(values) == min(len(near), outcome.PAIRS) + copies
    values = values[: len(values) - copies]
    if near:
        assert values[0] == near[0]
        assert values[-1] == (near[-1] if len(near) > 1 else near[0])


@pytest.mark.parametrize("number", [0, 1])
def test_samples_of_next_to_nothing(number: int) -> None:
    heads, clusters, pairs = outcome.samples(removed_table([3] * number, [0.9] * number))
    assert heads == [2] * number
    assert clusters.num_rows == pairs.num_rows == number
