"""The hash that orders documents is Spark's own, for every type of identifier: shards stay the same files."""

import datetime
import math
import random
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import save
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkprep.tokens.xxhash64 import form_of, xxhash64

RANDOM = random.Random(7)
SEEDS = (1, -1, 0, (1 << 31) - 1, 1 << 31, -(1 << 31), -(1 << 63), (1 << 63) - 1)
EPOCH = datetime.datetime(1970, 1, 1)


def integers(bits: int, signed: bool = True) -> list[int | None]:
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return [None, 0, 1, least, most, *(RANDOM.randint(least, most) for _ in range(60))]


def texts() -> list[str | None]:
    """Of every length in bytes from 0 to 70, and longer; of one, two, three and four bytes a character."""
    plain = ["".join(RANDOM.choices("abcxyz019-_/", k=n)) for n in (*range(71), 200, 5000)]
    return [None, *plain, *("".join(RANDOM.choices("é中😀ß\x00z", k=n)) for n in range(40))]


def bits_of(kind: str, values: list[int]) -> list[float]:
    return [struct.unpack(kind, struct.pack("<Q" if kind == "<d" else "<I", value))[0] for value in values]


def decimals(digits: int, scale: int) -> list[Decimal | None]:
    most = 10**digits - 1
    unscaled = [0, 1, -1, 127, 128, -128, -129, 255, 256, -256, 1 << 40, most, -most]
    unscaled = [n for n in unscaled if abs(n) <= most] + [RANDOM.randint(-most, most) for _ in range(40)]
    unscaled += [RANDOM.randint(-(10**n), 10**n) for n in range(digits)]
    return [None, *(Decimal(f"{n}E-{scale}") for n in unscaled)]


def odd_floats(kind: str, nan_bits: int, top: int) -> list[float | None]:
    special = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5, *bits_of(kind, [nan_bits, nan_bits | 1, 1])]
    return [None, *special, *(x for x in bits_of(kind, [RANDOM.getrandbits(top) for _ in range(60)]))]


COLUMNS: dict[str, Callable[[], pa.Array]] = {
    "string": lambda: pa.array(texts()),
    "large_string": lambda: pa.array(texts(), pa.large_string()),
    "dictionary": lambda: pa.array(texts()).dictionary_encode(),
    "binary": lambda: pa.array([None, *(RANDOM.randbytes(n) for n in range(71)), RANDOM.randbytes(999)]),
    "bool": lambda: pa.array([True, None, False]),
    "int8": lambda: pa.array(integers(8), pa.int8()),
    "int16": lambda: pa.array(integers(16), pa.int16()),
    "int32": lambda: pa.array(integers(32), pa.int32()),
    "int64": lambda: pa.array(integers(64), pa.int64()),
    "uint8": lambda: pa.array(integers(8, False), pa.uint8()),
    "uint16": lambda: pa.array(integers(16, False), pa.uint16()),
    "uint32": lambda: pa.array(integers(32, False), pa.uint32()),
    "uint64": lambda: pa.array(integers(64, False), pa.uint64()),
    "float": lambda: pa.array(odd_floats("<f", 0x7FC00000, 32), pa.float32()),
    "double": lambda: pa.array(odd_floats("<d", 0x7FF8 << 48, 64), pa.float64()),
    "date": lambda: pa.array([None, -5, 0, 1, 40_000], pa.int32()).cast(pa.date32()),
    "timestamp of ms": lambda: pa.array([None, -5, 0, 1_700_000_000_123], pa.int64()).cast(pa.timestamp("ms", "UTC")),
    "timestamp of us": lambda: pa.array([None, -5, 0, 1_700_000_000_123_456], pa.int64()).cast(pa.timestamp("us")),
    "decimal of 9": lambda: pa.array(decimals(9, 2), pa.decimal128(9, 2)),
    "decimal of 18": lambda: pa.array(decimals(18, 4), pa.decimal128(18, 4)),
    "decimal of 19": lambda: pa.array(decimals(19, 4), pa.decimal128(19, 4)),
    "decimal of 38": lambda: pa.array(decimals(38, 10), pa.decimal128(38, 10)),
    "list of int32": lambda: pa.array([[1, 2], None, [], [50256], [7, None, 9]], pa.list_(pa.int32())),
    "list of int64": lambda: pa.array([[1, 2], None, [], [50256], list(range(99))], pa.list_(pa.int64())),
    "list of uint64": lambda: pa.array([[1, 200], None, [], [50256]], pa.list_(pa.uint64())),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_the_hash_is_that_of_spark(spark: SparkSession, name: str, tmp_path: Path) -> None:
    column = COLUMNS[name]()
    rows = spark.read.parquet(str(save(tmp_path / "x.parquet", {"place": np.arange(len(column)), "x": column})))
    hashes = [F.xxhash64(F.lit(seed), "x") for seed in SEEDS]
    expected = np.array([row[1:] for row in rows.select("place", *hashes).sort("place").collect()])
    stored = pq.read_table(tmp_path / "x.parquet")["x"].combine_chunks()
    for place, seed in enumerate(SEEDS):
        assert xxhash64(stored, seed).tolist() == expected[:, place].tolist()


def test_an_instant_as_old_versions_of_spark_store_it_is_hashed_by_its_microseconds(tmp_path: Path) -> None:
    instants = [EPOCH + datetime.timedelta(microseconds=n) for n in (-1, 0, 1, 1_700_000_000_123_456)]
    table = pa.table({"x": pa.array(instants, pa.timestamp("us"))})
    path = save(tmp_path / "x.parquet", table, use_deprecated_int96_timestamps=True, store_schema=False)
    stored = pq.read_table(path)["x"].combine_chunks()
    assert stored.type.unit == "ns"
    assert xxhash64(stored, 1).tolist() == xxhash64(table["x"].combine_chunks(), 1).tolist()


@pytest.mark.parametrize("name", ["string", "int32", "decimal of 9", "decimal of 38", "double", "list of int32"])
def test_a_slice_is_hashed_as_its_rows(name: str) -> None:
    column = COLUMNS[name]()
    assert xxhash64(column.slice(2, 2), 1).tolist() == xxhash64(column, 1)[2:4].tolist()


@pytest.mark.parametrize(
    "kind", [pa.struct([("a", pa.int32())]), pa.map_(pa.string(), pa.int32()), pa.time64("us"), pa.float16()]
)
def test_what_spark_hashes_otherwise_or_not_at_all_has_no_form(kind: pa.DataType) -> None:
    assert form_of(kind) is None


def values(kind: pa.DataType) -> Any:
    return pa.nulls(2, kind)


def test_a_type_without_a_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="cannot be hashed"):
        xxhash64(values(pa.time64("us")), 1)
