"""Call every kernel as Spark's tasks call it, without Spark: what was not compiled is, and lies in Numba's cache.

A kernel is compiled for the types of its arguments: also whether an array may be written, and whether its values lie
one after another. Hence the detours by Arrow here, which tasks take too; a test holds the two together.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba.core.dispatcher import Dispatcher

from sparkprep.decontaminate.index import Words
from sparkprep.decontaminate.kernels import grams
from sparkprep.decontaminate.kernels import words as ngram_words
from sparkprep.decontaminate.settings import DecontaminateSettings
from sparkprep.dedup.kernels import (
    band_keys,
    buckets,
    clusters,
    components,
    hashing,
    rank,
    sets,
    shingles,
    sketch,
    unicode,
    utf8,
)
from sparkprep.dedup.kernels.bands import choose, in_sequence
from sparkprep.extract import attributes, grid, language_model, scanning, serialized, tables, tags
from sparkprep.extract.languages import language_of
from sparkprep.filter.kernels import c4, fineweb, gopher, judge, texts, words
from sparkprep.filter.questions import questions_of
from sparkprep.filter.settings import FilterSettings
from sparkprep.io.arrow import matrix_from_binary, matrix_to_binary, text_buffers
from sparkprep.tokens import xxhash64

TEXTS = ("The quick brown fox jumps over the lazy dog, naïvely.", "The quick brown fox jumps over the lazy dog.")
_MODULES = (
    *(band_keys, buckets, clusters, components, hashing, language_model, scanning, serialized, sets, shingles, sketch),
    *(attributes, grid, tables, tags, c4, fineweb, gopher, judge, texts, words, utf8, grams, ngram_words, xxhash64),
)


def call_all() -> float:
    """Call them for two short texts, and return the Jaccard similarity of these.

    >>> call_all()
    0.8333333333333334
    """
    column = pa.array([*TEXTS, None])
    sketches = sketch.sketch(column)
    rank.id_hashes(column)
    utf8.characters(column)
    _search(sketches)
    _decide()
    xxhash64.xxhash64(column, 1)
    language_of(TEXTS[0])
    scanning.scan(b"<p>The quick brown fox</p>")
    judge.judge(column, questions_of(FilterSettings()))
    _find_ngrams(column)
    return _compare(column)


def compiled_and_loaded() -> tuple[int, int]:
    """Return how many kernels this process has compiled, and how many it has loaded as they were compiled before."""
    kernels = {id(kernel): kernel for module in _MODULES for kernel in vars(module).values() if _is_kernel(kernel)}
    stats = [kernel.stats for kernel in kernels.values()]
    return sum(sum(each.cache_misses.values()) for each in stats), sum(sum(each.cache_hits.values()) for each in stats)


def _is_kernel(value: object) -> bool:
    return isinstance(value, Dispatcher)


def _search(sketches: sketch.Sketches) -> None:
    """Call what makes band keys, and what looks for candidates in buckets."""
    slots = in_sequence(*choose(0.8)).slots
    rows = len(sketches.signatures)
    keys = np.empty((rows, len(slots)), np.uint64)
    band_keys.band_keys(sketches.signatures, slots, keys)
    tiny = matrix_from_binary(matrix_to_binary(sketches.signatures.astype(np.uint8)), np.uint8)
    band_keys.band_keys(tiny, slots, keys)
    key = np.asarray(pa.array(np.arange(rows)))
    entries = buckets.Entries(keys.reshape(-1), np.repeat(key, len(slots)), np.repeat(sketches.text_hash, len(slots)))
    list(buckets.search(entries.pack(2), cap=10))
    buckets.Leaders(0, 2).meet(key, tiny, np.full(len(key), 2), 100.0, 110.0, 120.0)


def _decide() -> None:
    """Call what makes groups and clusters of pairs."""
    # Two rows at least: the columns of fewer lie one after another, as those of more do not.
    pairs, similarity, copies = np.array([[0, 1], [0, 2]]), np.array([0.9, 0.9]), np.array([[1, 3], [2, 4]])
    clusters.leader(5, copies, pairs[:, 0], pairs[:, 1], similarity)
    clusters.component(5, copies, pairs[:, 0], pairs[:, 1], similarity)


def _find_ngrams(column: pa.Array) -> None:
    """Call what makes a table of n-grams, and what searches texts for them."""
    asked = Words(DecontaminateSettings(benchmark="none", ngram_words=5))
    asked.add(TEXTS, 0, "")
    table, *_ = asked.table()
    data, offsets, _ = text_buffers(column)
    grams.scan(data, offsets, unicode.table(), table, np.zeros(len(column), np.uint8))
    grams.hits_of(data, offsets[0], offsets[1], unicode.table(), table)


def _compare(column: pa.Array) -> float:
    """Call what compares two texts."""
    data, offsets, _ = text_buffers(column)
    compared, similarity = sets.ShingleSets(5), np.empty(1)
    for row in range(2):
        compared.add_text(data, offsets[row], offsets[row + 1])
    partners = np.asarray(pa.array([0]))
    compared.compare_last(np.arange(2), partners, similarity)
    return float(similarity[0])
