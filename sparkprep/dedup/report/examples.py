"""What the report shows of single documents: the largest clusters, and pairs spread over the similarities found."""

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
    clusters, pairs = _rows(outcome.clusters), _rows(outcome.pairs_sample)
    settings, source = work.settings, work.columns.source
    keys = [row[side] for row in pairs for side in (KEY, "kept_key")] + [row["kept_key"] for row in clusters]
    columns = [c for c in (source, settings.text_column) if c is not None]
    documents = fetch(work.summary, list(dict.fromkeys(keys)), columns, ROW_GROUPS)

    def text(key: int) -> str:
        return (documents.get(key, {}).get(settings.text_column) or "")[:TEXT_LIMIT]

    heads: dict[int, list[dict[str, Any]]] = {}
    for row in clusters:
        heads.setdefault(row["kept_key"], []).append(row)
    sizes = dict(zip(heads, outcome.cluster_heads, strict=True))
    return {
        "clusters": [
            {
                "kept_id": str(rows[0]["kept_id"]),
                "size": sizes[head],
                "source": documents.get(head, {}).get(source) if source else None,
                "excerpt": text(head)[:EXCERPT],
                "removed": [{"id": str(r["id"]), "jaccard": r["jaccard"], "rule": r["rule"]} for r in rows],
            }
            for head, rows in heads.items()
        ],
        "pairs": [
            {
                "removed_id": str(row["id"]),
                "kept_id": str(row["kept_id"]),
                "jaccard": row["jaccard"],
                "rule": row["rule"],
                "removed_text": text(row[KEY]),
                "kept_text": text(row["kept_key"]),
            }
            for row in pairs
            if row[KEY] in documents and row["kept_key"] in documents
        ],
    }


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    columns = {name: python_values(table[name]) for name in table.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
