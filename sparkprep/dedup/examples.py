"""What the report shows of single documents: the largest clusters, and pairs spread over the similarities found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.dedup.report import TEXT_LIMIT
from sparkprep.dedup.settings import Settings
from sparkprep.documents.lookup import fetch
from sparkprep.documents.parquet import InputSummary
from sparkprep.storage import DataFile

CLUSTERS, MEMBERS, PAIRS = 10, 10, 8
EXCERPT = 300
ROW_GROUPS = 24
"""Row groups that are opened for the examples at most; what lies in others is shown without its text."""

I64 = npt.NDArray[np.int64]


def choose(removed: I64, kept: I64, jaccard: npt.NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """(kept keys of the largest clusters, places of the sample pairs); arrays in keep order of the removed."""
    names, sizes = np.unique(kept, return_counts=True)
    largest = names[np.lexsort((names, -sizes))][:CLUSTERS]
    near = np.flatnonzero(jaccard < 1.0)
    by_similarity = near[np.lexsort((near, jaccard[near]))]
    spread = np.unique(np.linspace(0, len(by_similarity) - 1, PAIRS).round().astype(int)) if len(near) else []
    return largest.tolist(), by_similarity[spread].tolist() if len(near) else []


def collect(
    files: Sequence[DataFile],
    summary: InputSummary,
    settings: Settings,
    removed: I64,
    kept: I64,
    jaccard: npt.NDArray[np.float64],
    rules: Sequence[str],
) -> dict[str, Any]:
    """The report's examples from the decisions (equally long arrays of keys, similarities and rules)."""
    heads, places = choose(removed, kept, jaccard)
    members = {head: np.flatnonzero(kept == head) for head in heads}
    in_pairs = [int(k) for p in places for k in (removed[p], kept[p])]
    with_text = dict.fromkeys([*in_pairs, *heads])
    columns = [c for c in (settings.id_column, settings.source_column, settings.text_column) if c in summary.schema.names]
    documents = fetch(files, summary, list(with_text), columns, ROW_GROUPS)
    others = [int(removed[p]) for head in heads for p in members[head][:MEMBERS]]
    names = fetch(files, summary, others, [settings.id_column], 4 * ROW_GROUPS)

    def name(key: int) -> str:
        row = documents.get(key) or names.get(key) or {}
        return str(row.get(settings.id_column, f"row {key}"))

    def text(key: int) -> str:
        return (documents.get(key, {}).get(settings.text_column) or "")[:TEXT_LIMIT]

    return {
        "clusters": [
            {
                "kept_id": name(head),
                "size": len(members[head]) + 1,
                "source": documents.get(head, {}).get(settings.source_column),
                "excerpt": text(head)[:EXCERPT],
                "removed": [
                    {"id": name(int(removed[p])), "jaccard": float(jaccard[p]), "rule": rules[p]}
                    for p in members[head][:MEMBERS].tolist()
                ],
            }
            for head in heads
        ],
        "pairs": [
            {
                "removed_id": name(int(removed[p])),
                "kept_id": name(int(kept[p])),
                "jaccard": float(jaccard[p]),
                "rule": rules[p],
                "removed_text": text(int(removed[p])),
                "kept_text": text(int(kept[p])),
            }
            for p in places
            if int(removed[p]) in documents and int(kept[p]) in documents
        ],
    }
