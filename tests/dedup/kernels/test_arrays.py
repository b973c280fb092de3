"""Where runs of equal values begin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.arrays import run_starts


@given(st.lists(st.integers(-2, 2)))
def test_a_run_starts_where_the_value_before_is_another(values: list[int]) -> None:
    starts = [i for i, value in enumerate(values) if i == 0 or values[i - 1] != value]
    assert run_starts(np.array(values, np.int64)).tolist() == starts
