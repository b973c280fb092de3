"""What reading JSON Lines promises: every value kept, exact types, bad lines named, bounded memory, any split size."""

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from sparkprep.dedup.settings import Settings
from sparkprep.documents.jsonl.kinds import Kind, as_text
from sparkprep.documents.jsonl.lines import DamagedFile, parse, plan_splits, read_lines
from sparkprep.documents.jsonl.max_bad import MaxBad, parse_max_bad
from sparkprep.documents.jsonl.spool import SpoolSummary, spool
from sparkprep.documents.jsonl.tasks import JsonlSettings
from sparkprep.documents.parquet import footers
from sparkprep.documents.parquet.pieces import plan
from sparkprep.errors import UserError
from sparkprep.io.listing import list_files
from sparkprep.options import options_of
from sparkprep.tokens.settings import TokenizeSettings

LIMIT = 1 << 20


def put(path: Path, *lines: Any) -> Path:
    """Write lines (bytes as they are, anything else as JSON), gzip or zstd by the name."""
    content = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    if path.name.endswith(".gz"):
        content = gzip.compress(content)
    if path.name.endswith(".zst"):
        content = zstandard.compress(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(spark: SparkSession, tmp_path: Path, **options: Any) -> tuple[SpoolSummary, pa.Table, pa.Table | None]:
    """Spool tmp_path/in: the summary, the documents in order, the rejected lines in order (None: no such folder)."""
    settings = JsonlSettings(**{"max_bad": MaxBad(100), **options})
    summary = spool(spark, list_files([tmp_path / "in"]), f"{tmp_path}/out", f"{tmp_path}/rejected", settings)
    rejected = pq.read_table(tmp_path / "rejected") if (tmp_path / "rejected").exists() else None
    return summary, pq.read_table(tmp_path / "out"), rejected


def error_of(spark: SparkSession, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(spark, tmp_path, **options)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "rejected").exists()
    return str(caught.value)


def lines_of(path: Path, split_bytes: int, limit: int = LIMIT) -> list[tuple[bytes, int]]:
    groups = plan_splits(list_files([path]), split_bytes)
    return [line for group in groups for split in group for line in read_lines(split, limit)]


def test_documents_keep_order_values_and_types(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jsonl", {"id": 1, "text": "ü", "meta": {"tags": ["x"], "score": 1}}, {"text": None, "id": 2})
    put(tmp_path / "in/b.ndjson.gz", {"id": 3, "meta": {"score": 0.5, "more": True}}, {"id": 4, "text": ""})
    put(tmp_path / "in/c.json.zst", {"id": 5, "text": "\0\n\u2028😀"})
    summary, table, rejected = run(spark, tmp_path)
    meta = pa.struct(
        [("tags", pa.list_(pa.field("element", pa.string()))), ("score", pa.float64()), ("more", pa.bool_())]
    )
    assert {name: table.schema.field(name).type for name in table.column_names} == {
        "id": pa.int64(),
        "text": pa.string(),
        "meta": meta,
    }
    assert table.to_pylist() == [
        {"id": 1, "text": "ü", "meta": {"tags": ["x"], "score": 1.0, "more": None}},
        {"id": 2, "text": None, "meta": None},
        {"id": 3, "text": None, "meta": {"tags": None, "score": 0.5, "more": True}},
        {"id": 4, "text": "", "meta": None},
        {"id": 5, "text": "\0\n\u2028😀", "meta": None},
    ]
    assert rejected is None
    assert (summary.documents, summary.rejected, summary.as_text) == (5, 0, ())


def test_what_was_spooled_is_read_as_parquet_with_dense_keys_in_line_order(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/b.jsonl", *[{"text": "t", "n": n} for n in range(100, 200)])
    put(tmp_path / "in/a.jsonl", *[{"text": "t", "n": n} for n in range(100)])
    run(spark, tmp_path, split_bytes=500)
    files = list_files([tmp_path / "out"])
    documents = plan(footers.summarise(files), tasks=2)
    batches = [batch for piece in range(len(documents.pieces)) for batch in documents.batches(piece, ["n"])]
    assert [n for batch in batches for n in batch["n"].to_pylist()] == list(range(200))


BAD_LINES = [
    (b"{", "not valid JSON"),
    (b'{"text": "a"} {"text": "b"}', "not valid JSON"),
    (b'{"text": NaN}', "not valid JSON"),
    (b'["text"]', "not a JSON object but a list"),
    (b'"text"', "not a JSON object but a string"),
    (b'{"text": 1}', "'text' is a number, not a string"),
    (b'{"text": ["a"]}', "'text' is a list, not a string"),
    (b'{"text": "a\xff"}', "invalid UTF-8 at byte 12 of the line"),
    (b'{"text": "\xed\xa0\x80"}', "invalid UTF-8"),
    (b'{"text": "\\ud800"}', "lone surrogate"),
    (b'{"text": "\\udc00 x"}', "lone surrogate"),
    (b'{"x": {"y": "\\ud83d"}, "text": ""}', "lone surrogate"),
    (b'{"text": "a", "text": "b"}', "the key 'text' is given twice"),
    (b'{"text": "a", "m": {"k" :1, "\\u006b": 2}}', "the key 'k' is given twice"),
    (b'{"text": "a", "": 1}', "an empty key"),
    (b'{"text": "a", "m": ' + b"[" * 200 + b"]" * 200 + b"}", "nested more than 100 levels deep"),
    (b'{"text": "' + b"x" * 5000 + b'"}', "line of 5,012 bytes is longer than the limit of 4,000"),
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_bad_line_is_named_with_file_and_line_and_kept_aside(spark: SparkSession, tmp_path: Path, name: str) -> None:
    lines: list[bytes] = []
    expected = []
    for bad, reason in BAD_LINES:
        lines += [b'{"text": "good"}', b"", b" \t\r", bad]
        expected.append((len(lines), reason, bad))
    path = put(tmp_path / "in" / name, *lines)
    summary, table, rejected = run(spark, tmp_path, line_limit=4000, split_bytes=700)
    assert rejected is not None
    assert table.column("text").to_pylist() == ["good"] * len(BAD_LINES)
    assert (summary.documents, summary.rejected) == (len(BAD_LINES), len(BAD_LINES))
    assert len(rejected) == len(expected)
    for row, (number, reason, content) in zip(rejected.to_pylist(), expected, strict=True):
        assert (row["file"], row["line"], row["content"]) == (str(path), number, content)
        assert reason in row["reason"]
    assert summary.first_rejected[0].startswith(f"{path}:4: not valid JSON")
    assert len(summary.first_rejected) == 5


def test_too_many_bad_lines_stop_the_job_with_the_first_of_them_and_the_flag(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = put(tmp_path / "in/a.jsonl", {"text": "x"}, b"oops", {"text": "x"}, b"oops", b"oops")
    message = error_of(spark, tmp_path, max_bad=MaxBad(2))
    assert message.startswith("3 of 5 lines are not usable documents, more than max_bad='2' allows")
    assert f"{path}:2: not valid JSON" in message
    assert f"{path}:5: " in message
    assert "max_bad='50%'" in error_of(spark, tmp_path, max_bad=MaxBad(None, 0.5))
    summary, _, _ = run(spark, tmp_path, max_bad=MaxBad(None, 0.6))
    assert (summary.documents, summary.rejected) == (2, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100", MaxBad(100)), ("0", MaxBad(0)), ("0.1%", MaxBad(None, 0.001)), (" 5 % ", MaxBad(None, 0.05))],
)
def test_max_bad_is_a_count_or_a_share(text: str, expected: MaxBad) -> None:
    read = parse_max_bad(text)
    assert (read.count, read.share) == (expected.count, pytest.approx(expected.share))


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "many", "1e3", "٣"])
def test_another_max_bad_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"neither a number of lines, such as 100, nor .* 0\.1%"):
        parse_max_bad(text)


def test_the_share_of_bad_lines_is_borne_up_to_and_including_its_limit() -> None:
    assert MaxBad(None, 0.1).allows(1, 10)
    assert not MaxBad(None, 0.1).allows(2, 19)
    assert MaxBad(0).allows(0, 5)
    assert not MaxBad(0).allows(1, 5)
    assert MaxBad(100).allows(100, 100)


def test_every_job_bears_as_many_bad_lines() -> None:
    assert Settings().max_bad == TokenizeSettings().max_bad
    assert JsonlSettings().max_bad == parse_max_bad(Settings().max_bad)
    helps = [{each.name: each.help for each in options_of(kind)} for kind in (Settings, TokenizeSettings)]
    assert helps[0]["max_bad"] == helps[1]["max_bad"]


@settings(max_examples=200)
@given(
    lines=st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"\r", b"x" * 100])), max_size=30),
    split_bytes=st.integers(1, 60),
    last=st.booleans(),
    limit=st.sampled_from([5, LIMIT]),
)
def test_any_split_size_gives_the_lines_of_a_simple_reader(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], split_bytes: int, last: bool, limit: int
) -> None:
    content = b"\n".join(line.replace(b"\n", b"?") for line in lines) + (b"\n" if last and lines else b"")
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    path.write_bytes(content)
    simple = [line.rstrip(b"\n") for line in io.BytesIO(content)]
    if simple:
        simple[0] = simple[0].removeprefix(b"\xef\xbb\xbf")
    found = lines_of(path, split_bytes, limit)
    assert [line for line, _ in found] == simple


