"""Characters are counted as Arrow counts them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.utf8 import characters

texts = st.lists(st.none() | st.text() | st.text("aä€😀", max_size=300))


@given(texts, st.sampled_from([pa.string(), pa.large_string()]), st.data())
def test_characters_are_those_of_arrow(values: list[str | None], kind: pa.DataType, data: st.DataObject) -> None:
    column = pa.array(values, kind)
    start = data.draw(st.integers(0, len(values)))
    column = column.slice(start, data.draw(st.integers(0, len(values) - start)))
    counted = characters(column)
    assert counted.dtype == np.int64
    assert counted.tolist() == pc.fill_null(pc.utf8_length(column), 0).to_pylist()
