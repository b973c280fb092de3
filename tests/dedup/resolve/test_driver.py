"""The driver's budget counts distinct pairs: what bands find again and again takes neither memory nor room in it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sparkprep.dedup.columns import CANDIDATES, RowKind
from sparkprep.dedup.resolve import driver
from sparkprep.dedup.search_tables import CandidateTables

pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(10, 14)), max_size=60)


def written(folder: Path, rows: list[tuple[int, int]]) -> CandidateTables:
    """Candidates in two tables, each row as a pair and, the other way round, as a copy."""
    tables = CandidateTables(str(folder))
    half = len(rows) // 2
    for table, some in ((tables.buckets, rows[:half]), (tables.split, rows[half:])):
        a, b = (np.array([row[end] for row in some], np.int64) for end in (0, 1))
        kinds = np.repeat([RowKind.PAIR.value, RowKind.EXACT.value], len(some)).astype(np.int32)
        both = {"kind": kinds, "a": np.concatenate([a, b]), "b": np.concatenate([b, a])}
        table.save(pa.Table.from_pydict(both, CANDIDATES))
    return tables


@given(pairs, st.integers(1, 7))
@hypothesis_settings(max_examples=25)
def test_rows_are_made_distinct_as_they_are_read(tmp_path_factory, rows: list[tuple[int, int]], waiting: int) -> None:
    tables = written(tmp_path_factory.mktemp("candidates"), rows)
    wanted = sorted(set(rows))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(driver, "_WAITING", waiting)
        assert list(map(tuple, driver._distinct(tables, RowKind.PAIR, len(wanted)).tolist())) == wanted
        copies = driver._distinct(tables, RowKind.EXACT, len(wanted)).tolist()
        assert sorted((a, b) for b, a in copies) == wanted
        if wanted:
            with pytest.raises(driver._TooManyError):
                driver._distinct(tables, RowKind.PAIR, len(wanted) - 1)
