"""The figures and their definitions: boolean masks and integer pairs in, precision, recall and F1 out.

Documents are numbered 0..n-1; one counts as kept if any row with its id is in the output. There are two subjects:

removed documents   was it right to remove each document that was removed, and is anything left to remove?
pairs               was each true pair resolved (not both ends kept), and is each removal explained by a true pair?

Against a truth of pairs, a correct removal leaves a similar document *in the output*: a kept one joined to the removed
one by a true pair. Chains make the set to remove ambiguous (of A~B~C, B alone or A and C), so recall is not counted
against one fixed answer. What is left to remove are the kept documents less one for each connected group that true
pairs form among them. Any result that leaves no true pair therefore has recall 1, whichever documents it chose.

Against a truth of clusters, one document of each cluster may stay: correct removals are those with a kept document in
the same cluster, and sum(size - 1) is what should go. Against a list of kept ids, the sets are compared as they are.
A figure without anything to judge (0 of 0) has no value rather than a flattering one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Figure:
    """`right` of `total` and what these are. `total` is None where the figure cannot be known."""

    right: int
    total: int | None
    definition: str

    @property
    def value(self) -> float | None:
        return self.right / self.total if self.total else None


@dataclass(frozen=True)
class Scores:
    """Precision and recall on one subject."""

    subject: str
    precision: Figure
    recall: Figure

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where one of them has no value."""
        precision, recall = self.precision.value, self.recall.value
        if precision is None or recall is None:
            return None
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


F1_DEFINITION = "2 x precision x recall / (precision + recall)"
REMOVED, PAIRS, KEPT = "removed documents", "pairs", "kept documents"
_NO_AUDIT = "not known: needs the removed/ folder, which names the kept document of each removed one"


def against_pairs(kept: Mask, true_pairs: Ints, audit: Ints | None) -> list[Scores]:
    """Return the scores against true pairs.

    kept        bool[n]
    true_pairs  int64[m, 2], each unordered pair once, no pair of a document with itself
    audit       int64[k, 2] of (removed, kept) as the job states them; None where it states nothing
    """
    a, b = true_pairs[:, 0], true_pairs[:, 1]
    has_kept_partner = np.zeros(len(kept), dtype=np.bool_)
    has_kept_partner[a[kept[b]]] = True
    has_kept_partner[b[kept[a]]] = True
    removed, both_kept = ~kept, kept[a] & kept[b]
    correct, left = int(np.sum(removed & has_kept_partner)), _left_to_remove(true_pairs[both_kept])
    explained = None if audit is None else int(np.sum(_isin_pairs(audit, true_pairs, len(kept))))
    return [
        Scores(
            REMOVED,
            Figure(
                correct,
                int(np.sum(removed)),
                "removed documents that are in a true pair with a kept document, of all removed",
            ),
            Figure(
                correct,
                correct + left,
                "correctly removed, of these and of kept ones still to remove: all but one of each group in true pairs",
            ),
        ),
        Scores(
            PAIRS,
            _audit_figure(audit, explained, "rows (id, kept_id) of removed/ that are true pairs, of all its rows"),
            Figure(
                len(true_pairs) - int(np.sum(both_kept)),
                len(true_pairs),
                "true pairs of which not both documents are kept, of all true pairs",
            ),
        ),
    ]


def against_clusters(kept: Mask, cluster: Ints, audit: Ints | None) -> list[Scores]:
    """Return the scores against clusters.

    `kept` bool[n], `cluster` int64[n] numbers from 0, `audit` as in `against_pairs`.
    """
    sizes = np.bincount(cluster).astype(np.int64)
    kept_sizes = np.bincount(cluster[kept], minlength=len(sizes)).astype(np.int64)
    correct = int(np.sum((sizes - kept_sizes)[kept_sizes > 0]))
    pairs, kept_pairs = int(np.sum(sizes * (sizes - 1) // 2)), int(np.sum(kept_sizes * (kept_sizes - 1) // 2))
    explained = None if audit is None else int(np.count_nonzero(cluster[audit[:, 0]] == cluster[audit[:, 1]]))
    return [
        Scores(
            REMOVED,
            Figure(
                correct,
                int(np.count_nonzero(~kept)),
                "removed documents with a kept one in the same cluster, of all removed",
            ),
            Figure(
                correct,
                int(np.sum(sizes - 1)),
                "correctly removed, of all that should go: the size of each cluster less one",
            ),
        ),
        Scores(
            PAIRS,
            _audit_figure(audit, explained, "rows (id, kept_id) of removed/ inside one cluster, of all its rows"),
            Figure(pairs - kept_pairs, pairs, "pairs inside a cluster of which not both documents are kept, of all"),
        ),
    ]


def against_kept(kept: Mask, true_kept: Mask) -> list[Scores]:
    """Return the scores against a list of kept documents: both bool[n]."""
    both_kept, both_removed = int(np.sum(kept & true_kept)), int(np.sum(~kept & ~true_kept))
    return [
        Scores(
            REMOVED,
            Figure(both_removed, int(np.sum(~kept)), "removed documents that the list does not keep, of all removed"),
            Figure(
                both_removed, int(np.sum(~true_kept)), "of the documents that the list does not keep, those removed"
            ),
        ),
        Scores(
            KEPT,
            Figure(both_kept, int(np.sum(kept)), "kept documents that are on the list, of all kept"),
            Figure(both_kept, int(np.sum(true_kept)), "of the documents on the list, those kept"),
        ),
    ]


def pair_keys(pairs: Ints, documents: int) -> Ints:
    """Return one int64 for each unordered pair of document numbers: int64[m, 2] -> int64[m]."""
    keys: Ints = pairs.min(axis=1) * np.int64(documents) + pairs.max(axis=1)
    return keys


def _audit_figure(audit: Ints | None, explained: int | None, definition: str) -> Figure:
    if audit is None or explained is None:
        return Figure(0, None, _NO_AUDIT)
    return Figure(explained, len(audit), definition)


def _isin_pairs(pairs: Ints, among: Ints, documents: int) -> Mask:
    among_them: Mask = np.isin(pair_keys(pairs, documents), pair_keys(among, documents))
    return among_them


def _left_to_remove(edges: Ints) -> int:
    """Count the documents that have an edge, less the number of connected groups that the edges (int64[m, 2]) form."""
    nodes, codes = np.unique(edges, return_inverse=True)
    a, b = codes.reshape(edges.shape)[:, 0], codes.reshape(edges.shape)[:, 1]
    label = np.arange(len(nodes))
    while True:
        # Roots hook on to the smaller root across each edge, then every path is halved until it has length one.
        root_a, root_b = label[a], label[b]
        if np.array_equal(root_a, root_b):
            return len(nodes) - len(np.unique(label))
        np.minimum.at(label, root_a, root_b)
        np.minimum.at(label, root_b, root_a)
        while not np.array_equal(label, label[label]):
            label = label[label]
