"""What reading documents promises: every row once and in order, whatever the pieces; values and types untouched."""

import datetime as dt
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from every_type import EVERY_TYPE
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_files import ODD_NAMES, documents_at, read, save, summary_of

from sparkprep.documents.parquet import pieces
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.errors import UserError
from sparkprep.io.listing import list_files
from sparkprep.io.parquet import write_parquet


def write_groups(path: Path, groups: Sequence[Sequence[str | None]], first: int) -> int:
    """Write a file of these row groups, with the rows' numbers from `first` on; return the number after the last."""
    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema, use_dictionary=False, write_batch_size=16) as writer:
        for texts in groups:
            rows = pa.table({"n": range(first, first + len(texts)), "text": texts}, schema)
            writer.write_table(rows, row_group_size=max(1, len(texts)))
            first += len(texts)
    return first


def check_keys(documents: Documents, rows: int) -> None:
    """Each row is read once, under its number as key, and each piece says truly what it holds."""
    key = 0
    for number, piece in enumerate(documents.pieces):
        assert piece.first_key == key
        batches = list(documents.batches(number, ["n"]))
        assert all(0 < batch.num_rows <= pieces.BATCH_ROWS for batch in batches)
        read_here = [n for batch in batches for n in batch["n"].to_pylist()]
        assert read_here == list(range(key, key + piece.rows))
        assert documents.pieces_of(np.arange(key, key + piece.rows)).tolist() == [number] * piece.rows
        key += piece.rows
    assert key == rows == documents.summary.rows


ROW_GROUPS = st.lists(st.lists(st.none() | st.sampled_from(["", "short", "long " * 40]), max_size=60), max_size=4)


@settings(max_examples=40)
@given(
    files=st.lists(ROW_GROUPS, min_size=1, max_size=4),
    least=st.sampled_from([1, 300, 4000, 1 << 20]),
    most=st.sampled_from([100, 2000, 1 << 20]),
    tasks=st.integers(1, 9),
)
def test_keys_are_dense_and_in_the_order_of_files_and_rows_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[list[str | None]]], least: int, most: int, tasks: int
) -> None:
    folder, rows = tmp_path_factory.mktemp("files"), 0
    for number, groups in enumerate(files):
        rows = write_groups(folder / f"{number}.parquet", groups, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LEAST_PIECE_BYTES", least)
        patch.setattr(pieces, "PIECE_BYTES", most)
        check_keys(plan(summary_of(folder), tasks), rows)


def test_a_large_row_group_is_cut_and_small_files_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "LEAST_PIECE_BYTES", 2000)
    rows = write_groups(tmp_path / "a.parquet", [[f"{n:0200}" for n in range(100)]], 0)
    for number in range(5):
        rows = write_groups(tmp_path / f"b{number}.parquet", [["y"] * 3] * 2, rows)
    documents = documents_at(tmp_path, tasks=5)
    check_keys(documents, rows)
    of_first = [piece for piece in documents.pieces if piece.spans[0].file == 0]
    assert len(of_first) >= 6
    assert all(span.rows < 100 for piece in of_first for span in piece.spans if span.file == 0)
    last = documents.pieces[-1]
    whole = [span.file for span in last.spans if span.groups == 2]
    assert len(whole) >= 2, "small files share a piece, and row groups that follow one another are one span"


def test_an_input_without_rows_has_no_piece(tmp_path: Path) -> None:
    write_groups(tmp_path / "a.parquet", [], 0)
    write_groups(tmp_path / "b.parquet", [[], []], 0)
    documents = documents_at(tmp_path)
    assert documents.pieces == ()
    assert read(documents).num_rows == 0


def in_a_process_of_its_own(code: str, *words: str) -> str:
    """What a script prints; it must end well."""
    paths = f"{ROOT}:{ROOT / 'tests' / 'helpers'}"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PEAK = """\
import sys
from pathlib import Path
import pyarrow as pa
from parquet_files import documents_at
from sparkprep.documents.parquet import pieces

pieces.BATCH_BYTES = 1 << 20
documents = documents_at(Path(sys.argv[1]))
rows = sum(batch.num_rows for piece in (0, 1) for batch in documents.batches(piece))
print(len(documents.pieces), rows, pa.default_memory_pool().max_memory())
"""


def test_no_more_of_a_row_group_is_in_memory_than_some_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_groups(path, [[f"{n}" * 20_000 for n in range(1000)]], 0)  # 58 MB in one row group
    pieces_read, rows, peak = map(int, in_a_process_of_its_own(PEAK, str(path)).split())
    assert (pieces_read, rows) == (2, 1000)
    assert 1 << 20 < peak < 12 << 20


