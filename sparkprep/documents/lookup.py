"""Fetch a few documents by their key, on the driver, without Spark: for the report's examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.io.arrow import python_values
from sparkprep.io.paths import filesystem

ROWS = 256


def fetch(
    summary: InputSummary, keys: Sequence[int], columns: Sequence[str], row_groups: int
) -> dict[int, dict[str, Any]]:
    """Return {key: {column: value}} for those keys that lie in the first `row_groups` row groups met in their order.

    A row group is read in small batches and only up to the last row asked for.
    """
    starts = np.array(list(accumulate(summary.file_rows, initial=0)))
    by_file: dict[int, list[int]] = {}
    for key in keys:
        by_file.setdefault(int(np.searchsorted(starts, key, side="right")) - 1, []).append(key)
    rows_of_keys: dict[int, dict[str, Any]] = {}
    for number, keys_in_file in by_file.items():
        if row_groups <= 0:
            break
        system, inner = filesystem(summary.files[number].path)
        with pq.ParquetFile(inner, filesystem=system) as source:
            present = [c for c in columns if c in source.schema_arrow.names]
            ends = list(accumulate(source.metadata.row_group(g).num_rows for g in range(source.num_row_groups)))
            groups: dict[int, list[int]] = {}
            for key in keys_in_file:
                row = key - int(starts[number])
                groups.setdefault(int(np.searchsorted(ends, row, side="right")), []).append(row)
            for group, rows in groups.items():
                if row_groups <= 0:
                    break
                row_groups -= 1
                first = ends[group - 1] if group else 0
                left = sorted(row - first for row in rows)
                before = 0
                for batch in source.iter_batches(ROWS, row_groups=[group], columns=present):
                    while left and left[0] < before + batch.num_rows:
                        row = left.pop(0)
                        one = batch.slice(row - before, 1)
                        rows_of_keys[int(starts[number]) + first + row] = {
                            name: python_values(one[name])[0] for name in present
                        }
                    if not left:
                        break
                    before += batch.num_rows
    return rows_of_keys