def test_lines_longer_than_a_block_are_whole_and_those_over_the_limit_cut(tmp_path: Path) -> None:
    sizes = (3_000_000, 10, 1 << 20, 5_000_000, 0, (1 << 20) - 1, 7)
    lines = [(b"%d abcdefg" % size * size)[:size] for size in sizes]
    path = put(tmp_path / "a.jsonl", *lines)
    for split_bytes in (100_000, 1 << 20, 1 << 30):
        assert lines_of(path, split_bytes, 1 << 30) == [(line, len(line)) for line in lines]
        cut = lines_of(path, split_bytes, 2_000_000)
        assert [length for _, length in cut] == [len(line) for line in lines]
        assert [line for line, _ in cut if len(line) == 1 << 20] == [lines[0][: 1 << 20], lines[2], lines[3][: 1 << 20]]
    assert lines_of(put(tmp_path / "a.jsonl.gz", *lines), 1, 1 << 30) == [(line, len(line)) for line in lines]


@pytest.mark.parametrize("split_bytes", [1000, 100_000])
def test_small_splits_give_the_same_rows_and_line_numbers(
    spark: SparkSession, tmp_path: Path, split_bytes: int
) -> None:
    rng = random.Random(2)
    bad, good, lines = [], [], []
    for number in range(1, 120):
        kind = rng.choice(["good", "good", "bad", "blank"])
        text = "ab\u00fc" * rng.randint(0, 30)
        if kind == "good":
            good.append((text, number))
            lines.append({"text": text, "n": number})
        elif kind == "bad":
            bad.append(number)
            lines.append(b"}" + b"y" * rng.randint(0, 90))
        else:
            lines.append(b"")
    put(tmp_path / "in/a.jsonl", *lines)
    _, table, rejected = run(spark, tmp_path, split_bytes=split_bytes)
    assert rejected is not None
    assert list(zip(table["text"].to_pylist(), table["n"].to_pylist(), strict=True)) == good
    assert rejected["line"].to_pylist() == bad


