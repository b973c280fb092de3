"""Which types make one column: those of which one holds every value of the other, and no others."""

import json
from typing import Any

import pyarrow as pa
import pytest
from every_type import EVERY_TYPE

from sparkprep.documents.parquet.schemas import common_type, unify
from sparkprep.errors import UserError
from sparkprep.io.arrow import cast_batch

S, LS = pa.string(), pa.large_string()
US, ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")
POINT = pa.struct([("x", pa.int32())])
MORE = pa.struct([("x", pa.int64()), ("y", pa.string())])
WORDS = pa.array(["a", None, "b"])

# A column of the one type, the other type, and the type that holds both.
HARMLESS: list[tuple[pa.Array, pa.DataType, pa.DataType]] = [
    (pa.array([2**31 - 1, None], pa.int32()), pa.int64(), pa.int64()),
    (pa.array([255, None], pa.uint8()), pa.int16(), pa.int16()),
    (pa.array([2**32 - 1], pa.uint32()), pa.int64(), pa.int64()),
    (pa.array([255], pa.uint8()), pa.uint64(), pa.uint64()),
    (pa.array([0.5, None], pa.float16()), pa.float32(), pa.float32()),
    (pa.array([0.1, None], pa.float32()), pa.float64(), pa.float64()),
    (pa.array([-128], pa.int8()), pa.float32(), pa.float32()),
    (pa.array([2**31 - 1], pa.int32()), pa.float64(), pa.float64()),
    (WORDS.dictionary_encode(), S, S),
    (WORDS.dictionary_encode(), pa.dictionary(pa.int8(), LS), LS),
    (WORDS, LS, LS),
    (pa.array([b"\xff", None]), pa.large_binary(), pa.large_binary()),
    (pa.array([-1, None], pa.timestamp("ms")), US, US),
    (pa.array([-1, None], ZONED), pa.timestamp("ns", "UTC"), pa.timestamp("ns", "UTC")),
    (pa.array([-1, None], pa.int32()).cast(pa.date32()), pa.date64(), pa.date64()),
    (pa.array([None, "1.25"]).cast(pa.decimal128(5, 2)), pa.decimal128(10, 2), pa.decimal128(10, 2)),
    (pa.array([{"x": 1}, {"x": None}, None], POINT), MORE, MORE),
    (pa.array([[1, None], None, []], pa.list_(pa.int32())), pa.list_(pa.int64()), pa.list_(pa.int64())),
    (pa.array([["a"], None], pa.list_(S)), pa.large_list(LS), pa.large_list(LS)),
    (pa.array([[1, 2], None], pa.list_(pa.int32(), 2)), pa.list_(pa.int32()), pa.list_(pa.int32())),
    (pa.array([[{"x": 1}, None], None], pa.list_(POINT)), pa.list_(MORE), pa.list_(MORE)),
    (pa.array([{"s": {"x": 1}}, None], pa.struct([("s", POINT)])), pa.struct([("s", MORE)]), pa.struct([("s", MORE)])),
    (pa.array([2**31 - 1], pa.int32()), pa.float32(), pa.float64()),
    (pa.array([-1, None], ZONED), pa.timestamp("us", "Europe/Paris"), ZONED),
    (pa.array([-1, None], pa.timestamp("s", "America/New_York")), pa.timestamp("us", "+02:00"), ZONED),
    (pa.array([[-1], None], pa.list_(pa.timestamp("ms", "Etc/UTC"))), pa.list_(ZONED), pa.list_(ZONED)),
    (pa.array([b"0" * 16, None], pa.binary(16)), pa.uuid(), pa.binary(16)),
    (pa.array(["{}", None]), pa.json_(S), S),
    (pa.array([{"u": b"0" * 16}, None], pa.struct([("u", pa.binary(16))])), pa.struct([("u", pa.uuid())]),
     pa.struct([("u", pa.binary(16))])),
    (pa.array([[("a", 1)], None], pa.map_(S, pa.int32(), keys_sorted=True)), pa.map_(S, pa.int64()),
     pa.map_(S, pa.int64())),
]  # fmt: skip

CONTRADICTIONS = [
    (S, pa.int64()),
    (S, pa.binary()),
    (S, pa.bool_()),
    (pa.int64(), pa.float64()),
    (pa.uint64(), pa.int64()),
    (pa.uint64(), pa.int8()),
    (pa.decimal128(38, 9), pa.float64()),
    (US, ZONED),
    (US, pa.timestamp("us", "Europe/Paris")),
    (pa.uuid(), S),
    (pa.uuid(), pa.json_(S)),
    (US, pa.int64()),
    (pa.date32(), S),
    (pa.list_(pa.int64()), pa.list_(S)),
    (pa.list_(pa.int64()), pa.int64()),
    (POINT, pa.struct([("x", pa.string())])),
    (POINT, pa.map_(S, pa.int32())),
    (pa.map_(S, pa.int32()), pa.map_(S, S)),
    (pa.dictionary(pa.int8(), S), pa.int8()),
    (pa.duration("us"), pa.int64()),
]


def kept_fields(value: Any) -> Any:
    """The value without the fields that only the wider struct has."""
    if isinstance(value, list):
        return [kept_fields(each) for each in value]
    return {k: kept_fields(v) for k, v in value.items() if k != "y"} if isinstance(value, dict) else value


