"""Rows sorted inside a task, more of them than it holds: sorted runs in nameless files, which are then merged."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from sparkprep.io.arrow import concatenated
from sparkprep.io.spilling import room_in, spill_folder

RUN_BYTES = 32 << 20
"""Of rows that are sorted at once: they are in memory three times meanwhile."""
STEP_BYTES = 1 << 20
"""Of the rows of each run that are in memory while runs are merged, or one longer row."""

Key = tuple[tuple[bool, Any], ...]
"""A row's values as Python orders them: a null after every value."""


def sort(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of batches of one schema, of numbers and binary, in the order of their columns from the first on.

    Nulls come after values. What exceeds RUN_BYTES waits in the folders that Spark has for its shuffles
    (`spark.local.dir`), in files without a name, of which nothing is left however the task ends. Raises UserError
    where there is no room for them.
    """
    runs: list[Iterator[pa.RecordBatch]] = []
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if held and size + batch.nbytes > RUN_BYTES:
            runs.append(_through_file(_sorted(held)))
            held, size = [], 0
        held.append(batch)
        size += batch.nbytes
    if held:
        runs.append(steps(_sorted(held), STEP_BYTES))
        del held
    yield from _merged(runs) if len(runs) > 1 else (step for run in runs for step in run)


def steps(rows: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch in slices of at most so many bytes, or of one longer row."""
    if rows.num_rows <= 1 or rows.nbytes <= size:
        yield rows
        return
    half = rows.num_rows // 2
    yield from steps(rows.slice(0, half), size)
    yield from steps(rows.slice(half), size)


def _sorted(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    rows = concatenated(batches)
    return rows.take(pc.sort_indices(rows, [(name, "ascending") for name in rows.schema.names]))


def _through_file(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Write a sorted run to a file now, and yield it from there step by step when it is asked for."""
    folder = spill_folder()
    with room_in(folder, "rows that wait to be merged"):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it is closed when nobody reads it any more
        with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), rows.schema) as stream:
            for step in steps(rows, STEP_BYTES):
                stream.write_batch(step)
        file.flush()
    file.seek(0)
    return iter(pa.ipc.open_stream(pa.PythonFile(file, mode="r")))


def _merged(runs: list[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    heads = {number: head for number, run in enumerate(runs) if (head := next(run, None))}
    while heads:
        # No run has further rows before the least of those that the heads end with.
        horizon = min(_key(head, head.num_rows - 1) for head in heads.values())
        ready = []
        for number, head in list(heads.items()):
            rows = bisect_right(range(head.num_rows), horizon, key=partial(_key, head))
            ready.append(head.slice(0, rows))
            rest = head.slice(rows) if rows < head.num_rows else next(runs[number], None)
            if rest is None:
                del heads[number]
            else:
                heads[number] = rest
        yield _sorted(ready)


def _key(rows: pa.RecordBatch, row: int) -> Key:
    values = (column[row].as_py() for column in rows.columns)
    return tuple((value is None, value) for value in values)
