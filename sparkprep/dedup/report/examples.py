"""What the report shows of single documents: the largest clusters, pairs spread over the similarities, near misses."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from sparkprep.dedup.report.page import TEXT_LIMIT
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.keys import KEY
from sparkprep.documents.lookup import fetch
from sparkprep.io.arrow import python_values

EXCERPT = 300
ROW_GROUPS = 24
"""Row groups that are opened for the examples at most; what lies in others is shown without its text."""


def collect(work: Workspace, outcome: Outcome) -> dict[str, Any]:
    """Return the report's examples, with the texts of as many documents as ROW_GROUPS allow."""
    clusters, pairs, misses = (_rows(t) for t in (outcome.clusters, outcome.pairs_sample, outcome.misses_sample))
    settings, source = work.settings, work.columns.source
    ends = [row[side] for row in pairs + misses for side in (KEY, "kept_key")]
    keys = list(dict.fromkeys(ends + [row["kept_key"] for row in clusters]))
    columns = [c for c in (source, settings.text_column) if c is not None]
    own = [key for key in keys if key < work.standing.own]  # of others the index has no text
    documents = fetch(work.summary, own, columns, ROW_GROUPS)

    def text_of(key: int) -> str:
        return (documents.get(key, {}).get(settings.text_column) or "")[:TEXT_LIMIT]

    def source_of(key: int) -> Any:
        return documents.get(key, {}).get(source) if source else None

    def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                "id": str(row["id"]),
                "kept_id": str(row["kept_id"]),
                "jaccard": row["jaccard"],
                "rule": row["rule"],
                "source": source_of(row[KEY]),
                "kept_source": source_of(row["kept_key"]),
                "text": text_of(row[KEY]),
                "kept_text": text_of(row["kept_key"]),
            }
            for row in rows
            if row[KEY] in documents and row["kept_key"] in documents
        ]

    heads: dict[int, list[dict[str, Any]]] = {}
    for row in clusters:
        heads.setdefault(row["kept_key"], []).append(row)
    sizes = dict(zip(heads, outcome.cluster_heads, strict=True))
    return {
        "clusters": [
            {
                "kept_id": str(rows[0]["kept_id"]),
                "size": sizes[head],
                "source": source_of(head),
                "excerpt": text_of(head)[:EXCERPT],
                "removed": [
                    {"id": str(r["id"]), "jaccard": r["jaccard"], "rule": r["rule"]}
                    for r in sorted(rows, key=lambda r: -r["jaccard"])
                ],
            }
            for head, rows in heads.items()
        ],
        "pairs": told(pairs),
        "misses": told(misses),
    }


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    columns = {name: python_values(table[name]) for name in table.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