@pytest.mark.parametrize(("narrow", "other", "both"), HARMLESS, ids=lambda each: str(getattr(each, "type", each)))
def test_the_type_that_holds_both_is_taken_and_no_value_changes(
    narrow: pa.Array, other: pa.DataType, both: pa.DataType
) -> None:
    assert common_type(narrow.type, other) == both
    assert common_type(other, narrow.type) == both
    batch = cast_batch(pa.RecordBatch.from_arrays([narrow], ["x"]), pa.schema([("x", both)]), {})
    assert batch.schema.field("x").type == both
    assert kept_fields(batch.column(0).to_pylist()) == narrow.to_pylist()


@pytest.mark.parametrize(("a", "b"), CONTRADICTIONS, ids=str)
def test_types_of_which_neither_holds_the_other_contradict(a: pa.DataType, b: pa.DataType) -> None:
    assert common_type(a, b) is None
    assert common_type(b, a) is None
    assert common_type(pa.struct([("deep", a)]), pa.struct([("deep", b)])) is None


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_goes_with_itself_and_with_nothing_but_nulls(name: str) -> None:
    kind = EVERY_TYPE[name].type
    assert common_type(kind, kind) == kind
    expected = kind.value_type if pa.types.is_dictionary(kind) else kind
    assert common_type(kind, pa.null()) == expected
    assert common_type(pa.null(), kind) == expected


def test_a_column_that_some_files_lack_may_be_null() -> None:
    sure = pa.field("n", pa.int64(), nullable=False)
    with_n, without = pa.schema([("text", S), sure]), pa.schema([("text", S)])
    assert unify([("a", with_n)]).schema == with_n
    both = unify([("a", with_n), ("b", without)])
    assert both.schema.field("n").nullable
    (told,) = both.widened
    assert told == "column n is not in all files, as in b: null there"


def test_nullable_is_what_one_file_says_it_is() -> None:
    sure, unsure = (pa.schema([pa.field("text", S, nullable=nullable)]) for nullable in (False, True))
    assert not unify([("a", sure), ("b", sure)]).schema.field("text").nullable
    assert unify([("a", sure), ("b", unsure)]).schema.field("text").nullable


def test_columns_may_stand_in_any_order() -> None:
    a, b = pa.schema([("id", S), ("text", S)]), pa.schema([("text", S), ("id", S)])
    assert unify([("a", a), ("b", b)]) == unify([("a", a)])


def test_all_contradictions_are_told_together_with_two_files_for_each() -> None:
    first = pa.schema([("text", S), ("n", pa.int64()), ("when", US), ("fine", pa.int32())])
    second = pa.schema([("text", S), ("n", S), ("when", ZONED), ("fine", pa.int64())])
    with pytest.raises(UserError) as caught:
        unify([("a.parquet", first), ("b.parquet", second)])
    assert str(caught.value) == (
        "column 'n' is string in b.parquet, but int64 in a.parquet; column 'when' is timestamp[us, tz=UTC] in "
        "b.parquet, but timestamp[us] in a.parquet: write each column as one type"
    )
    only = unify([("a.parquet", first), ("b.parquet", second)], ["fine"])
    assert only.schema == pa.schema([("fine", pa.int64())])


def test_of_very_many_contradictions_the_first_are_told_and_the_rest_counted() -> None:
    schemas = [(path, pa.schema([(f"c{n}", kind) for n in range(30)])) for path, kind in (("a", S), ("b", US))]
    with pytest.raises(UserError, match=r"^column 'c0' .*; and 20 more: write each column as one type$"):
        unify(schemas)


def test_types_are_joined_over_all_files() -> None:
    kinds = {"a": pa.null(), "b": pa.int32(), "c": pa.int64()}
    schemas = [(path, pa.schema([("n", kind)])) for path, kind in kinds.items()]
    assert unify(schemas).schema.field("n").type == pa.int64()
    with pytest.raises(UserError, match="column 'n' is string in d, but int64 in"):
        unify([*schemas, ("d", pa.schema([("n", S)]))])


def test_notes_of_the_writer_stay_unless_the_types_have_changed() -> None:
    notes = {b"pandas": b"{}", b"huggingface": b"{}", b"mine": b"x"}
    a, b = (pa.schema([("n", kind)], notes) for kind in (pa.int32(), pa.int64()))
    assert unify([("a", a)]).schema.metadata == notes
    assert unify([("a", a), ("b", b)]).schema.metadata == {b"mine": b"x"}


def test_metadata_that_files_do_not_share_is_told_and_other_labels_are_refused() -> None:
    def noted(**metadata: str) -> pa.Schema:
        return pa.schema([("text", S)], {key.encode(): value.encode() for key, value in metadata.items()})

    both = unify([("a", noted(origin="x", shared="s")), ("b", noted(origin="y", shared="s", more="m"))])
    assert both.schema.metadata == {b"origin": b"x", b"shared": b"s"}
    assert both.widened == (
        "metadata origin differs between files, as in b: that of a is kept",
        "metadata more differs between files, as in b: that of a is kept",
    )
    rows = iter([json.dumps({"index_columns": [{"stop": n}], "columns": [1]}) for n in (8, 9)])
    assert unify([("a", noted(pandas=next(rows))), ("b", noted(pandas=next(rows)))]).widened == ()
    with pytest.raises(UserError, match="b: its Hugging Face features are not those of a: labels may mean other"):
        unify([("a", noted(huggingface="neg, pos")), ("b", noted(huggingface="pos, neg"))])


def test_whole_numbers_go_with_decimals_only_where_their_digits_fit() -> None:
    wide = common_type(pa.int32(), pa.decimal128(5, 2))
    assert wide is None or wide.precision - wide.scale >= 10
    assert common_type(S, pa.string_view()) == pa.large_string()