def test_small_files_share_a_task(tmp_path: Path) -> None:
    for n in range(10):
        put(tmp_path / f"{n}.jsonl", {"text": "0123456789"})
    size = list_files([tmp_path])[0].size
    assert [len(group) for group in plan_splits(list_files([tmp_path]), 4 * size)] == [4, 4, 2]


def test_byte_order_mark_windows_line_ends_and_a_missing_last_line_feed_are_fine(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    content = b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}'
    (tmp_path / "in/a.jsonl").write_bytes(content)
    (tmp_path / "in/b.jsonl.gz").write_bytes(gzip.compress(content))
    summary, table, _ = run(spark, tmp_path)
    assert table["text"].to_pylist() == ["a", "b", "a", "b"]
    assert (summary.documents, summary.rejected) == (4, 0)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_archives_of_several_members_are_read_whole(tmp_path: Path, name: str) -> None:
    part = put(tmp_path / name, *[{"text": f"line {n}"} for n in range(1000)]).read_bytes()
    (tmp_path / name).write_bytes(part * 3)
    assert len(lines_of(tmp_path / name, 100)) == 3000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_truncated_archive_is_named_with_the_line_reached(spark: SparkSession, tmp_path: Path, name: str) -> None:
    rng = random.Random(3)
    path = put(tmp_path / "in" / name, *[{"text": "".join(rng.choices("abcdefgh", k=500))} for _ in range(20_000)])
    put(tmp_path / "in/good.jsonl", {"text": "x"})
    path.write_bytes(path.read_bytes()[:-1000])
    message = error_of(spark, tmp_path)
    assert message.startswith(f"{path}: compressed file cut short or damaged after line 19,")
    assert "\n" not in message


