"""The plan of the shards, and what a task writes of them: no Spark here."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.io.arrow import runs_to_binary
from sparkprep.spark.external_sort import sort
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from sparkprep.tokens import plan as planning
from sparkprep.tokens.manifest import NOTES
from sparkprep.tokens.packing import RECORD_BYTES, packed
from sparkprep.tokens.plan import ShardPlan, Targets, buckets_at
from sparkprep.tokens.reading import PLACED, PlacedRows
from sparkprep.tokens.runs import rows_of, stream
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.writing import write_shard

DOCUMENTS = st.lists(st.lists(st.integers(0, END_OF_TEXT - 1), max_size=9), min_size=1, max_size=30)


def column(rows: Sequence[Sequence[int]]) -> pa.Array:
    ids = np.array([token for row in rows for token in row], np.uint16)
    return runs_to_binary(ids, np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]))


def joined(rows: Sequence[Sequence[int]]) -> list[int]:
    return [token for row in rows for token in (END_OF_TEXT, *row)]


@given(DOCUMENTS, st.booleans())
def test_each_document_stands_behind_one_end_of_text(rows: list[list[int]], as_lists: bool) -> None:
    tokens, starts = stream(*rows_of(pa.array(rows, pa.list_(pa.int32())) if as_lists else column(rows)))
    assert tokens.tolist() == joined(rows)
    assert [tokens[start] for start in starts] == [END_OF_TEXT] * len(rows)


@given(DOCUMENTS, st.data())
def test_an_end_of_text_at_either_end_is_not_doubled(rows: list[list[int]], data: st.DataObject) -> None:
    marked = [
        [END_OF_TEXT] * data.draw(st.integers(0, 1)) + row + [END_OF_TEXT] * data.draw(st.integers(0, 1))
        for row in rows
    ]
    assert stream(*rows_of(column(marked)))[0].tolist() == joined(rows)


def test_a_sliced_column_gives_only_its_own_rows() -> None:
    rows = [[1, 2], [3], [4, 5, 6], [7]]
    for whole in (column(rows), pa.array(rows, pa.list_(pa.int64()))):
        assert stream(*rows_of(whole.slice(1, 2)))[0].tolist() == joined(rows[1:3])


def test_a_null_row_has_no_tokens() -> None:
    assert stream(*rows_of(pa.array([[1], None, [2]], pa.list_(pa.int32()))))[0].tolist() == joined([[1], [], [2]])


@pytest.mark.parametrize("wrong", [50257, -1, 100_000])
def test_what_is_no_token_of_gpt_2_is_refused(wrong: int) -> None:
    with pytest.raises(UserError, match=rf"token {wrong} is none of GPT-2's"):
        rows_of(pa.array([[5], [wrong]], pa.list_(pa.int64())))


def test_a_null_among_the_tokens_of_a_row_is_refused() -> None:
    with pytest.raises(UserError, match="a null among its numbers"):
        rows_of(pa.array([[5, None, 7]], pa.list_(pa.int32())))


KINDS = {
    "list": pa.list_(pa.int32()),
    "large list": pa.large_list(pa.int64()),
    "list of uint16": pa.list_(pa.uint16()),
    "list of uint64": pa.list_(pa.uint64()),
    "list view": pa.list_view(pa.int32()),
    "large list view": pa.large_list_view(pa.int16()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_list_is_read_whole_and_in_slices(kind: str) -> None:
    rows = [[1, 2], [], [3], None, [4, 5, 6], [7]]
    whole = pa.array(rows, KINDS[kind])
    assert stream(*rows_of(whole))[0].tolist() == joined([row or [] for row in rows])
    assert stream(*rows_of(whole.slice(2, 3)))[0].tolist() == joined([row or [] for row in rows[2:5]])


def test_lists_and_binaries_of_fixed_length_are_read_nulls_too() -> None:
    rows = [[1, 2], None, [3, 4]]
    numbers = pa.array(rows, pa.list_(pa.int32(), 2))
    packed = pa.array([None if row is None else np.array(row, "<u2").tobytes() for row in rows], pa.binary(4))
    for whole in (numbers, packed, packed.dictionary_encode()):
        assert stream(*rows_of(whole))[0].tolist() == joined([[1, 2], [], [3, 4]])
        assert stream(*rows_of(whole.slice(1, 2)))[0].tolist() == joined([[], [3, 4]])


def test_a_number_beyond_64_bits_with_sign_is_none_of_gpt_2_s() -> None:
    with pytest.raises(UserError, match=r"none of GPT-2's"):
        rows_of(pa.array([[5], [1 << 63]], pa.list_(pa.uint64())))


def test_binary_tokens_of_odd_length_are_refused() -> None:
    with pytest.raises(UserError, match="odd number of bytes"):
        rows_of(pa.array([b"abc"]))


def make_plan(lengths: Sequence[int], settings: ShardSettings) -> ShardPlan:
    return planning.make(np.array(lengths, np.int64), len(lengths), settings, "test")


@given(
    st.lists(st.integers(0, 50), min_size=64, max_size=64).filter(lambda c: sum(c) > 30),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_the_shards_cover_the_stream_without_gap_or_overlap(counts: list[int], size: int, val: int) -> None:
    plan = make_plan(counts, ShardSettings(shard_tokens=size, val_tokens=val))
    ends = [0]
    for shard in plan.shards:
        assert shard.first == ends[-1]
        ends.append(shard.first + shard.tokens)
        first, last = plan.buckets_of(shard)
        assert plan.bucket_starts[first] <= shard.first
        assert plan.bucket_starts[last + 1] >= ends[-1]
    assert ends[-1] == sum(counts)
    assert [s.tokens for s in plan.shards[:-1]] == [val] + [size] * (len(plan.shards) - 2)


def test_the_names_are_those_that_the_trainer_looks_for() -> None:
    plan = make_plan([1000] * 64, ShardSettings("fineweb", 20_000))
    assert [s.file for s in plan.shards][:2] == ["fineweb_val_000000.bin", "fineweb_train_000001.bin"]
    assert plan.shards[0].tokens == 640  # one per cent


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"shard_tokens": 0}, "shard_tokens: 0 is below 1"),
        ({"shard_tokens": 2**31}, "shard_tokens"),
        ({"val_tokens": 0}, "val_tokens: 0 is below 1"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ShardSettings(**settings)  # type: ignore[arg-type]


def test_too_few_tokens_for_the_validation_shard_are_refused() -> None:
    with pytest.raises(UserError, match=r"val_tokens=500: there are 64 tokens in all"):
        make_plan([1] * 64, ShardSettings(val_tokens=500))


def test_no_document_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="no document"):
        planning.make(np.zeros(64, np.int64), 0, ShardSettings(), "test")


@given(DOCUMENTS.filter(lambda rows: len(joined(rows)) > 8), st.integers(3, 40), st.integers(1, 7), st.randoms())
def test_the_files_one_after_another_are_the_documents_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], size: int, batch_rows: int, random: Random
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    (folder / NOTES).mkdir()
    buckets = (np.arange(len(rows)) * 64 // len(rows)).tolist()
    counts = np.bincount(buckets, weights=[len(row) + 1 for row in rows], minlength=64).astype(np.int64)
    plan = planning.make(counts, len(rows), ShardSettings("test", size, val_tokens=4), "test")
    stored = list(enumerate(zip(buckets, rows, strict=True)))
    random.shuffle(stored)
    batches = [placed(plan, stored[start : start + batch_rows]) for start in range(0, len(rows), batch_rows)]
    blobs = list(packed(batches, Targets.of(plan, plan.shards), plan.bucket_bits))
    random.shuffle(blobs)
    found, documents = [], 0
    for place, shard in enumerate(plan.shards):
        ordered = sort(pa.ipc.read_record_batch(blob, PLACED) for to, blob in blobs if to == place)
        entry = write_shard(ordered, plan, shard, str(folder), "<u2")
        data = (folder / shard.file).read_bytes()
        assert len(data) == 1024 + 2 * shard.tokens
        found += np.frombuffer(data[1024:], "<u2").tolist()
        assert json.loads((folder / NOTES / f"{shard.file}.json").read_text())["sha256"] == entry.sha256
        documents += entry.documents
    assert found == joined(rows)
    assert documents == len(rows)
    assert sorted(p.name for p in folder.glob(".*")) == []


@pytest.mark.parametrize("long", [0, 1_000_000])
def test_records_for_the_shuffle_are_small_or_of_one_row(long: int) -> None:
    rows = [[7] * (2000 + long * (n == 5)) for n in range(1000)]
    plan = make_plan([2001] * 1024, ShardSettings(shard_tokens=200_000))
    batch = placed(plan, [(n, (n, row)) for n, row in enumerate(rows)])
    records = [pa.ipc.read_record_batch(blob, PLACED) for _, blob in packed([batch], Targets.of(plan, plan.shards), 10)]
    assert sum(record.num_rows for record in records) >= len(rows)
    assert all(record.num_rows == 1 or record.nbytes <= RECORD_BYTES for record in records)
    assert max(record.nbytes for record in records) > 100_000, "many records where few would do"


def place_in(plan: ShardPlan, bucket: int) -> int:
    """Return a hash of this bucket."""
    return (bucket << (64 - plan.bucket_bits)) - (1 << 63)


def placed(plan: ShardPlan, rows: Sequence[tuple[int, tuple[int, Sequence[int]]]]) -> PlacedRows:
    """Return rows of (number, (bucket, tokens)): in a bucket, the number orders them."""
    numbers, buckets_and_tokens = zip(*rows, strict=True)
    buckets, tokens = zip(*buckets_and_tokens, strict=True)
    places = np.array([place_in(plan, bucket) for bucket in buckets], np.int64)
    names = pa.array([number.to_bytes(4, "big") for number in numbers], pa.binary())
    batch = pa.RecordBatch.from_arrays([pa.array(places), names, column(tokens)], schema=PLACED)
    return PlacedRows(batch, np.array([len(row) + 1 for row in tokens]), nulls=0)


def rows_of_shard(plan: ShardPlan, index: int, lengths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Return (bucket, row) of all rows that the shuffle brings to a shard, where bucket b is one row of lengths[b]."""
    first, last = plan.buckets_of(plan.shards[index])
    return [(bucket, [7] * (lengths[bucket] - 1)) for bucket in range(first, last + 1)]


