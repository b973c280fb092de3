"""Arrow to NumPy and back: the same values as plain Python's, for slices, nulls, empty arrays and 64-bit offsets."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from every_type import ORDERED
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.io.arrow import (
    cast_batch,
    from_bytes,
    matrix_from_binary,
    matrix_to_binary,
    plain,
    python_values,
    runs_from_binary,
    runs_from_lists,
    runs_to_binary,
    text_buffers,
    to_bytes,
)

TEXTS = st.lists(st.none() | st.text(max_size=6), max_size=12)
RUNS = st.lists(st.none() | st.lists(st.integers(0, 65535), max_size=5), max_size=12)
SLICES = st.tuples(st.integers(0, 12), st.integers(0, 12))


def cut(runs: tuple[npt.NDArray[Any], npt.NDArray[np.int64]]) -> list[list[int]]:
    values, offsets = runs
    assert offsets.dtype == np.int64
    assert (offsets[0], offsets[-1]) == (0, len(values))
    return [values[a:b].tolist() for a, b in pairwise(offsets.tolist())]


@given(TEXTS, SLICES, st.sampled_from([pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]))
def test_the_bytes_of_texts_are_theirs(texts: list[str | None], where: tuple[int, int], kind: pa.DataType) -> None:
    data, offsets, valid = text_buffers(pa.array(texts, pa.string()).cast(kind).slice(*where))
    assert (data.dtype, offsets.dtype, valid.dtype) == (np.uint8, np.int64, np.uint8)
    chosen = texts[where[0] :][: where[1]]
    assert [bytes(data[a:b]).decode() for a, b in pairwise(offsets.tolist())] == [text or "" for text in chosen]
    assert valid.tolist() == [text is not None for text in chosen]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_an_empty_array_may_lack_its_offsets(kind: pa.DataType) -> None:
    for where in (None, pa.py_buffer(b"")):
        data, offsets, valid = text_buffers(pa.Array.from_buffers(kind, 0, [None, where, pa.py_buffer(b"")]))
        assert (data.shape, offsets.tolist(), valid.shape) == ((0,), [0], (0,))


def test_texts_may_not_be_written_wherever_they_come_from() -> None:
    here = pa.RecordBatch.from_pydict({"text": ["a", "b"]})
    received = pa.ipc.read_record_batch(here.serialize().to_pybytes(), here.schema)
    assert [text_buffers(batch["text"])[0].flags.writeable for batch in (here, received)] == [False, False]


def test_no_text_is_copied() -> None:
    texts = pa.array(["one", None, "three", "four"])
    data, offsets, _ = text_buffers(texts.slice(2))
    assert data.ctypes.data == texts.buffers()[2].address
    assert bytes(data[offsets[0] : offsets[1]]) == b"three"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint64])
@given(rows=st.integers(0, 9), width=st.integers(1, 5), where=SLICES)
def test_a_matrix_comes_back_from_binary(dtype: type, rows: int, width: int, where: tuple[int, int]) -> None:
    matrix = np.random.default_rng(rows).integers(0, 255, (rows, width)).astype(dtype)
    column = matrix_to_binary(matrix)
    assert column.to_pylist() == [row.tobytes() for row in matrix]
    for binary in (column, column.cast(pa.large_binary())):
        back = matrix_from_binary(binary.slice(*where), dtype)
        chosen = matrix[where[0] :][: where[1]]
        assert back.dtype == dtype
        assert back.tolist() == chosen.tolist()
        assert back.shape == (chosen.shape if len(chosen) else (0, 0))


def test_columns_of_a_matrix_that_do_not_lie_together_are_taken_as_they_are() -> None:
    matrix = np.arange(24, dtype=np.int64).reshape(4, 6)[:, ::2]
    assert matrix_from_binary(matrix_to_binary(matrix), np.int64).tolist() == matrix.tolist()


def test_rows_of_different_lengths_are_no_matrix() -> None:
    for rows in ([b"ab", b"abcd"], [b"ab", None]):
        with pytest.raises(ValueError, match="make no matrix"):
            matrix_from_binary(pa.array(rows, pa.binary()), np.uint8)


@given(RUNS, SLICES, st.booleans())
def test_runs_come_back_from_binary(runs: list[list[int] | None], where: tuple[int, int], wide: bool) -> None:
    filled = [run or [] for run in runs]
    values = np.array([value for run in filled for value in run], "<u2")
    offsets = np.concatenate([[0], np.cumsum([len(run) for run in filled], dtype=np.int64)])
    packed = runs_to_binary(values, offsets)
    assert packed.to_pylist() == [np.array(run, "<u2").tobytes() for run in filled]
    with_nulls = pa.array([None if run is None else np.array(run, "<u2").tobytes() for run in runs], pa.binary())
    for column in (packed, with_nulls):
        binary = column.cast(pa.large_binary()) if wide else column
        assert cut(runs_from_binary(binary.slice(*where), "<u2")) == filled[where[0] :][: where[1]]


@given(RUNS, SLICES, st.sampled_from([pa.list_, pa.large_list]), st.sampled_from([pa.int32(), pa.uint16(), pa.int64()]))
def test_runs_come_from_lists(runs: list[list[int] | None], where: tuple[int, int], of: Any, kind: pa.DataType) -> None:
    values, offsets = runs_from_lists(pa.array(runs, of(kind)).slice(*where))
    assert values.dtype == np.int64
    assert cut((values, offsets)) == [run or [] for run in runs[where[0] :][: where[1]]]


def test_what_lies_under_a_null_list_is_no_value() -> None:
    numbers = pa.array([1, 2, 3, 4])
    column = pa.ListArray.from_arrays(pa.array([0, 2, 3, 4]), numbers, mask=pa.array([False, True, False]))
    assert cut(runs_from_lists(column)) == [[1, 2], [], [4]]


def test_runs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="whole number of values of 2 bytes"):
        runs_from_binary(pa.array([b"ab", b"abc"]), "<u2")
    with pytest.raises(ValueError, match="a null among its numbers"):
        runs_from_lists(pa.array([[1, None]], pa.list_(pa.int32())))
    with pytest.raises(ValueError, match="do not fit into one binary array"):
        runs_to_binary(np.empty(0, np.uint16), np.array([0, 1 << 30]))


@given(TEXTS, st.sampled_from([pa.string(), pa.large_string()]))
def test_python_values_are_arrows_own(texts: list[str | None], kind: pa.DataType) -> None:
    assert python_values(pa.array(texts, kind)) == texts
    assert python_values(pa.chunked_array([pa.array(texts, kind)])) == texts


def test_bytes_that_are_no_utf_8_become_u_fffd() -> None:
    broken = pa.array([b"a\xffb", None]).cast(pa.string(), safe=False)
    assert python_values(broken) == ["a\ufffdb", None]
    assert python_values(pa.array([{"n": 1}, None])) == [{"n": 1}, None]


@pytest.mark.parametrize("name", ORDERED)
@pytest.mark.parametrize("where", [(0, 4), (1, 3), (2, 1), (1, 1), (4, 0)])
def test_values_of_any_type_come_back_from_their_bytes(name: str, where: tuple[int, int]) -> None:
    column = ORDERED[name].slice(*where)
    packed = to_bytes(column)
    assert packed.type == pa.binary()
    assert packed.is_valid().equals(column.is_valid())
    for binary in (packed, pa.concat_arrays([packed, packed]).slice(len(column))):
        back = from_bytes(binary, column.type)
        back.validate(full=True)
        assert back.type == column.type
        # A dictionary may number its values otherwise.
        assert plain(back).equals(plain(column))


def test_a_string_that_is_no_utf_8_comes_back_from_its_bytes() -> None:
    for kind in (pa.string(), pa.large_string()):
        broken = pa.array([b"a\xff", None]).cast(pa.string(), safe=False).cast(kind)
        back = from_bytes(to_bytes(broken), kind)
        assert back.type == kind
        assert to_bytes(back).to_pylist() == [b"a\xff", None]


def test_a_batch_gets_the_columns_and_types_of_a_schema() -> None:
    schema = pa.schema([("n", pa.int64()), ("lang", pa.string()), ("gone", pa.list_(pa.int8()))], {"of": "all"})
    batch = pa.RecordBatch.from_pydict({"more": [1, 2], "n": pa.array([3, None], pa.int32())})
    back = cast_batch(batch, schema, {"lang": "en"})
    assert back.schema.equals(schema, check_metadata=True)
    assert back.to_pydict() == {"n": [3, None], "lang": ["en", "en"], "gone": [None, None]}
