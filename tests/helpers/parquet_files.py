"""Parquet files of documents for a test: written, looked at, and read back as the tasks of a job read them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.io.listing import list_files

ODD_NAMES = [
    "plain", "a b", "a%20b", "100%", "a#b", "a?b", "a[1]", "a*b", "a{x,y}", "a+b", "a&b=c", "a;b", "a'b", 'a"b',
    "a^b|c", "a`b", "a<b>", "a@b!$()~,", "a\\b", "ü", "u\u0308", "日本", "😀", "a\u00a0b", "a\u200eb", "a\tb", "a\nb",
    "a:b", "file:a",
]  # fmt: skip


def save(path: Path, columns: dict[str, Any] | pa.Table | None = None, **options: Any) -> Path:
    """Write one Parquet file, making its folder; with a column `text` at least."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = columns if isinstance(columns, pa.Table) else pa.table(columns or {"id": ["x"], "text": ["some text"]})
    pq.write_table(table, path, **options)
    return path


def summary_of(*paths: Path, columns: list[str] | None = None) -> InputSummary:
    """What the footers of the files at these paths tell."""
    return summarise(list_files(paths), columns=columns)


def documents_at(*paths: Path, tasks: int = 1) -> Documents:
    """The files at these paths, cut into pieces."""
    return plan(summary_of(*paths), tasks)


def read(documents: Documents, columns: list[str] | None = None) -> pa.Table:
    """All rows, piece after piece."""
    batches = [batch for piece in range(len(documents.pieces)) for batch in documents.batches(piece, columns)]
    schema = documents.schema
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    return pa.Table.from_batches(batches, schema)