@pytest.mark.parametrize(
    ("change", "ends_at"),
    [
        (lambda rows: [], 0),
        (lambda rows: rows[:1], 3),
        (lambda rows: rows[1:], 48),
        (lambda rows: rows[:-1], 48),
        (lambda rows: [*rows, rows[-1]], 54),
        (lambda rows: [*rows[:-1], (rows[-1][0], [7] * 20)], 69),
        (lambda rows: [(rows[0][0], []), *rows[1:]], 49),
    ],
    ids=[
        "all are gone",
        "most are gone",
        "the first is gone",
        "the last is gone",
        "one more",
        "the last is longer",
        "the first is shorter",
    ],
)
def test_rows_that_are_not_those_of_the_plan_leave_no_file(change: Any, ends_at: int, tmp_path: Path) -> None:
    plan = make_plan([3] * 64, ShardSettings(shard_tokens=100, val_tokens=50))
    rows = change(rows_of_shard(plan, 0, [3] * 64))
    batches = [placed(plan, list(enumerate(rows))).rows] if rows else []
    (tmp_path / NOTES).mkdir()
    with pytest.raises(UserError, match=rf"end at token {ends_at} of the stream, and at 51 .*changed while the job"):
        write_shard(batches, plan, plan.shards[0], str(tmp_path), "<u2")
    assert [p.name for p in tmp_path.rglob("*")] == [NOTES]


