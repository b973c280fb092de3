"""The pair stages with NumPy on the driver, for as many pairs as its budget allows: compare, decide, write removed/.

`cluster.py` does the same in DataFrames where there are more: both remove the same documents for the same ones, and
come to the same counts. Only the examples that the report shows may be others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.columns import KEYS, MISS, REMOVED_KEYS, RowKind
from sparkprep.dedup.index.indexed import IndexedDocuments
from sparkprep.dedup.keep import ORDER
from sparkprep.dedup.kernels import clusters
from sparkprep.dedup.kernels.arrays import F64, I64, distinct
from sparkprep.dedup.kernels.buckets import NOBODY
from sparkprep.dedup.kernels.components import row_places, rows_missing, unique_rows
from sparkprep.dedup.resolve import grouping, outcome, uncompared
from sparkprep.dedup.resolve.outcome import Flow, Outcome
from sparkprep.dedup.resolve.rounds import Rounds
from sparkprep.dedup.search_tables import CandidateTables, Comparison, Search
from sparkprep.dedup.ties import with_row_hashes
from sparkprep.dedup.verify import GROUP_SHINGLES, LONG_TEXT, compare
from sparkprep.dedup.workspace import MOST_SEARCHES, Workspace
from sparkprep.documents import addressed
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import python_values
from sparkprep.spark.tables import Table

NO_PAIRS = np.empty((0, 2), np.int64)
REPEATS = 10
"""So many candidates rows are read for each pair of the budget: bands find the same pair again (of composed documents
some six times)."""
_WAITING = 4_000_000
"""Rows that wait, at least, until they are made distinct together with those before."""

Similar = tuple[I64, F64]
"""Distinct pairs, (n, 2) keys with the lesser first, and the Jaccard similarity of each."""


@dataclass
class Graph:
    """The pairs compared so far, and the exact copies."""

    pairs: I64
    """(n, 2) keys of the distinct candidate pairs, the lesser first"""
    jaccard: F64
    """of each pair"""
    copies: I64
    """(c, 2) keys of documents with the same normalised text"""

    def add(self, similar: Similar, threshold: float) -> bool:
        """Add compared pairs, and return whether one of them is an edge."""
        pairs, jaccard = similar
        self.pairs = np.concatenate([self.pairs, pairs])
        self.jaccard = np.concatenate([self.jaccard, jaccard])
        return bool((jaccard >= threshold).any())


@dataclass(frozen=True)
class Ranked:
    """The documents with a copy or a pair that is no less than a near miss, numbered from 0 in keep order."""

    keys: I64
    ids: pa.Array
    """the identifiers' bytes"""
    copies: I64
    """(c, 2) their numbers"""
    pairs: I64
    """(m, 2) their numbers"""
    jaccard: F64
    """of each pair"""
    own: int = NOBODY
    """the key from which documents were decided on before"""

    def decide(self, rule: str, threshold: float) -> clusters.Decisions:
        """Apply the keep rule to the pairs at or above a threshold, no less than the near misses' floor.

        What was decided before is left out.
        """
        similar = self.jaccard >= threshold
        a, b = self.pairs[similar].T
        apply = clusters.leader if rule == "leader" else clusters.component
        decided = apply(len(self.keys), self.copies, a, b, self.jaccard[similar])
        return decided.where(self.keys[decided.removed] < self.own)


class _TooManyError(Exception):
    """More pairs than the driver's budget."""


@dataclass(frozen=True)
class _Resolved:
    """What one threshold has come to: of its removed documents and its near misses, the rows of `_links_table`."""

    outcome: Outcome
    removed: pa.Table
    misses: pa.Table


