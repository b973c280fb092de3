"""What is told as JSON comes back equal, with its types; what is none of the expected is refused."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.io.typed_json import Unknown, decode, encode


class Place(NamedTuple):
    row: int
    name: str


@dataclass(frozen=True)
class Told:
    number: int
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    rows: tuple[dict[str, Any], ...] = ()
    place: Place | None = None


KINDS = (Told, Place)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=20)
keys = st.text(max_size=5) | st.integers() | st.tuples(st.text(max_size=5), st.integers())
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(Place, st.integers(), st.text(max_size=5))
        | st.builds(Told, st.integers(), st.dictionaries(keys, st.integers(), max_size=4).map(Counter))
    ),
    max_leaves=10,
)


@given(values)
def test_a_value_comes_back_equal_and_of_its_type(value: object) -> None:
    back = decode(json.loads(json.dumps(encode(value))), KINDS)
    assert back == value
    assert type(back) is type(value)


def test_arrays_and_tables_come_back_with_their_types() -> None:
    array = decode(json.loads(json.dumps(encode(np.array([1, 2], np.int32)))), ())
    assert (array.dtype, array.tolist()) == (np.int32, [1, 2])
    table = pa.table({"a": pa.array([1, None], pa.uint16()), "b": [b"\xff", b""]})
    assert decode(json.loads(json.dumps(encode(table))), ()).equals(table)
    assert encode(np.float64(0.5)) == 0.5


def test_a_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(Unknown, match="object is no type that is kept as JSON"):
        encode([object()])


@pytest.mark.parametrize("content", [{"Other": {}}, {"Place": {"row": 1}}, {"a": 1, "b": 2}, {"table": "AAAA"}])
def test_content_that_is_none_of_the_expected_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match=r"expected|missing|no table"):
        decode(content, KINDS)
