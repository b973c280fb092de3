"""Where runs of equal values begin, and which values there are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.arrays import distinct, run_starts


@given(st.lists(st.integers(-2, 2)))
def test_a_run_starts_where_the_value_before_is_another(values: list[int]) -> None:
    starts = [i for i, value in enumerate(values) if i == 0 or values[i - 1] != value]
    assert run_starts(np.array(values, np.int64)).tolist() == starts


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2))))
def test_distinct_values_are_the_sorted_set_of_an_array_of_any_shape(rows: list[tuple[int, int]]) -> None:
    values = np.array(rows, np.int64).reshape(-1, 2)
    assert (
        distinct(values).tolist() == distinct(values.reshape(-1)).tolist() == sorted({v for row in rows for v in row})
    )
