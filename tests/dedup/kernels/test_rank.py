"""The keep order as bytes: they sort as the values do, whatever the type, with what is missing at the end."""

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from every_type import NESTED, ORDERED
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.rank import has_order, id_hashes, rank_bytes
from sparkprep.io.arrow import to_bytes

WHOLE = {str(kind): (kind, st.integers(-(2**63), 2**63 - 1)) for kind in (
    pa.int64(), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.duration("s"),
)}  # fmt: skip
TEXT = st.text(st.sampled_from("\0\1aü\uffff😀"), max_size=4)
BYTES = st.binary(max_size=3) | st.lists(st.sampled_from([0, 1, 254, 255]), max_size=4).map(bytes)
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = WHOLE | {
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint16": (pa.uint16(), st.integers(0, 2**16 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "date32": (pa.date32(), st.integers(-(2**31), 2**31 - 1)),
    "time64": (pa.time64("ns"), st.integers(0, 86_399_999_999_999)),
    "float16": (pa.float16(), st.floats(width=16)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats()),
    "decimal64": (pa.decimal64(15, 2), st.decimals(-(10**12), 10**12, places=2)),
    "decimal128": (pa.decimal128(38, 0), st.integers(-(10**37), 10**37).map(Decimal)),
    "decimal256": (pa.decimal256(60, 0), st.integers(-(10**59), 10**59).map(Decimal)),
    "string": (pa.string(), TEXT),
    "large string": (pa.large_string(), TEXT),
    "string view": (pa.string_view(), TEXT),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), TEXT),
    "binary": (pa.binary(), BYTES),
    "binary view": (pa.binary_view(), BYTES),
    "fixed binary": (pa.binary(2), st.binary(min_size=2, max_size=2)),
    "uuid": (pa.uuid(), st.binary(min_size=16, max_size=16)),
    "null": (pa.null(), st.none()),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.Array, list[Any]]:
    """A slice of a column of any ordered type, and its values as Python compares them; None for null and NaN."""
    kind, values = VALUES[draw(st.sampled_from(sorted(VALUES)))]
    rows = draw(st.lists(st.none() | values, min_size=6, max_size=6))
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    plain = storage.value_type if pa.types.is_dictionary(storage) else storage
    column = pa.array(rows, plain, from_pandas=False)
    column = column.dictionary_encode().cast(storage) if pa.types.is_dictionary(storage) else column
    column = pa.ExtensionArray.from_storage(kind, column) if storage is not kind else column
    start = draw(st.integers(0, 3))
    missing = (None if isinstance(row, float) and math.isnan(row) else row for row in rows[start:])
    return column.slice(start), [row.encode() if isinstance(row, str) else row for row in missing]


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1 as a comes before b, with it or behind it; None is last."""
    if a is None or b is None:
        return (a is None) - (b is None)
    return int(a > b) - int(a < b)


@given(columns())
def test_ids_sort_as_their_values_do_with_nulls_at_the_end(column: tuple[pa.Array, list[Any]]) -> None:
    ids, values = column
    ranks = rank_bytes(ids).to_pylist()
    for a, rank_a in zip(values, ranks, strict=True):
        for b, rank_b in zip(values, ranks, strict=True):
            assert compare(rank_a, rank_b) == compare(a, b)


@given(columns(), columns(), st.booleans())
def test_a_first_column_decides_in_either_direction_and_ids_decide_among_equals(
    first: tuple[pa.Array, list[Any]], ids: tuple[pa.Array, list[Any]], descending: bool
) -> None:
    rows = min(len(first[0]), len(ids[0]))
    ranks = rank_bytes(ids[0].slice(0, rows), first[0].slice(0, rows), descending=descending).to_pylist()
    for i in range(rows):
        for j in range(rows):
            a, b = first[1][i], first[1][j]
            expected = compare(a, b)
            if descending and a is not None and b is not None:
                expected = -expected
            expected = expected or compare(ids[1][i], ids[1][j])
            assert compare(ranks[i], ranks[j]) == expected


def comparable(column: pa.Array) -> list[Any]:
    """The values of a column in full: Python's own times end at microseconds."""
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    return (storage.view(f"int{storage.type.bit_width}") if pa.types.is_temporal(storage.type) else storage).to_pylist()


@pytest.mark.parametrize("name", ORDERED)
def test_arrow_sorts_the_bytes_as_python_sorts_the_values(name: str) -> None:
    """Arrow's own sort is what the driver uses: it must take the bytes as unsigned."""
    values = comparable(ORDERED[name])
    in_order = [values[i] for i in pc.sort_indices(rank_bytes(ORDERED[name])).to_pylist()]
    there = sorted(value for value in values if value is not None)
    assert in_order == [*there, *[None] * (len(values) - len(there))]


@pytest.mark.parametrize("name", ORDERED)
@pytest.mark.parametrize("descending", [False, True])
def test_the_values_themselves_stay_as_they_are(name: str, descending: bool) -> None:
    column = pa.concat_arrays([ORDERED[name].slice(0, 2), ORDERED[name].slice(2)])  # in memory that may be written to
    packed = to_bytes(column)
    rank_bytes(column, column, descending=descending)
    assert comparable(column) == comparable(ORDERED[name])
    assert packed.equals(to_bytes(ORDERED[name]))


@pytest.mark.parametrize("name", ORDERED)
def test_equal_ids_have_one_hash_and_others_another(name: str) -> None:
    column = ORDERED[name]
    hashes = id_hashes(column).to_pylist()
    assert hashes[1:] == id_hashes(column.slice(1)).to_pylist()
    pairs = list(zip(comparable(column), hashes, strict=True))
    assert all((value is None) == (hashed is None) for value, hashed in pairs)
    assert all((a == b) == (hash_a == hash_b) for a, hash_a in pairs for b, hash_b in pairs)


def test_what_has_no_order_is_told() -> None:
    assert all(has_order(column.type) for column in ORDERED.values())
    assert not any(has_order(column.type) for column in NESTED.values())
    assert not has_order(pa.month_day_nano_interval())
    assert not has_order(pa.dictionary(pa.int8(), pa.list_(pa.int8())))
