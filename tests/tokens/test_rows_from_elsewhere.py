"""Token rows that other programs wrote: what of them is read, and how it is told that something cannot be."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import save
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark.progress import Progress
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from sparkprep.tokens import shards as shards_module
from sparkprep.tokens.manifest import verify
from sparkprep.tokens.pipeline import make_tokens
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.shards import make_shards

SMALL = ShardSettings("t", shard_tokens=700, val_tokens=90)
NUMBERS = np.random.default_rng(5)
ROWS = [NUMBERS.integers(0, END_OF_TEXT, n % 37).tolist() for n in range(80)]
IDS = [f"doc-{n}" for n in range(len(ROWS))]
LENGTH = 12
EQUAL = [NUMBERS.integers(0, END_OF_TEXT, LENGTH).tolist() for _ in range(80)]


def make(spark: SparkSession, rows: Path, folder: Path, **options: Any) -> dict[str, Any]:
    settings = options.pop("settings", SMALL)
    return make_shards(spark, [str(rows)], str(folder), settings, Progress(spark, None), **options)


def stream_of(folder: Path) -> list[int]:
    return [t for path in sorted(folder.glob("*_*_*.bin"), key=order) for t in np.fromfile(path, "<u2", offset=1024)]


def order(path: Path) -> str:
    return path.stem[-6:]


def documents_of(folder: Path) -> list[tuple[int, ...]]:
    found: list[list[int]] = []
    for token in stream_of(folder):
        if token == END_OF_TEXT:
            found.append([])
        else:
            found[-1].append(int(token))
    return sorted(map(tuple, found))


def binary(rows: Sequence[Sequence[int]]) -> list[bytes]:
    return [np.array(row, "<u2").tobytes() for row in rows]


@pytest.fixture(scope="module")
def expected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """The streams of ROWS and of EQUAL, from plain binary rows."""
    folder, streams = tmp_path_factory.mktemp("plain"), {}
    for name, rows in (("rows", ROWS), ("equal", EQUAL)):
        make(spark, save(folder / name / "a.parquet", {"id": IDS, "tokens": binary(rows)}), folder / f"{name}-out")
        assert documents_of(folder / f"{name}-out") == sorted(map(tuple, rows))
        streams[name] = stream_of(folder / f"{name}-out")
    return streams


LISTS: dict[str, pa.DataType] = {
    "lists of uint16": pa.list_(pa.uint16()),
    "lists of int64": pa.list_(pa.int64()),
    "large lists": pa.large_list(pa.int32()),
    "list views": pa.list_view(pa.int32()),
    "large list views": pa.large_list_view(pa.uint32()),
}


@pytest.mark.parametrize("kind", LISTS)
def test_every_kind_of_list_gives_the_same_shards(
    spark: SparkSession, expected: dict[str, list[int]], kind: str, tmp_path: Path
) -> None:
    rows = save(tmp_path / "a.parquet", {"id": IDS, "tokens": pa.array(ROWS, LISTS[kind])})
    make(spark, rows, tmp_path / "out")
    assert stream_of(tmp_path / "out") == expected["rows"]


@pytest.mark.parametrize(
    "tokens",
    [pa.array(EQUAL, pa.list_(pa.int32(), LENGTH)), pa.array(binary(EQUAL), pa.binary(2 * LENGTH))],
    ids=["lists", "binary"],
)
def test_rows_of_one_fixed_length_give_the_same_shards(
    spark: SparkSession, expected: dict[str, list[int]], tokens: pa.Array, tmp_path: Path
) -> None:
    make(spark, save(tmp_path / "a.parquet", {"id": IDS, "tokens": tokens}), tmp_path / "out")
    assert stream_of(tmp_path / "out") == expected["equal"]


ENCODINGS: dict[str, dict[str, Any]] = {
    "brotli": {"compression": "brotli"},
    "zstd in pages of version 2": {"compression": "zstd", "data_page_version": "2.0"},
    "small row groups": {"row_group_size": 7},
    "deltas": {"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}},
}


@pytest.mark.parametrize("how", ENCODINGS)
def test_every_encoding_gives_the_same_shards(
    spark: SparkSession, expected: dict[str, list[int]], how: str, tmp_path: Path
) -> None:
    table = pa.table({"id": IDS, "tokens": binary(ROWS)})
    make(spark, save(tmp_path / "a.parquet", table, **ENCODINGS[how]), tmp_path / "out")
    assert stream_of(tmp_path / "out") == expected["rows"]


IDENTIFIERS: dict[str, pa.Array] = {
    "dictionary": pa.array(IDS).dictionary_encode(),
    "large strings": pa.array(IDS, pa.large_string()),
    "string views": pa.array(IDS, pa.string_view()),
    "bytes": pa.array([name.encode() for name in IDS]),
}


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_identifiers_of_equal_bytes_give_the_same_shards(
    spark: SparkSession, expected: dict[str, list[int]], kind: str, tmp_path: Path
) -> None:
    rows = save(tmp_path / "a.parquet", {"id": IDENTIFIERS[kind], "tokens": binary(ROWS)})
    make(spark, rows, tmp_path / "out")
    assert stream_of(tmp_path / "out") == expected["rows"]


def test_a_column_whose_name_has_dots_is_that_column(
    spark: SparkSession, expected: dict[str, list[int]], tmp_path: Path
) -> None:
    nested = pa.array([{"tokens": [1], "id": "x"}] * len(ROWS))
    lists = pa.array(ROWS, pa.list_(pa.int32()))
    rows = save(tmp_path / "a.parquet", {"my": nested, "my.id": IDS, "my.tokens": lists})
    make(spark, rows, tmp_path / "out", tokens_column="my.tokens", id_column="my.id")
    assert stream_of(tmp_path / "out") == expected["rows"]


def test_files_whose_widths_drift_are_one_table(
    spark: SparkSession, expected: dict[str, list[int]], tmp_path: Path
) -> None:
    kinds = [pa.list_(pa.int32()), pa.list_(pa.int64()), pa.list_(pa.uint16()), pa.large_list(pa.int32())]
    for part, kind in enumerate(kinds):
        ids = IDS[part :: len(kinds)]
        more = {"score": [1.0] * len(ids)} if part else {"score": pa.nulls(len(ids))}
        tokens = pa.array(ROWS[part :: len(kinds)], kind)
        save(tmp_path / "rows" / f"{part}.parquet", {"id": ids, "tokens": tokens, **more})
    save(tmp_path / "rows" / "empty.parquet", {"id": pa.nulls(0), "tokens": pa.nulls(0)})
    manifest = make(spark, tmp_path / "rows", tmp_path / "out")
    assert stream_of(tmp_path / "out") == expected["rows"]
    assert any("column tokens" in line for line in manifest["warnings"])
    assert not any("score" in line for line in manifest["warnings"])


def test_identifiers_of_two_widths_are_hashed_as_the_wider(spark: SparkSession, tmp_path: Path) -> None:
    numbers = list(range(len(ROWS)))
    save(tmp_path / "mixed" / "a.parquet", {"id": pa.array(numbers[:40], pa.int32()), "tokens": binary(ROWS[:40])})
    save(tmp_path / "mixed" / "b.parquet", {"id": pa.array(numbers[40:], pa.int64()), "tokens": binary(ROWS[40:])})
    wide = save(tmp_path / "wide.parquet", {"id": pa.array(numbers, pa.int64()), "tokens": binary(ROWS)})
    make(spark, tmp_path / "mixed", tmp_path / "one")
    make(spark, wide, tmp_path / "two")
    assert stream_of(tmp_path / "one") == stream_of(tmp_path / "two")


def unread_columns(count: int) -> dict[str, pa.Array]:
    """Columns that Spark does not read, and would refuse a file for."""
    return {
        "crawled": pa.array([1] * count, pa.timestamp("ns")),
        "time": pa.array([1] * count, pa.time64("ns")),
        "half": pa.array([1.0] * count, pa.float16()),
        "map": pa.array([[("a", 1)]] * count, pa.map_(pa.string(), pa.int64())),
    }


def test_columns_that_are_not_read_refuse_nothing(
    spark: SparkSession, expected: dict[str, list[int]], tmp_path: Path
) -> None:
    folder = tmp_path / "rows"
    first = {"id": IDS[:40], "tokens": binary(ROWS[:40]), "x": pa.array([1] * 40), **unread_columns(40)}
    save(folder / "lang=en" / "a.parquet", first)
    twice = pa.Table.from_arrays(
        [pa.array(IDS[40:]), pa.array(binary(ROWS[40:])), pa.array(["a"] * 40), pa.array(["b"] * 40)],
        ["id", "tokens", "x", "x"],
    )
    save(folder / "b.parquet", twice)
    make(spark, folder, tmp_path / "out")
    assert stream_of(tmp_path / "out") == expected["rows"]


@pytest.mark.parametrize("count", [0, 2, 500])
def test_the_tokens_that_lie_in_the_column_decide_not_a_count_beside_them(
    spark: SparkSession, expected: dict[str, list[int]], count: int, tmp_path: Path
) -> None:
    rows = save(tmp_path / "a.parquet", {"id": IDS, "tokens": binary(ROWS), "count": [count] * len(IDS)})
    manifest = make(spark, rows, tmp_path / "out")
    assert manifest["documents"] == len(ROWS)
    assert manifest["tokens"] == sum(map(len, ROWS)) + len(ROWS)
    assert stream_of(tmp_path / "out") == expected["rows"]
    verify(str(tmp_path / "out"))


def test_rows_of_ours_that_were_cut_afterwards_are_taken_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a", "b"], "text": ["one two three " * 30, "four five " * 40]})
    make_tokens(spark, str(source), str(tmp_path / "rows"))
    part = next((tmp_path / "rows").glob("*.parquet"))
    table = pq.ParquetFile(part).read()
    cut = pa.array([tokens[:40] for tokens in table["tokens"].to_pylist()])
    pq.write_table(table.set_column(1, "tokens", cut), part)
    manifest = make(spark, tmp_path / "rows", tmp_path / "out", settings=ShardSettings(val_tokens=5))
    assert (manifest["documents"], manifest["tokens"]) == (2, 42)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (pa.array([[("a", 1)]] * 2, pa.map_(pa.string(), pa.int64())), r"id_column: column 'id' \(map<"),
        (pa.array([{"a": 1}] * 2), r"column 'id' \(struct<.*no order; name another"),
        (pa.array([["a"]] * 2), r"column 'id' \(list<.*no order"),
    ],
)
def test_identifiers_without_an_order_are_refused(
    spark: SparkSession, ids: pa.Array, said: str, tmp_path: Path
) -> None:
    rows = save(tmp_path / "a.parquet", {"id": ids, "tokens": [[1], [2]]})
    with pytest.raises(UserError, match=said):
        make(spark, rows, tmp_path / "out")


def test_an_identifier_column_that_is_named_and_not_there_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    rows = save(tmp_path / "a.parquet", {"docid": ["a"], "tokens": [[1] * 9], "url": ["u"]})
    with pytest.raises(UserError, match=r"id_column='doc_id': there is no column 'doc_id'.*: docid, tokens, url"):
        make(spark, rows, tmp_path / "out", id_column="doc_id")
    assert make(spark, rows, tmp_path / "out", settings=ShardSettings(val_tokens=2))["documents"] == 1


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (pa.array([[5], [7, None]], pa.list_(pa.int32())), "a null among its numbers"),
        (pa.array([[5], [50_257]], pa.list_(pa.int32())), "token 50257 is none of GPT-2's"),
        (pa.array([[5], [-3]], pa.list_(pa.int8())), "token -3 is none of GPT-2's"),
        (pa.array([b"ab", b"abc"]), "odd number of bytes"),
    ],
)
def test_rows_that_are_no_tokens_are_refused_with_their_file_before_any_shard(
    spark: SparkSession, tokens: pa.Array, said: str, tmp_path: Path
) -> None:
    good = tokens.slice(0, 1)
    save(tmp_path / "rows" / "a.parquet", {"id": IDS[:1], "tokens": good})
    save(tmp_path / "rows" / "wrong.parquet", {"id": IDS[:2], "tokens": tokens})
    with pytest.raises(UserError, match=rf"^{tmp_path}/rows/wrong\.parquet: .*{said}"):
        make(spark, tmp_path / "rows", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"id": ["x"], "words": [[1]]}, r"b\.parquet: no column 'tokens'; columns there are: id, words"),
        ({"id": ["x"], "tokens": ["a text"]}, r"b\.parquet: column 'tokens' is string.*sparkprep tokenize"),
        ({"id": ["x"], "tokens": [[0.5]]}, r"b\.parquet: column 'tokens' is list<element: double>"),
        ({"id": ["x"], "tokens": [b"ab"]}, r"column 'tokens' is binary in .*b\.parquet, but list"),
        ({"id": [7], "tokens": [[1]]}, r"column 'id' is int64 in .*b\.parquet, but string in .*a\.parquet"),
    ],
)
def test_a_file_among_others_that_holds_something_else_is_named(
    spark: SparkSession, second: dict[str, Any], said: str, tmp_path: Path
) -> None:
    save(tmp_path / "rows" / "a.parquet", {"id": ["a"], "tokens": pa.array([[1]], pa.list_(pa.int64()))})
    save(tmp_path / "rows" / "b.parquet", second)
    with pytest.raises(UserError, match=said):
        make(spark, tmp_path / "rows", tmp_path / "out")


def test_rows_without_any_token_column_type_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    rows = save(tmp_path / "a.parquet", {"id": ["a", "b"], "tokens": pa.nulls(2)})
    with pytest.raises(UserError, match="column 'tokens' is null, not lists of numbers or binary"):
        make(spark, rows, tmp_path / "out")


def rewritten(rows: Path, change: Any) -> Any:
    """Return what writes the shards of rows that are changed when they have just been counted."""
    write = shards_module._write

    def change_and_write(*arguments: Any) -> Any:
        table = pq.ParquetFile(rows).read()
        save(rows, pa.table(change(table.to_pydict())))
        return write(*arguments)

    return change_and_write


def turned(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return columns | {"tokens": [tokens[::-1] for tokens in columns["tokens"]]}


CHANGES: dict[str, Any] = {
    "fewer rows": lambda columns: {name: values[:-3] for name, values in columns.items()},
    "longer rows": lambda columns: columns | {"tokens": [2 * tokens for tokens in columns["tokens"]]},
    "a shorter row": lambda columns: columns | {"tokens": [columns["tokens"][0][:-2], *columns["tokens"][1:]]},
    "other tokens": turned,
    "another order": lambda columns: {name: values[::-1] for name, values in columns.items()},
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_that_change_when_they_have_been_counted_are_named_and_there_is_no_manifest(
    spark: SparkSession, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = save(tmp_path / "rows.parquet", {"id": IDS, "tokens": binary(EQUAL)})
    os.utime(rows, (1, 1))
    monkeypatch.setattr(shards_module, "_write", rewritten(rows, CHANGES[change]))
    with pytest.raises(UserError, match=r"rows\.parquet: has changed while the job ran"):
        make(spark, rows, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not list((tmp_path / "out").glob(".*partial*"))


def test_without_identifiers_the_tokens_order_the_rows_however_they_are_stored(
    spark: SparkSession, tmp_path: Path
) -> None:
    kinds = {name: pa.array(ROWS, pa.list_(kind)) for name, kind in (("wide", pa.int64()), ("narrow", pa.uint16()))}
    streams = []
    for name, tokens in {**kinds, "binary": pa.array(binary(ROWS))}.items():
        make(spark, save(tmp_path / name / "a.parquet", {"tokens": tokens}), tmp_path / f"{name}-out")
        streams.append(stream_of(tmp_path / f"{name}-out"))
    assert streams[0] == streams[1] == streams[2]


@pytest.mark.parametrize("is_list", [True, False])
@pytest.mark.parametrize(("nulls", "said"), [(1, "1 row has null"), (3, "3 rows have null"), (0, "")])
def test_rows_whose_tokens_are_null_are_counted_in_a_warning(
    spark: SparkSession, tmp_path: Path, is_list: bool, nulls: int, said: str
) -> None:
    values = [*(ROWS if is_list else binary(ROWS))[:20], *[None] * nulls]
    tokens = pa.array(values, pa.list_(pa.int32()) if is_list else pa.binary())
    rows = save(tmp_path / "a.parquet", {"id": IDS[: len(values)], "tokens": tokens}, row_group_size=4)
    manifest = make(spark, rows, tmp_path / "out")
    assert [line.split(" in column 'tokens': written as ")[0] for line in manifest["warnings"]] == [said] * bool(nulls)
    assert manifest["documents"] == len(values)


def test_of_many_wrong_shards_the_first_ten_are_named(spark: SparkSession, tmp_path: Path) -> None:
    settings = ShardSettings("t", shard_tokens=100, val_tokens=90)
    rows = save(tmp_path / "a.parquet", {"id": IDS, "tokens": binary(ROWS)})
    make(spark, rows, tmp_path / "out", settings=settings)
    shards = sorted((tmp_path / "out").glob("*.bin"))
    assert len(shards) > 12
    for path in shards[1:13]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"; and 2 more; delete them") as caught:
        verify(str(tmp_path / "out"))
    assert [str(path) in str(caught.value) for path in shards[:13]] == [False, *[True] * 10, False, False]


def test_files_without_rows_are_told_and_alone_an_error(spark: SparkSession, tmp_path: Path) -> None:
    empty = save(
        tmp_path / "rows" / "a.parquet", {"id": pa.array([], pa.string()), "tokens": pa.array([], pa.binary())}
    )
    with pytest.raises(UserError, match=f"^the input holds no document: 1 file without rows left out: {empty}; "):
        make(spark, empty.parent, tmp_path / "out")
    save(tmp_path / "rows" / "b.parquet", {"id": IDS, "tokens": binary(ROWS)})
    assert make(spark, empty.parent, tmp_path / "out")["warnings"] == [f"1 file without rows left out: {empty}"]


def test_a_shard_that_the_manifest_does_not_tell_of_is_found(spark: SparkSession, tmp_path: Path) -> None:
    make(spark, save(tmp_path / "rows" / "a.parquet", {"id": IDS, "tokens": binary(ROWS)}), tmp_path / "out")
    verify(str(tmp_path / "out"))
    (tmp_path / "out" / "t_train_000099.bin").write_bytes((tmp_path / "out" / "t_val_000000.bin").read_bytes())
    with pytest.raises(UserError, match=r"t_train_000099\.bin: a shard that the manifest does not tell of"):
        verify(str(tmp_path / "out"))
