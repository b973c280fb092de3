"""Fetch a few documents by their key, on the driver, without Spark: for the report's examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.io.arrow import python_values
from sparkprep.io.parquet import open_parquet

ROWS = 256


def fetch(
    summary: InputSummary, keys: Sequence[int], columns: Sequence[str], row_groups: int
) -> dict[int, dict[str, Any]]:
    """Return {key: {column: value}} for those keys that lie in the first `row_groups` row groups met in their order.

    Those of a file are met together. A row group is read in small batches and only up to the last row asked for. Raises
    UserError where a file cannot be read any more.
    """
    groups = [(file, number) for file, each in enumerate(summary.row_groups) for number in range(len(each))]
    starts = list(accumulate((group.rows for each in summary.row_groups for group in each), initial=0))
    keys_of: dict[int, dict[int, list[int]]] = {}
    for key in keys:
        place = int(np.searchsorted(starts, key, side="right")) - 1
        keys_of.setdefault(groups[place][0], {}).setdefault(place, []).append(key)
    found: dict[int, dict[str, Any]] = {}
    for file, places in keys_of.items():
        chosen = list(islice(places.items(), row_groups))
        row_groups -= len(chosen)
        if not chosen:
            break
        with open_parquet(summary.files[file].path) as source:
            for place, keys_in_group in chosen:
                rows = [key - starts[place] for key in sorted(keys_in_group)]
                for row, values in rows_of_group(source, groups[place][1], rows, columns):
                    found[starts[place] + row] = values
    return found


def rows_of_group(
    source: pq.ParquetFile, group: int, rows: Sequence[int], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row, its values) for rows of a row group, in ascending order, with those columns that the file has."""
    present = [column for column in columns if column in source.schema_arrow.names]
    waiting, before = list(rows), 0
    for batch in source.iter_batches(ROWS, row_groups=[group], columns=present):
        while waiting and waiting[0] < before + batch.num_rows:
            row = waiting.pop(0)
            one = batch.slice(row - before, 1)
            yield row, {name: python_values(one[name])[0] for name in present}
        if not waiting:
            return
        before += batch.num_rows