@given(st.lists(st.integers(0, 40), min_size=64, max_size=64).filter(lambda c: sum(c) > 30), st.data())
def test_the_rows_of_a_bucket_go_to_every_missing_shard_that_holds_some_of_it(
    counts: list[int], data: st.DataObject
) -> None:
    plan = make_plan(counts, ShardSettings(shard_tokens=data.draw(st.integers(3, 90)), val_tokens=5))
    missing = data.draw(st.lists(st.sampled_from(plan.shards), min_size=1, unique=True))
    targets = Targets.of(plan, missing)
    buckets = np.array(data.draw(st.lists(st.integers(0, 63), max_size=20)), np.int64)
    found = []
    for rows, places in targets.of_rows(buckets):
        assert len(set(rows.tolist())) == len(rows)
        found += [(row, missing[place].index) for row, place in zip(rows.tolist(), places.tolist(), strict=True)]
    expected = [
        (row, shard.index)
        for row, bucket in enumerate(buckets.tolist())
        for shard in missing
        if plan.buckets_of(shard)[0] <= bucket <= plan.buckets_of(shard)[1]
    ]
    assert sorted(found) == sorted(expected)


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1), st.integers(6, 16))
def test_buckets_are_in_the_order_of_the_hashes(places: list[int], bits: int) -> None:
    ordered = np.sort(np.array(places, np.int64))
    buckets = buckets_at(ordered, bits)
    assert (np.diff(buckets) >= 0).all()
    assert ((ordered.astype(object) + (1 << 63)) >> (64 - bits)).tolist() == buckets.tolist()