def test_what_is_not_compressed_at_all_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b'{"text": "x"}\n')
    with pytest.raises(DamagedFile, match="after line 0"):
        lines_of(path, 100)


def test_no_text_column_in_any_line_lists_the_columns(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path / "in/a.jsonl", {"id": 1, "body": "x"}, {"title": "y"})
    expected = f"{path}: no line has a column 'text'; columns there are: id, body, title; name it by text_column"
    assert error_of(spark, tmp_path) == expected
    _, table, _ = run(spark, tmp_path, text_column="body")
    assert table["body"].to_pylist() == ["x", None]


def test_columns_that_differ_only_by_case_are_two_and_no_name_is_reserved(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jsonl", {"text": "a", "URL": 1, "__key": 5}, {"text": "b", "Url": 2})
    _, table, _ = run(spark, tmp_path)
    assert table.to_pylist() == [
        {"text": "a", "URL": 1, "__key": 5, "Url": None},
        {"text": "b", "URL": None, "__key": None, "Url": 2},
    ]


def test_columns_in_folder_names_are_added(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/year=2023/lang=en/a.jsonl", {"text": "a"})
    put(tmp_path / "in/year=2024/lang=d%20e/a.jsonl", {"text": "b", "lang": "own"}, {"text": "c"})
    _, table, _ = run(spark, tmp_path)
    assert table.select(["text", "year", "lang"]).to_pylist() == [
        {"text": "a", "year": 2023, "lang": "en"},
        {"text": "b", "year": 2024, "lang": "own"},
        {"text": "c", "year": 2024, "lang": "d e"},
    ]


MIXED = [
    ("number", [1, 2.5, -3], [1.0, 2.5, -3.0]),
    ("wide", [2**53 + 1, 0.5, 3], ["9007199254740993", "0.5", "3"]),
    ("big", [2**64 + 1, 1, None], ["18446744073709551617", "1", None]),
    ("unsigned", [2**63, 1, None], ["9223372036854775808", "1", None]),
    ("least", [-(2**63), 2**63 - 1, 0], [-(2**63), 2**63 - 1, 0]),
    ("mixed", [1, "a", {"b": [1]}], ["1", "a", '{"b":[1]}']),
    ("flag", [True, 1, None], ["true", "1", None]),
    ("empty", [{}, None, {}], ["{}", None, "{}"]),
    ("none", [None, None, None], [None, None, None]),
    ("hollow", [[], None, [None]], [[], None, [None]]),
    ("clash", [{"a": 1, "A": 2}, {"a": 3}, None], ['{"a":1,"A":2}', '{"a":3}', None]),
    ("nameless", [{"": 1}, None, None], ['{"":1}', None, None]),
    ("deep", [[{"x": 1}], [{"x": "s", "y": {}}], []], [[{"x": "1", "y": None}], [{"x": "s", "y": "{}"}], []]),
    ("deepbig", [{"x": [2**70, [1]]}, None, None], [{"x": ["1180591620717411303424", "[1]"]}, None, None]),
]


@pytest.mark.parametrize("split_bytes", [200, 1 << 20])
def test_values_that_no_one_type_holds_are_kept_as_text_and_told(
    spark: SparkSession, tmp_path: Path, split_bytes: int
) -> None:
    rows = [{"text": "x", **{name: values[n] for name, values, _ in MIXED}} for n in range(3)]
    put(tmp_path / "in/a.jsonl", *rows)
    summary, table, _ = run(spark, tmp_path, split_bytes=split_bytes)
    for name, _, expected in MIXED:
        assert table[name].to_pylist() == expected, name
    assert set(summary.as_text) == {
        "wide", "big", "unsigned", "mixed", "flag", "empty", "clash", "nameless", "deep[].x", "deep[].y", "deepbig.x[]",
    }  # fmt: skip


def test_an_object_used_as_a_dictionary_becomes_text_rather_than_a_thousand_columns() -> None:
    kind = Kind()
    for n in range(3000):
        kind.observe({f"key {n}": n})
    assert kind.arrow_type() == pa.string()
    assert Kind.load(kind.dump()).is_text()


text = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), text
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=8
)
records = st.dictionaries(text.filter(bool), values, max_size=4)