def resolve(work: Workspace, counts: Sequence[CandidateCounts]) -> list[Outcome] | None:
    """Verify the candidates of search 0, decide who stays, write removed/ and the keys of the removed documents.

    counts: of each of the run's thresholds, for which the outcomes are. Returns None, with no result written, as soon
    as the distinct pairs of all searches, of all thresholds together, are more than the driver's budget.
    """
    if sum(each.pairs + each.exact for each in counts) > REPEATS * work.settings.driver_budget:
        return None
    compared = _Compared(work)
    steps = [_decided(view, each, compared) for view, each in zip(work.each, counts, strict=True)]
    rounds = Rounds(steps, compared.answer)
    with work.progress.stage("verify") as stage:
        try:
            rounds.go_on()
        except _TooManyError:
            return None
        stage.documents = compared.documents
    with work.progress.stage("decide") as stage:
        try:
            while rounds.go_on():
                pass
        except _TooManyError:
            return None
        resolved = rounds.decided()
        stage.documents = sum(len(each.removed) for each in resolved)
        for view, each in zip(work.each, resolved, strict=True):
            _save(view, each)
    return [each.outcome for each in resolved]


def _decided(work: Workspace, counts: CandidateCounts, compared: _Compared) -> Generator[I64, Similar, _Resolved]:
    """Decide for one threshold, yielding pairs to be compared, of which it has yielded none before.

    Where buckets were too large to be searched fully, the documents that stay are searched again, and so on until that
    gives no similar pair: one that does may bring back documents which no search has compared with those that stay.
    Raises _TooManyError where its searches find too many pairs.
    """
    search, threshold = work.search("driver", 0), work.settings.threshold
    candidates, searches = work.candidates, 1
    budget = work.settings.driver_budget
    copies = _distinct(work.candidates, RowKind.EXACT, budget)
    graph = Graph(NO_PAIRS, np.empty(0), copies)
    first = _distinct(work.candidates, RowKind.PAIR, budget - len(copies))
    compared.hold(len(copies) + len(first))
    graph.add((yield first), threshold)
    ranked = _rank(work, graph, search)
    removed = yield from _decide(work, ranked)
    further = range(1, MOST_SEARCHES) if counts.hot_buckets else range(0)
    for number in further:
        search = work.search("driver", number)
        counts = _search_again(work, removed, search)
        candidates, searches = search.candidates, number + 1
        new = rows_missing(_distinct(search.candidates, RowKind.PAIR, budget), graph.pairs)
        compared.hold(len(new))
        found_some = graph.add((yield new), threshold)
        ranked = _rank(work, graph, search)
        if not found_some:
            break
        removed = yield from _decide(work, ranked)
    else:
        outcome.warn_unsettled(work, len(further))
    misses = _misses(ranked, removed, threshold)
    left_out = _uncompared(work, counts, candidates, graph, removed)
    told = replace(_outcome(work, graph, ranked, removed, misses), uncompared=left_out, searches=searches)
    return _Resolved(told, removed, misses)


def _uncompared(
    work: Workspace, last: CandidateCounts, candidates: CandidateTables, graph: Graph, removed: pa.Table
) -> int:
    """Return the bound on pairs of kept documents that were not compared, from what the last search has left out."""
    if not last.uncompared_pairs:
        return 0
    gone, nodes = np.sort(np.asarray(removed[KEY])), distinct(graph.pairs)
    stays = np.zeros(len(nodes), np.bool_)

    def seen() -> Generator[I64]:
        for keys in uncompared.staying(candidates, lambda piece: gone):
            np.logical_or(stays, addressed.is_among(nodes, keys), out=stays)
            yield keys

    pairs = uncompared.most_pairs(seen(), work.standing.own)
    compared = stays[np.searchsorted(nodes, graph.pairs)].all(axis=1)
    return uncompared.bound(last, pairs, int(np.count_nonzero(compared)))


def _save(work: Workspace, resolved: _Resolved) -> None:
    """Write what one threshold has come to."""
    removed, misses = resolved.removed, resolved.misses
    work.removed.save(_as(outcome.as_result, removed, work))
    work.pairs.save_parts({n: _as(outcome.as_pairs, rows, work) for n, rows in enumerate((removed, misses))})
    addressed.save(work.removed_keys, work.documents, removed.select(REMOVED_KEYS.names))


