"""A result held against the truth of a composed corpus: what it missed, what it removed wrongly.

The corpus is a folder with docs/ (id, text) and truth/ (id, cluster_id, variant, jaccard_base). Documents of a cluster
are edited copies of one, its variant 0; jaccard_base is the similarity with that one. Others are unrelated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

SAMPLE = 2000
"""Removed documents whose similarity is computed anew from the texts."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Held:
    """What came of holding a result against the truth. Counts are of documents."""

    pairs: int
    """copies at or above the threshold, each with its cluster's original: the true pairs"""
    missed: int
    """of these, those of which both stay"""
    removed: int
    without_kept: int
    """removed for a document that does not stay, or that has gone itself"""
    below: int
    """removed for one that is less similar than the threshold, as removed/ says"""
    strangers: int
    """removed for one of another cluster"""
    computed: int
    differing: int
    """of so many whose similarity was computed anew, those of which removed/ says another"""

    @property
    def recall(self) -> float:
        return 1 - self.missed / self.pairs if self.pairs else 1.0

    @property
    def faults(self) -> int:
        """What must not be under the rule `leader`."""
        return self.without_kept + self.below + self.differing


def hold(corpus: Path, output: Path, threshold: float) -> Held:
    """Read a result and the truth; return what came of it."""
    truth = _table(corpus / "truth", ["id", "cluster_id", "variant", "jaccard_base"])
    kept, removed = _table(output / "kept", ["id"]), _table(output / "removed", ["id", "kept_id", "jaccard"])
    ids = truth["id"]
    stays = np.zeros(len(ids), np.bool_)
    stays[_places(kept["id"], ids)] = True
    gone, instead = _places(removed["id"], ids), _places(removed["kept_id"], ids)
    cluster, jaccard = np.asarray(truth["cluster_id"]), np.asarray(removed["jaccard"])
    variant, to_original = np.asarray(truth["variant"]), np.asarray(truth["jaccard_base"].cast(pa.float64()))
    copies = np.flatnonzero((variant > 0) & (to_original >= threshold))
    original = _originals(cluster, variant)[copies]
    with_original = original >= 0
    copies, original = copies[with_original], original[with_original]
    computed, differing = _differing(corpus / "docs", removed)
    return Held(
        pairs=len(copies),
        missed=int((stays[copies] & stays[original]).sum()),
        removed=len(gone),
        without_kept=int((~stays[instead]).sum() + stays[gone].sum()),
        below=int((jaccard < threshold).sum()),
        strangers=int((cluster[gone] != cluster[instead]).sum()),
        computed=computed,
        differing=differing,
    )


def _table(folder: Path, columns: list[str]) -> pa.Table:
    return ds.dataset(folder, format="parquet").to_table(columns=columns).combine_chunks()


def _places(names: pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    """Where each of the names stands among others, int64; ends the benchmark where one does not."""
    places = pc.index_in(names, among)
    if places.null_count:
        raise SystemExit(f"{places.null_count:,} identifiers of the result are none of the truth's")
    return np.asarray(places.cast(pa.int64()))


def _originals(cluster: np.ndarray, variant: np.ndarray) -> np.ndarray:
    """The place of the original of each document's cluster; -1 where the corpus lacks it."""
    places = np.flatnonzero(variant == 0)
    order = places[np.argsort(cluster[places])]
    at = np.minimum(np.searchsorted(cluster[order], cluster), len(order) - 1)
    return np.where(cluster[order][at] == cluster, order[at], -1)


def _differing(docs: Path, removed: pa.Table) -> tuple[int, int]:
    """Compute similarities anew, as sets of five words; (how many, of how many removed/ says another)."""
    rows = np.random.default_rng(0).permutation(len(removed))[:SAMPLE]
    some = removed.take(pa.array(np.sort(rows)))
    wanted = pa.concat_arrays([some[name].combine_chunks() for name in ("id", "kept_id")]).unique()
    texts: dict[str, str] = {}
    for batch in ds.dataset(docs, format="parquet").to_batches(columns=["id", "text"], batch_size=2000):
        hit = batch.filter(pc.is_in(batch["id"], wanted))
        texts.update(zip(hit["id"].to_pylist(), hit["text"].to_pylist(), strict=True))
    differing = 0
    for name, kept, said in zip(*(some[c].to_pylist() for c in ("id", "kept_id", "jaccard")), strict=True):
        a, b = _shingles(texts[name]), _shingles(texts[kept])
        differing += abs(len(a & b) / len(a | b) - said) > 1e-9
    return len(some), differing


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    if len(words) < 5:
        return {tuple(words)}
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}