def expected_of(value: Any, kind: Kind) -> Any:
    """What a value must be read back as, by the definition of the kinds."""
    if value is None:
        return None
    if kind.is_text():
        return value if isinstance(value, str) else json.loads(json.dumps(value))
    if isinstance(value, dict):
        return {name: expected_of(value.get(name), field) for name, field in kind.fields.items()}
    if isinstance(value, list):
        assert kind.item is not None
        return [expected_of(part, kind.item) for part in value]
    return value


def read_back(value: Any, kind: Kind, original: Any) -> Any:
    """A stored value with its JSON texts parsed again, where the original was no string."""
    if value is None:
        return None
    if kind.is_text():
        return value if isinstance(original, str) else json.loads(value)
    if isinstance(value, dict):
        return {n: read_back(part, kind.fields[n], (original or {}).get(n)) for n, part in value.items()}
    if isinstance(value, list):
        assert kind.item is not None
        return [read_back(part, kind.item, o) for part, o in zip(value, original, strict=True)]
    return value


@settings(max_examples=300)
@given(rows=st.lists(records, min_size=1, max_size=6), ascii_only=st.booleans(), cut=st.integers(0, 6))
def test_no_value_is_lost_whatever_the_records(rows: list[dict[str, Any]], ascii_only: bool, cut: int) -> None:
    rows = [{"text": None, **row} for row in rows]
    for row in rows:
        if not isinstance(row["text"], str):
            row["text"] = None
    kind, other = Kind(), Kind()
    for number, row in enumerate(rows):
        line = json.dumps(row, ensure_ascii=ascii_only).encode()
        record, why = parse(line, len(line), "text", LIMIT)
        assert why == ""
        assert record == json.loads(line)
        (kind if number < cut else other).observe_fields(record)
    kind.merge(Kind.load(json.loads(json.dumps(other.dump()))))
    for name, column in kind.fields.items():
        convert = column.converter() or (lambda value: value)
        originals = [row.get(name) for row in rows]
        array = pa.array([convert(value) for value in originals], column.arrow_type())
        for original, stored in zip(originals, array.to_pylist(), strict=True):
            assert read_back(stored, column, original) == expected_of(original, column)


@settings(max_examples=200)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(["a", "b", 'c"', ": ", "\\"]), scalars), max_size=4), spaced=st.booleans()
)
def test_a_key_given_twice_is_found_and_no_other_line_blamed(pairs: list[tuple[str, Any]], spaced: bool) -> None:
    colon = " \t:\r " if spaced else ":"
    line = ("{" + ",".join(json.dumps(key) + colon + json.dumps(value) for key, value in pairs) + "}").encode()
    record, why = parse(line, len(line), "text", LIMIT)
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        assert record is None
        assert "given twice" in why
    else:
        assert record == dict(pairs)


def test_values_become_text_as_json_writes_them() -> None:
    assert [as_text(v) for v in (None, "a", True, 2**80, {"b": [2**80, "ü"]}, 0.5)] == [
        None, "a", "true", str(2**80), '{"b":[1208925819614629174706176,"ü"]}', "0.5",
    ]  # fmt: skip


def test_batches_stay_small_and_hold_every_row(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jsonl", *[{"text": f"{n} " * (2000 if n % 50 == 0 else 3), "n": n} for n in range(500)])
    _, table, _ = run(spark, tmp_path, batch_bytes=3000)
    assert table["n"].to_pylist() == list(range(500))
    assert table["text"].to_pylist()[50] == "50 " * 2000
