"""A column of every type that PyArrow writes to Parquet and reads as the same type again."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa

_POINT = pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.field("element", pa.string())))])
_INSTANTS = [
    dt.datetime(year, 2, 28, 12, 30, 59, 123456, tzinfo=dt.UTC) if year else None for year in (2024, 0, 2, 9999)
]
_DECIMALS = [Decimal("1.5"), None, Decimal("-1"), Decimal(0)]
_COUNTS = [1, None, -7, 0]
_TEXTS = ["a", None, "", "more than twelve bytes, ü"]
_BYTES = [b"a", None, b"", b"more than twelve bytes \x00\xff"]
_WORDS = pa.array(["word", None, "other", "word"])

ORDERED: dict[str, pa.Array] = {
    "null": pa.nulls(4),
    "bool": pa.array([True, None, False, True]),
    **{f"int{b}": pa.array([2 ** (b - 1) - 1, None, -(2 ** (b - 1)), 0], f"int{b}") for b in (8, 16, 32, 64)},
    **{f"uint{b}": pa.array([2**b - 1, None, 0, 1], f"uint{b}") for b in (8, 16, 32, 64)},
    "float16": pa.array([1.5, None, -0.0, float("inf")], pa.float16()),
    "float32": pa.array([1.5, None, -0.0, float("-inf")], pa.float32()),
    "float64": pa.array([1.5, None, -1e300, 5e-324], pa.float64()),
    "decimal32": pa.array(_DECIMALS, pa.decimal32(5, 1)),
    "decimal64": pa.array(_DECIMALS, pa.decimal64(15, 1)),
    "decimal128": pa.array(_DECIMALS, pa.decimal128(38, 1)),
    "decimal256": pa.array(_DECIMALS, pa.decimal256(60, 1)),
    "date32": pa.array([dt.date(1, 1, 1), None, dt.date(1582, 10, 5), dt.date(9999, 12, 31)]),
    "time32": pa.array([1, None, 86_399_999, 0], pa.time32("ms")),
    "time64": pa.array([1, None, 86_399_999_999_999, 0], pa.time64("ns")),
    "timestamp ms": pa.array(_COUNTS, pa.timestamp("ms")),
    "timestamp us": pa.array(_INSTANTS, pa.timestamp("us", "Europe/Paris")),
    "timestamp ns": pa.array(_COUNTS, pa.timestamp("ns")),
    "duration s": pa.array(_COUNTS, pa.duration("s")),
    "duration us": pa.array(_COUNTS, pa.duration("us")),
    "string": pa.array(_TEXTS),
    "large string": pa.array(_TEXTS, pa.large_string()),
    "string view": pa.array(_TEXTS, pa.string_view()),
    "binary": pa.array(_BYTES),
    "large binary": pa.array(_BYTES, pa.large_binary()),
    "binary view": pa.array(_BYTES, pa.binary_view()),
    "fixed binary": pa.array([b"abcd", None, bytes(4), b"\xff" * 4], pa.binary(4)),
    "dictionary": _WORDS.dictionary_encode(),
    "ordered dictionary": pa.DictionaryArray.from_arrays(
        pa.array([0, None, 1, 0], pa.int16()), pa.array(["z", "y"]), ordered=True
    ),
    "uuid": pa.array([b"0" * 16, None, b"\xff" * 16, bytes(16)], pa.uuid()),
    "json": pa.array(["{}", None, "[]", "1"], pa.json_(pa.string())),
}  # fmt: skip
"""Those whose values have an order: they can name and rank documents."""

NESTED: dict[str, pa.Array] = {
    "list": pa.array([[1, None], [], None, [2]], pa.list_(pa.field("element", pa.int64()))),
    "large list": pa.array([[1, None], [], None, [2]], pa.large_list(pa.field("element", pa.int8()))),
    "fixed list": pa.array([[1, 2], [3, None], None, [5, 6]], pa.list_(pa.field("element", pa.float32()), 2)),
    "map": pa.array([[("b", 1), ("a", None)], [], None, [("é", 2)]], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"x": 1.5, "tags": ["a", None]}, {"tags": []}, None, {"x": 0}], _POINT),
    "maps in a list": pa.array(
        [[[("k", {"x": 1, "tags": []})]], [None], None, []],
        pa.list_(pa.field("element", pa.map_(pa.string(), _POINT))),
    ),
    "dictionary in a struct": pa.StructArray.from_arrays([_WORDS.dictionary_encode()], ["word"]),
    "tensor": pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[0, 1], [2, 3], [4, 5], [6, 7]], pa.list_(pa.float32(), 2))
    ),
}  # fmt: skip

EVERY_TYPE = ORDERED | NESTED