class _Compared:
    """The comparisons of a run, and, where it has several thresholds, what they came to: no pair is compared twice."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._pairs, self._jaccard = NO_PAIRS, np.empty(0)
        self._held = self._comparisons = 0
        self.documents = 0
        """different ones in the pairs of the first comparison"""

    def hold(self, pairs: int) -> None:
        """Count pairs that a threshold adds to its graph. Raises _TooManyError beyond the budget."""
        self._held += pairs
        if self._held > self._work.settings.driver_budget:
            raise _TooManyError

    def answer(self, asked: Sequence[I64]) -> list[Similar]:
        """Return the pairs that each threshold asks for, perhaps in another order, with their similarities."""
        comparison = self._work.comparison("driver", self._comparisons)
        if not self._comparisons:
            self.documents = len(distinct(np.concatenate(asked)))
        self._comparisons += 1
        if not self._work.thresholds:
            return [_similarities(self._work, asked[0], comparison)]
        new, jaccard = _similarities(
            self._work, rows_missing(unique_rows(np.concatenate(asked)), self._pairs), comparison
        )
        pairs, jaccard = np.concatenate([self._pairs, new]), np.concatenate([self._jaccard, jaccard])
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        self._pairs, self._jaccard = pairs[order], jaccard[order]
        return [(each, self._jaccard[row_places(each, self._pairs)]) for each in asked]


def _as(form: Callable[..., pa.RecordBatch], links: pa.Table, work: Workspace) -> pa.Table:
    """Return rows of `_links_table` in one of the forms that a result has them in."""
    columns = [column.combine_chunks() for column in links.columns]
    whole = pa.RecordBatch.from_arrays(columns, links.column_names)
    return pa.Table.from_batches([form(whole, work.id_type, work.index)])


def _outcome(work: Workspace, graph: Graph, ranked: Ranked, removed: pa.Table, misses: pa.Table) -> Outcome:
    threshold, rule = work.settings.threshold, work.settings.rule
    heads, clusters_sample, pairs_sample = outcome.samples(removed)
    exact = np.asarray(pc.equal(removed["rule"], "exact"))
    return Outcome(
        pairs=len(graph.pairs),
        verified=int((graph.jaccard >= threshold).sum()),
        misses=len(misses),
        copies=len(graph.copies),
        exact=int(exact.sum()),
        near=int((~exact).sum()),
        histogram=outcome.histogram(graph.jaccard, threshold),
        goes_at={at: len(ranked.decide(rule, at).removed) for at in outcome.thresholds(threshold)},
        cluster_sizes=outcome.cluster_sizes(np.asarray(removed["kept_key"])),
        cluster_heads=heads,
        flows=_flows(work, removed) if work.columns.source is not None else [],
        clusters=outcome.with_ids(clusters_sample, work.id_type),
        pairs_sample=outcome.with_ids(pairs_sample, work.id_type),
        misses_sample=outcome.with_ids(outcome.spread(misses, outcome.MISSES), work.id_type),
    )


def _search_again(work: Workspace, removed: pa.Table, search: Search) -> CandidateCounts:
    """Write and count the candidates among the documents that stay."""
    addressed.save(search.left_out, work.documents, removed.select(KEYS.names))
    return BucketSearch.among_staying(work, search).run(work.cores)


def _decide(work: Workspace, ranked: Ranked) -> Generator[I64, Similar, pa.Table]:
    """Apply the rule; return (KEY, kept_key, id, kept_id, jaccard, rule) of each removed document, in keep order."""
    decisions = ranked.decide(work.settings.rule, work.settings.threshold)
    rules = pa.array(["exact", "near"]).take(pa.array(np.where(decisions.exact, 0, 1)))
    removed = _links_table(ranked, decisions.removed, decisions.kept, decisions.jaccard, rules)
    unjoined = np.isnan(decisions.jaccard)
    # Rule `component`: ends of chains that no edge joins.
    return (yield from _with_similarity(removed, unjoined)) if unjoined.any() else removed


def _misses(ranked: Ranked, removed: pa.Table, threshold: float) -> pa.Table:
    """Return the pairs below the threshold, in the same columns as `_decide`, of which both documents stay.

    The most similar come first. A pair of texts stands for those of their copies that stay.
    """
    by_key = np.argsort(ranked.keys)
    place = by_key[np.searchsorted(ranked.keys, np.asarray(removed[KEY]), sorter=by_key)]
    kept = by_key[np.searchsorted(ranked.keys, np.asarray(removed["kept_key"]), sorter=by_key)]
    stands_for = np.arange(len(ranked.keys))
    stands_for[place] = np.where(np.asarray(pc.equal(removed["rule"], "exact")), kept, -1)
    below = ranked.jaccard < threshold
    ends, jaccard = np.sort(stands_for[ranked.pairs[below]], axis=1), ranked.jaccard[below]
    both_stay = ends[:, 0] >= 0
    ends, jaccard = ends[both_stay], jaccard[both_stay]
    order = np.lexsort((ends[:, 1], ends[:, 0], -jaccard))
    first, second = ends[order].T
    return _links_table(ranked, second, first, jaccard[order], pa.array([MISS] * len(order), pa.string()))


def _flows(work: Workspace, removed: pa.Table) -> list[Flow]:
    """Count removed documents by their source and that of the document kept for them."""
    ends = np.stack([np.asarray(removed[KEY]), np.asarray(removed["kept_key"])], axis=1)
    nodes = distinct(ends)
    source = np.zeros(len(nodes), np.int64)
    numbers: dict[str | None, int] = {}
    for batch in work.signatures.batches([KEY, "source"]):
        keys = np.asarray(batch[KEY])
        hit = addressed.is_among(keys, nodes)
        names = python_values(batch["source"].filter(pa.array(hit)))
        source[np.searchsorted(nodes, keys[hit])] = [numbers.setdefault(name, len(numbers)) for name in names]
    ways, counts = np.unique(source[np.searchsorted(nodes, ends)], axis=0, return_counts=True)
    name_of = list(numbers)
    counted = zip(ways.tolist(), counts.tolist(), strict=True)
    return outcome.largest_flows([(name_of[a], name_of[b], n) for (a, b), n in counted])


def _distinct(candidates: CandidateTables, kind: RowKind, most: int) -> I64:
    """Return the distinct (a, b) of the candidates rows of that kind, (n, 2), sorted.

    Rows are made distinct as they are read, so that repeats take no memory beyond that of `most` rows, or of some
    millions. Raises _TooManyError where there are more.
    """
    found, number = NO_PAIRS, 0
    waiting: list[I64] = []

    def merged() -> I64:
        rows = unique_rows(np.concatenate([found, *waiting]))
        if len(rows) > most:
            raise _TooManyError
        return rows

    for table in candidates.all:
        for batch in table.batches(None, pc.field("kind") == kind.value):
            waiting.append(np.stack([np.asarray(batch["a"]), np.asarray(batch["b"])], axis=1).astype(np.int64))
            number += len(batch)
            if number >= max(_WAITING, len(found)):
                found, waiting, number = merged(), [], 0
    return merged()


def _look_up(signatures: Table, keys: I64, names: Sequence[str]) -> list[I64]:
    """Return columns of the signature rows of these sorted keys, each of shape (keys,)."""
    columns = [np.zeros(len(keys), np.int64) for _ in names]
    for batch in signatures.batches([KEY, *names]):
        key = np.asarray(batch[KEY])
        place = np.searchsorted(keys, key)
        place[place == len(keys)] = 0
        hit = np.flatnonzero(keys[place] == key) if len(keys) else np.empty(0, np.int64)
        for column, name in zip(columns, names, strict=True):
            column[place[hit]] = np.asarray(batch[name])[hit]
    return columns


def _assign(pairs: I64, signatures: Table) -> tuple[pa.Table, pa.Table]:
    """Return the groups that distinct pairs are compared in: (of ordinary texts, of those with a text of LONG_TEXT)."""
    nodes = distinct(pairs)
    shingles, size = _look_up(signatures, nodes, ["shingles", "bytes"])
    table = grouping.assign(pairs, nodes, shingles, GROUP_SHINGLES)
    group = np.asarray(table["group"])
    long_nodes = nodes[size >= LONG_TEXT]
    if not len(long_nodes):
        return table, table.slice(0, 0)
    with_long = np.isin(group, np.unique(group[np.isin(np.asarray(table[KEY]), long_nodes)]))
    return table.filter(pa.array(~with_long)), table.filter(pa.array(with_long))


def _similarities(work: Workspace, pairs: I64, comparison: Comparison) -> tuple[I64, F64]:
    """Compare distinct pairs (n, 2); return them in another order, and the exact similarity of each."""
    if not len(pairs):
        return NO_PAIRS, np.empty(0)
    parts = (comparison.ordinary, comparison.long)
    for part, groups in zip(parts, _assign(pairs, work.signatures), strict=True):
        if groups.num_rows:
            addressed.save(part.groups, work.documents, groups)
            compare(work, part)
    columns = [part.pairs.columns(["a", "b", "jaccard"]) for part in parts]
    a, b, jaccard = (np.concatenate(column) for column in zip(*columns, strict=True))
    if len(a) != len(pairs):
        raise RuntimeError(f"{len(pairs):,} pairs were to be compared, {len(a):,} were; please report this")
    return np.stack([a, b], axis=1).astype(np.int64), jaccard.astype(np.float64)


def _with_similarity(removed: pa.Table, unjoined: npt.NDArray[np.bool_]) -> Generator[I64, Similar, pa.Table]:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    ends = np.sort(np.stack([np.asarray(removed[KEY]), np.asarray(removed["kept_key"])], axis=1), axis=1)
    pairs, computed = yield unique_rows(ends[unjoined])
    of_pair = {(a, b): j for (a, b), j in zip(pairs.tolist(), computed.tolist(), strict=True)}
    jaccard = np.asarray(removed["jaccard"]).copy()
    jaccard[unjoined] = [of_pair[a, b] for a, b in ends[unjoined].tolist()]
    return removed.set_column(removed.schema.get_field_index("jaccard"), "jaccard", pa.array(jaccard))


def _rank(work: Workspace, graph: Graph, search: Search) -> Ranked:
    """Bring the documents that the rule or a near miss may concern in keep order."""
    similar = graph.jaccard >= outcome.floor_of(work.settings.threshold)
    pairs, jaccard = graph.pairs[similar], graph.jaccard[similar]
    if work.index is not None:
        before, similarity = _decided_before(work.index, graph.copies)
        pairs, jaccard = np.concatenate([pairs, before]), np.concatenate([jaccard, similarity])
    nodes = distinct(np.concatenate([pairs, graph.copies]))
    parts = []
    for batch in work.signatures.batches([KEY, "id", "rank"]):
        hit = addressed.is_among(np.asarray(batch[KEY]), nodes)
        parts.append(batch.filter(pa.array(hit)))
    schema = pa.schema([work.signatures.schema.field(name) for name in (KEY, "id", "rank")])
    rows = with_row_hashes(work, pa.Table.from_batches(parts, schema), search.ties)
    rows = rows.sort_by([(name, "ascending") for name in ORDER])
    keys, ids = np.asarray(rows[KEY]), rows["id"].combine_chunks()
    by_key = np.argsort(keys)
    copies, pairs = (by_key[np.searchsorted(keys, ends, sorter=by_key)] for ends in (graph.copies, pairs))
    return Ranked(keys, ids, copies, pairs, jaccard, work.standing.own)


def _decided_before(index: IndexedDocuments, copies: I64) -> tuple[I64, F64]:
    """Return the edges, (n, 2) keys and their similarity, by which those of the copies went that an index removed."""
    gone = distinct(copies[copies >= index.standing.removed])
    ends, similarity = [NO_PAIRS], [np.empty(0)]
    for piece in index.removed_pieces if gone.size else ():
        for batch in index.decisions(piece):
            key = np.asarray(batch[KEY])
            hit = addressed.is_among(key, gone)
            ends.append(np.stack([key[hit], np.asarray(batch["kept_key"])[hit]], axis=1))
            similarity.append(np.asarray(batch["jaccard"])[hit])
    return np.concatenate(ends), np.concatenate(similarity)


def _links_table(ranked: Ranked, documents: I64, kept: I64, jaccard: F64, rules: pa.Array) -> pa.Table:
    """Return (KEY, kept_key, id, kept_id, jaccard, rule) of documents and the kept ones that they are laid to."""
    return pa.table(
        {
            KEY: ranked.keys[documents],
            "kept_key": ranked.keys[kept],
            "id": ranked.ids.take(pa.array(documents)),
            "kept_id": ranked.ids.take(pa.array(kept)),
            "jaccard": jaccard,
            "rule": rules,
        }
    )