# What is in the files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_a_column_of_any_type_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    kinds = {"x": EVERY_TYPE[name].type, "text": pa.string()}
    table = pa.table({"x": EVERY_TYPE[name], "text": ["a", "b", None, "d"]})
    schema = pa.schema([*(pa.field(n, kind, metadata={"unit": n}) for n, kind in kinds.items())], {"of": "the table"})
    path = save(tmp_path / "a.parquet", table.cast(schema), row_group_size=3)
    back = read(documents_at(path))
    assert back.equals(pq.read_table(path), check_metadata=True)
    assert back.equals(table)
    assert back.schema.metadata == {b"of": b"the table"}


def test_no_column_becomes_nullable(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("text", pa.string(), False), pa.field("n", pa.int32(), False)])
    path = save(tmp_path / "a.parquet", pa.table({"text": ["a"], "n": [1]}, schema))
    assert read(documents_at(path)).schema.equals(schema)


def test_the_index_of_pandas_and_the_features_of_hugging_face_stay(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"text": ["a", "b"], "n": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    table = pa.Table.from_pandas(frame)
    table = table.replace_schema_metadata(table.schema.metadata | {b"huggingface": b'{"info": {}}'})
    back = read(documents_at(save(tmp_path / "a.parquet", table)))
    assert back.schema.metadata == table.schema.metadata
    assert back.to_pandas().equals(frame)


@pytest.mark.parametrize(
    "options",
    [
        *({"compression": codec} for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4")),
        {"data_page_version": "2.0", "compression": "zstd"},
        {"use_dictionary": False, "column_encoding": {"x": "BYTE_STREAM_SPLIT", "n": "DELTA_BINARY_PACKED"}},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY", "id": "DELTA_LENGTH_BYTE_ARRAY"}},
        {"use_byte_stream_split": ["x", "n"], "use_dictionary": ["id"]},
        {"use_deprecated_int96_timestamps": True},
        {"version": "1.0"},
        {"write_page_index": True, "write_page_checksum": True, "data_page_size": 100, "write_batch_size": 3},
        {"store_schema": False},
    ],
    ids=str,
)
def test_any_encoding_and_compression_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    columns = {
        "id": [f"d{n}" for n in range(50)],
        "text": [f"some text {n} " * (n % 7) if n % 5 else None for n in range(50)],
        "n": pa.array(range(50), pa.int64()),
        "x": [n / 3 for n in range(50)],
        "when": pa.array([dt.datetime(2024, 1, 1, 0, 0, n) for n in range(50)], pa.timestamp("ns")),
    }
    path = save(tmp_path / "a.parquet", columns, row_group_size=20, **options)
    back = read(documents_at(path))
    assert back.equals(pq.read_table(path), check_metadata=True)
    assert back.to_pydict() == pa.table(columns).cast(back.schema).to_pydict()


def test_files_of_any_name_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "in put%41#[x]{y}"
    for name in ODD_NAMES:
        save(folder / f"{name}.parquet", {"text": ["t", "t"], "name": [name, name]})
    expected = [f.path.rsplit("/", 1)[1].removesuffix(".parquet") for f in list_files([folder]) for _ in range(2)]
    assert read(documents_at(folder), ["name"])["name"].to_pylist() == expected
    assert sorted(expected[::2]) == sorted(ODD_NAMES)


def test_columns_in_folder_names_are_read_as_columns(tmp_path: Path) -> None:
    for lang, year in (("en", "2023"), ("d%20e", "2024"), ("__HIVE_DEFAULT_PARTITION__", "2024")):
        save(tmp_path / f"in/lang={lang}/year={year}/a.parquet")
    rows = read(documents_at(tmp_path / "in"), ["year", "lang", "text"])
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        *((2024, None, "some text"), (2024, "d e", "some text"), (2023, "en", "some text"))
    ]


def test_names_with_dots_or_that_differ_by_case_are_names_of_their_own(tmp_path: Path) -> None:
    columns = {
        "text": ["a"], "Text": ["b"], "a.b": [1], "a": [{"b": 2, "c": 3}], "text.x": ["c"], "odd `1` ü": [4], "": [5],
        "a b,c;{d}=(e)": [6],
    }  # fmt: skip
    path = save(tmp_path / "a.parquet", columns)
    documents = documents_at(path)
    assert read(documents).to_pydict() == columns
    for name in columns:
        assert read(documents, [name]).to_pydict() == {name: columns[name]}
    assert read(documents, ["a.b", "text"]).to_pydict() == {"a.b": [1], "text": ["a"]}


def test_columns_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", {"id": [1], "text": ["t"], "n": [2]})
    assert read(documents_at(path), ["n", "text"]).to_pydict() == {"n": [2], "text": ["t"]}


def test_uuids_and_instants_that_other_files_write_otherwise_are_the_same_values(tmp_path: Path) -> None:
    ids, instants = [bytes([n]) * 16 for n in range(2)], [-1, 1_700_000_000_000_000]
    kinds = [(pa.uuid(), pa.timestamp("us", "Europe/Berlin")), (pa.binary(16), pa.timestamp("us", "America/New_York"))]
    for name, (identity, instant) in zip("ab", kinds, strict=True):
        rows = {"text": ["x", "y"], "u": pa.array(ids, identity), "t": pa.array(instants, instant)}
        save(tmp_path / f"{name}.parquet", rows)
    documents = documents_at(tmp_path)
    rows = read(documents)
    assert rows.schema.field("u").type == pa.binary(16)
    assert rows["u"].to_pylist() == ids * 2
    assert rows["t"].cast(pa.int64()).to_pylist() == instants * 2
    assert documents.summary.widened == (
        "column u is extension<arrow.uuid> and fixed_size_binary[16]: read as fixed_size_binary[16]",
        "column t is timestamp[us, tz=Europe/Berlin] and timestamp[us, tz=America/New_York]: "
        "read as timestamp[us, tz=UTC]",
    )


def test_sorted_maps_and_lists_under_other_names_are_written_as_they_were(tmp_path: Path) -> None:
    sorted_map = pa.map_(pa.string(), pa.int32(), keys_sorted=True)
    rows = pa.table(
        {
            "text": ["x", "y"],
            "m": pa.array([[("a", 1)], None], sorted_map),
            "l": pa.array([[1], None], pa.list_(pa.field("array", pa.int8()))),
            "deep": pa.array([[[("b", 2)]], []], pa.list_(pa.field("item", sorted_map))),
        }
    )
    path = save(tmp_path / "a.parquet", rows, use_compliant_nested_type=False)
    documents = documents_at(path)
    write_parquet(str(tmp_path / "kept.parquet"), documents.batches(0), documents.schema)
    kept = pq.read_table(tmp_path / "kept.parquet")
    assert kept.equals(pq.read_table(path))
    assert kept.schema.field("m").type.keys_sorted


def test_files_that_drift_are_read_as_one_table(tmp_path: Path) -> None:
    narrow = {
        "text": pa.array(["a", None]),
        "n": pa.array([1, None], pa.int32()),
        "x": pa.array([0.5, None], pa.float32()),
        "later": pa.nulls(2),
        "word": pa.array(["w", None]).dictionary_encode(),
        "s": pa.array([{"x": 1}, None], pa.struct([("x", pa.int32())])),
        "old": ["gone", "gone"],
    }
    wide = {
        "s": pa.array([{"y": "new", "x": 2**40}, {"y": None, "x": None}]),
        "later": [[1, 2], None],
        "word": pa.array(["v", "w"], pa.large_string()),
        "x": [0.1, 0.2],
        "n": [2**40, 3],
        "text": pa.array(["c", "d"], pa.large_string()),
    }
    save(tmp_path / "a.parquet", narrow)
    save(tmp_path / "b.parquet", wide)
    rows = read(documents_at(tmp_path)).to_pydict()
    assert rows == {
        "text": ["a", None, "c", "d"],
        "n": [1, None, 2**40, 3],
        "x": [0.5, None, 0.1, 0.2],
        "later": [None, None, [1, 2], None],
        "word": ["w", None, "v", "w"],
        "s": [{"x": 1, "y": None}, None, {"x": 2**40, "y": "new"}, {"x": None, "y": None}],
        "old": ["gone", "gone", None, None],
    }


def test_dictionaries_may_differ_from_row_group_to_row_group(tmp_path: Path) -> None:
    words = [f"word {n // 7}" for n in range(100)]
    table = pa.table({"text": pa.array(words).dictionary_encode()})
    back = read(documents_at(save(tmp_path / "a.parquet", table, row_group_size=9)))
    assert back.schema == table.schema
    assert back["text"].to_pylist() == words


# Files that are not what they were, or not sound ---------------------------------------------------------------------


def test_a_file_that_changes_after_the_footers_were_read_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", {"text": ["a"] * 10}, row_group_size=5)
    documents = documents_at(path)
    for rows, size in ((10, 10), (9, 5), (15, 5), (0, 5)):
        save(path, {"text": pa.array(["b"] * rows, pa.string())}, row_group_size=size)
        with pytest.raises(UserError) as caught:
            read(documents)
        assert str(caught.value).startswith(f"{path}: has changed while the job ran; run again when nothing writes to ")
    path.unlink()
    with pytest.raises(UserError, match=r"a\.parquet: is not there any more; it was when the job began"):
        read(documents)


def test_a_column_that_goes_while_the_job_runs_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", {"text": ["a"], "n": [1]})
    documents = documents_at(path)
    for columns in ({"text": ["a"]}, {"text": ["a"], "n": ["one"]}):
        save(path, columns)
        with pytest.raises(UserError, match=r"a\.parquet: has changed while the job ran"):
            read(documents)


def test_damage_is_named_by_file_and_row_group_with_the_reason(tmp_path: Path) -> None:
    save(tmp_path / "good.parquet")
    texts = [" ".join(f"w{n * m % 97}" for m in range(40)) for n in range(300)]
    bad = save(tmp_path / "bad #1.parquet", {"id": ["x"] * 300, "text": texts}, row_group_size=100)
    start = pq.read_metadata(bad).row_group(1).column(1).data_page_offset
    content = bytearray(bad.read_bytes())
    content[start + 40 : start + 400] = b"\xaa" * 360
    bad.write_bytes(content)
    documents = documents_at(tmp_path)
    with pytest.raises(UserError) as caught:
        read(documents)
    start_of, reason, way_out = str(caught.value).split(": ", 2)[0], str(caught.value), str(caught.value)[-35:]
    assert start_of == str(bad)
    assert reason.startswith(f"{bad}: row group 1 cannot be read: ")
    assert way_out.endswith("restore the file or leave it out")
    assert set(read(documents, ["id"])["id"].to_pylist()) == {"x"}


FUZZ = """\
import random, sys
from pathlib import Path
import pyarrow as pa
from parquet_files import documents_at, read, save
from sparkprep.errors import UserError

folder, dice = Path(sys.argv[1]), random.Random(7)
words = ["a", "bb", "ccc", "\\u00fc"]
table = pa.table({
    "id": [f"d{n % 50}" for n in range(200)], "text": [" ".join(dice.choices(words, k=40)) for _ in range(200)],
    "x": [n / 3 for n in range(200)], "n": list(range(200)), "l": [[n, n] for n in range(200)],
})
plain = {"compression": "none", "use_dictionary": False}
kinds = {
    "plain": plain, "snappy": {}, "gzip": {"compression": "gzip"}, "lz4": {"compression": "lz4"},
    "zstd": {"compression": "zstd", "data_page_version": "2.0"}, "brotli": {"compression": "brotli"},
    "delta": plain | {"column_encoding": {
        "text": "DELTA_BYTE_ARRAY", "n": "DELTA_BINARY_PACKED", "x": "BYTE_STREAM_SPLIT",
        "id": "DELTA_LENGTH_BYTE_ARRAY", "l.list.element": "PLAIN"}},
}
for kind, options in kinds.items():
    path = save(folder / f"{kind}.parquet", table, row_group_size=70, write_page_checksum=True, **options)
    good, outcomes = path.read_bytes(), {"rows": 0, "refused": 0}
    for _ in range(30):
        content = bytearray(good)
        content[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        try:
            assert read(documents_at(path)).equals(table), kind
            outcomes["rows"] += 1
        except UserError as error:
            assert str(path) in str(error) and "\\n" not in str(error), error
            outcomes["refused"] += 1
    print(kind, outcomes["rows"] + outcomes["refused"], outcomes["refused"] > 0)
"""


def test_a_bit_that_flips_anywhere_gives_the_right_rows_or_a_line_that_names_the_file(tmp_path: Path) -> None:
    """In a process of its own, since an exception of C++ that nobody catches would end it.

    The files carry checksums of their pages: without them, no reader can tell a flipped bit of a number from a number.
    """
    outcomes = [line.split() for line in in_a_process_of_its_own(FUZZ, str(tmp_path)).splitlines()]
    assert [outcome[1:] for outcome in outcomes] == [["30", "True"]] * 7
