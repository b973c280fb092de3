"""Components of a graph, and the groups in which candidate pairs are compared."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.components import connected_components, rows_missing, unique_rows
from sparkprep.dedup.resolve.grouping import assign
from sparkprep.documents.keys import KEY


def by_search(n: int, edges: list[tuple[int, int]]) -> list[int]:
    neighbours = defaultdict(list)
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    root = [-1] * n
    for start in range(n):
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if root[node] < 0:
                root[node] = start
                waiting += neighbours[node]
    return root


def components(n: int, edges: list[tuple[int, int]]) -> list[int]:
    ends = np.array(edges, np.int64).reshape(-1, 2)
    return connected_components(n, ends[:, 0], ends[:, 1]).tolist()


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_components_are_those_of_a_search_and_bear_their_least_node(graph) -> None:
    n, edges = graph
    assert components(n, edges) == by_search(n, edges)


def test_components_of_paths_in_any_direction() -> None:
    n = 50_000
    nodes = np.arange(n)
    for order in (nodes, nodes[::-1], np.random.default_rng(1).permutation(n)):
        assert not connected_components(n, order[:-1].copy(), order[1:].copy()).any()
    assert components(0, []) == []


@pytest.mark.parametrize("least", [-3, 0, (1 << 31) - 5, (1 << 62)])
@given(drawn=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_unique_rows_are_the_sorted_set(least, drawn) -> None:
    rows = [(a + least, b + least) for a, b in drawn]
    assert unique_rows(np.array(rows, np.int64).reshape(-1, 2)).tolist() == [list(r) for r in sorted(set(rows))]


row_sets = st.sets(st.tuples(st.integers(-3, 3), st.integers(-3, 3)))


@given(row_sets, row_sets, st.randoms(use_true_random=False))
def test_missing_rows_are_the_difference_of_two_sets(left, right, random) -> None:
    mixed = [random.sample(sorted(rows), len(rows)) for rows in (left, right)]
    found = rows_missing(*(np.array(rows, np.int64).reshape(-1, 2) for rows in mixed))
    assert found.reshape(-1, 2).tolist() == [list(row) for row in sorted(left - right)]


# Groups ---------------------------------------------------------------------------------------------------------------


@st.composite
def tasks(draw: st.DrawFn) -> tuple[list[tuple[int, int]], dict[int, int], int]:
    """(distinct pairs of keys, lesser first; shingles of each key; limit)."""
    keys = draw(st.lists(st.integers(0, 10**12), min_size=2, max_size=20, unique=True))
    ends = st.tuples(st.sampled_from(keys), st.sampled_from(keys)).filter(lambda e: e[0] < e[1])
    pairs = draw(st.lists(ends, min_size=1, max_size=60, unique=True))
    sizes = {k: draw(st.integers(0, 30)) for k in keys}
    return pairs, sizes, draw(st.integers(2, 150))


def groups_of(pairs: list[tuple[int, int]], sizes: dict[int, int], limit: int) -> list[tuple[int, int, list[int]]]:
    """Rows (key, group, partners)."""
    nodes = np.unique(np.array(pairs, np.int64))
    table = assign(np.array(pairs, np.int64), nodes, np.array([sizes[k] for k in nodes.tolist()], np.int64), limit)
    assert table.column_names == [KEY, "group", "partners"]
    return list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))


@given(tasks())
def test_every_pair_is_compared_exactly_once_and_both_texts_are_there(task) -> None:
    pairs, sizes, limit = task
    rows = groups_of(pairs, sizes, limit)
    members = defaultdict(set)
    for key, group, _ in rows:
        assert key not in members[group], "one row for each document of a group"
        members[group].add(key)
    compared = [(partner, key) for key, _, partners in rows for partner in partners]
    assert sorted(compared) == sorted(pairs)
    for key, group, partners in rows:
        for partner in partners:
            assert partner in members[group]
            assert partner < key
    for group, keys in members.items():
        used = {end for key, g, partners in rows if g == group for p in partners for end in (key, p)}
        assert used == keys, "no text travels to a group that does not need it"


@given(tasks())
def test_a_group_is_two_blocks_of_half_the_limit_at_most(task) -> None:
    """A block is one document or at most half of the limit; only single large documents can lift a group above it."""
    pairs, sizes, limit = task
    held = defaultdict(list)
    for key, group, _ in groups_of(pairs, sizes, limit):
        held[group].append(sizes[key])
    for shingles in held.values():
        large = [s for s in shingles if s > limit // 2]
        if sum(shingles) > limit:
            assert 1 <= len(large) <= 2
            assert sum(shingles) - sum(large) <= (2 - len(large)) * (limit // 2)


@given(tasks())
def test_small_components_are_one_group_each(task) -> None:
    pairs, sizes, _ = task
    rows = groups_of(pairs, sizes, 30 * 20)
    keys = sorted({k for pair in pairs for k in pair})
    root = by_search(len(keys), [(keys.index(a), keys.index(b)) for a, b in pairs])
    group = {key: g for key, g, _ in rows}
    assert len(rows) == len(keys), "each document travels once"
    for i, a in enumerate(keys):
        for j, b in enumerate(keys):
            assert (group[a] == group[b]) == (root[i] == root[j])


def test_a_large_tangle_is_cut_into_blocks() -> None:
    """100 documents of 10 shingles, all pairs, 200 shingles in a group: ten blocks of 10, so 55 pairs of blocks."""
    pairs = [(a, b) for b in range(100) for a in range(b)]
    rows = groups_of(pairs, dict.fromkeys(range(100), 10), 200)
    held = defaultdict(int)
    for _, group, _ in rows:
        held[group] += 10
    assert len(held) == 55
    assert max(held.values()) == 200
    assert sum(len(partners) for _, _, partners in rows) == len(pairs)


def test_two_documents_above_the_limit_are_still_compared() -> None:
    assert groups_of([(3, 8)], {3: 10**9, 8: 10**9}, 100) == [(3, 0, []), (8, 0, [3])]


@pytest.mark.parametrize("order", [1, -1])
def test_the_groups_do_not_depend_on_the_order_of_the_pairs(order: int) -> None:
    random = np.random.default_rng(4)
    pairs = [tuple(sorted(p)) for p in random.integers(0, 60, (200, 2)).tolist() if p[0] != p[1]]
    pairs = sorted(set(pairs))
    sizes = dict(enumerate(random.integers(1, 40, 60).tolist()))
    assert groups_of(pairs[::order], sizes, 150) == groups_of(pairs, sizes, 150)
