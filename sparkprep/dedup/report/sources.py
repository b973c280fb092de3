"""How much each source (the host of a document's URL, or another column's value) loses."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.kernels.arrays import I64
from sparkprep.dedup.resolve.outcome import Flow
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import python_values
from sparkprep.spark.tables import Table

LOST = 0.9
"""A source that loses more than this share is worth a warning."""
LEAST = 10
"""A source of fewer documents is not."""
TOP = 30
MOST_SOURCES = 1_000_000
"""Sources that are counted one by one; a document of a further one counts among OTHERS."""
OTHERS = "(further sources)"


def _with_removed(signatures: Table, removed: Table) -> Iterator[tuple[I64, pa.RecordBatch]]:
    """Yield (keys of the removed documents of its piece, KEY and source of signature rows)."""
    for piece in signatures.parts or {}:
        keys = keys_of(removed, piece)
        for batch in signatures.part(piece, [KEY, "source"]):
            yield keys, batch


def losses(signatures: Table, column: str, removed: Table, flows: Sequence[Flow]) -> dict[str, Any]:
    """Return the "sources" figures of metrics.json from the signature rows, read some at a time.

    removed: the keys of the removed documents, addressed to the pieces, as the signature rows are. flows: which source
    lost to which. The sources come sorted by the documents that they lose.
    """
    documents: dict[str, int] = {}
    gone: dict[str, int] = {}
    for keys, batch in _with_removed(signatures, removed):
        encoded = pc.dictionary_encode(batch["source"])
        codes = np.asarray(encoded.indices.fill_null(len(encoded.dictionary)))
        flags = is_among(np.asarray(batch[KEY]), keys)
        names = python_values(encoded.dictionary)
        total = np.bincount(codes, minlength=len(names) + 1)
        lost = np.bincount(codes[flags], minlength=len(names) + 1)
        for name, n, k in zip(names, total.tolist(), lost.tolist(), strict=False):  # the last count is that of nulls
            if name not in documents and len(documents) >= MOST_SOURCES:
                name = OTHERS
            documents[name] = documents.get(name, 0) + n
            gone[name] = gone.get(name, 0) + k

    def most_lost(names: Iterable[str]) -> list[str]:
        return heapq.nsmallest(TOP, names, key=lambda name: (-gone[name], -documents[name], name))

    worst = most_lost(s for s, n in documents.items() if n >= LEAST and gone[s] > LOST * n)
    shown = most_lost({*most_lost(documents), *worst})
    return {
        "column": column,
        "total": len(documents),
        "losing": sum(1 for n in gone.values() if n),
        "least_documents": LEAST,
        "lost_over_90_percent": worst,
        "top": [{"source": s, "documents": documents[s], "removed": gone[s]} for s in shown],
        "flows": [asdict(flow) for flow in flows],
    }
