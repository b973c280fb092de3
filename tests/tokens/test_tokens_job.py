"""Documents to token rows to shards, on Spark: what comes out, whatever happens on the way."""

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, save
from processes import descendants, kill
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark.progress import Progress
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from sparkprep.tokens import shards as shards_module
from sparkprep.tokens.manifest import MANIFEST, NOTES, verify
from sparkprep.tokens.pipeline import make_tokens
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.shards import make_shards

SMALL = ShardSettings("t", shard_tokens=3000, val_tokens=500)
DOCUMENTS = 300


def documents() -> dict[str, list[Any]]:
    texts: list[str | None] = [prose(n, 5 + n % 60) for n in range(DOCUMENTS - 4)]
    texts += [None, "", "ends with <|endoftext|>", "naïve 中文 👩‍🚀 \n\n  x"]
    return {"id": [f"doc-{n}" for n in range(DOCUMENTS)], "url": ["u"] * DOCUMENTS, "text": texts}


def make(
    spark: SparkSession, rows: Path, folder: Path, settings: ShardSettings = SMALL, **options: Any
) -> dict[str, Any]:
    return make_shards(spark, [str(rows)], str(folder), settings, Progress(spark, None), **options)


def stream_of(folder: Path) -> list[int]:
    files = json.loads((folder / "manifest.json").read_text())["shards"]
    return [t for file in files for t in np.fromfile(folder / file["file"], "<u2", offset=1024).tolist()]


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.bin")}


def split(tokens: list[int]) -> list[tuple[int, ...]]:
    found: list[list[int]] = []
    for token in tokens:
        if token == END_OF_TEXT:
            found.append([])
        else:
            found[-1].append(token)
    return [tuple(row) for row in found]


@pytest.fixture(scope="module")
def token_rows(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    source = save(folder / "in" / "docs.parquet", documents())
    make_tokens(spark, str(source), str(folder / "rows"))
    return folder / "rows"


@pytest.fixture(scope="module")
def shards(spark: SparkSession, token_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    make(spark, token_rows, folder)
    return folder


def test_a_token_row_holds_the_ids_of_its_document(token_rows: Path) -> None:
    rows = pq.read_table(token_rows).to_pylist()
    texts = dict(zip(documents()["id"], documents()["text"], strict=True))
    assert {row["id"] for row in rows} == set(texts)
    for row in rows:
        ids = np.frombuffer(row["tokens"], "<u2")
        assert len(ids) == row["count"]
        assert ids.tolist() == Tokenizer().encode_one(texts[row["id"]] or "").tolist()


def test_the_shards_hold_every_document_once_behind_an_end_of_text(shards: Path) -> None:
    expected = [tuple(Tokenizer().encode_one(text or "").tolist()) for text in documents()["text"]]
    tokens = stream_of(shards)
    assert sorted(split(tokens)) == sorted(expected)
    sizes = [p.stat().st_size for p in sorted(shards.glob("*.bin"))]
    assert sizes.count(1024 + 2 * 3000) == len(sizes) - 2
    assert (shards / "t_val_000000.bin").stat().st_size == 1024 + 2 * 500
    assert verify(str(shards))["tokens"] == len(tokens)


@pytest.mark.parametrize("parts", [1, 3, 16])
def test_the_shards_are_the_same_however_the_rows_are_stored(
    spark: SparkSession, token_rows: Path, shards: Path, parts: int, tmp_path: Path
) -> None:
    rows = pq.read_table(token_rows).to_pylist()
    random.Random(parts).shuffle(rows)
    for part in range(parts):
        pq.write_table(pa.Table.from_pylist(rows[part::parts]), save(tmp_path / "rows" / f"{part}.parquet", {"x": [1]}))
    make(spark, tmp_path / "rows", tmp_path / "out")
    assert digests(tmp_path / "out") == digests(shards)


def test_the_shards_are_the_same_where_several_tasks_add_up_the_counts(
    spark: SparkSession, token_rows: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "COUNTS_PER_TASK", 1)
    make(spark, token_rows, tmp_path)
    assert digests(tmp_path) == digests(shards)


def test_rows_whose_identifiers_are_all_null_are_ordered_by_their_tokens(
    spark: SparkSession, token_rows: Path, tmp_path: Path
) -> None:
    tokens = pq.read_table(token_rows)["tokens"]
    for name, column in (("one", tokens), ("two", tokens.take(pa.array(range(len(tokens))[::-1])))):
        table = pa.table({"id": pa.nulls(len(tokens), pa.string()), "tokens": column})
        make(spark, save(tmp_path / f"{name}.parquet", table), tmp_path / name)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert split(stream_of(tmp_path / "one")) == sorted(split(stream_of(tmp_path / "one")), key=as_bytes)


def as_bytes(tokens: tuple[int, ...]) -> bytes:
    return np.array(tokens, "<u2").tobytes()


def test_another_seed_gives_another_order_of_the_same_documents(
    spark: SparkSession, token_rows: Path, shards: Path, tmp_path: Path
) -> None:
    make(spark, token_rows, tmp_path, ShardSettings("t", 3000, 500, seed=2))
    assert stream_of(tmp_path) != stream_of(shards)
    assert sorted(split(stream_of(tmp_path))) == sorted(split(stream_of(shards)))


@pytest.mark.parametrize("marks", [(), ("front",), ("back",), ("front", "back")])
def test_lists_of_numbers_from_elsewhere_give_the_same_shards(
    spark: SparkSession, token_rows: Path, shards: Path, marks: tuple[str, ...], tmp_path: Path
) -> None:
    rows = pq.read_table(token_rows).to_pylist()
    eot = [END_OF_TEXT]
    lists = [
        eot * ("front" in marks) + np.frombuffer(row["tokens"], "<u2").tolist() + eot * ("back" in marks)
        for row in rows
    ]
    table = pa.table({"input_ids": pa.array(lists, pa.list_(pa.int32())), "id": [row["id"] for row in rows]})
    make(spark, save(tmp_path / "rows.parquet", table), tmp_path / "out", tokens_column="input_ids")
    assert digests(tmp_path / "out") == digests(shards)


def test_a_column_that_another_program_added_to_token_rows_is_read(
    spark: SparkSession, token_rows: Path, shards: Path, tmp_path: Path
) -> None:
    spark.read.parquet(str(token_rows)).write.parquet(str(tmp_path / "by_spark"))
    table = pa.concat_tables(
        [pq.ParquetFile(path).read() for path in sorted((tmp_path / "by_spark").glob("*.parquet"))]
    )
    assert b"org.apache.spark.sql.parquet.row.metadata" in table.schema.metadata  # it knows nothing of the new column
    lists = [np.frombuffer(tokens, "<u2").tolist() for tokens in table["tokens"].to_pylist()]
    more = table.append_column("input_ids", pa.array(lists, pa.list_(pa.int32())))
    make(spark, save(tmp_path / "rows.parquet", more), tmp_path / "out", tokens_column="input_ids")
    assert digests(tmp_path / "out") == digests(shards)


def test_rows_without_an_identifier_are_ordered_by_their_tokens(
    spark: SparkSession, token_rows: Path, tmp_path: Path
) -> None:
    table = pq.read_table(token_rows, columns=["tokens"])
    make(spark, save(tmp_path / "a.parquet", table), tmp_path / "one")
    make(spark, save(tmp_path / "b.parquet", table.take(pa.array(range(len(table))[::-1]))), tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_second_run_makes_only_what_is_missing_or_wrong(
    spark: SparkSession, token_rows: Path, shards: Path, tmp_path: Path
) -> None:
    make(spark, token_rows, tmp_path)
    files = sorted(tmp_path.glob("*.bin"))
    before = {p.name: p.stat().st_mtime_ns for p in files}
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-100])
    flipped = bytearray(files[2].read_bytes())
    flipped[2000] ^= 1
    files[2].write_bytes(flipped)
    with pytest.raises(UserError) as caught:
        verify(str(tmp_path))
    said = [f"{files[0]}: missing", f"{files[1]}: ", f"{files[2]}: not the file that the manifest tells of"]
    assert all(each in str(caught.value) for each in said)
    assert str(caught.value).endswith(
        "; delete them and give the command that made the shards again, which makes what is missing"
    )
    make(spark, token_rows, tmp_path)
    assert digests(tmp_path) == digests(shards)
    assert {p.name for p in files if p.stat().st_mtime_ns == before[p.name]} == {p.name for p in files[3:]}


def test_shards_of_another_run_are_not_mixed_with_new_ones(
    spark: SparkSession, token_rows: Path, tmp_path: Path
) -> None:
    make(spark, token_rows, tmp_path)
    before = digests(tmp_path)
    with pytest.raises(UserError, match="made from other token rows or settings"):
        make(spark, token_rows, tmp_path, ShardSettings("t", 2000, 500))
    assert digests(tmp_path) == before
    make(spark, token_rows, tmp_path, ShardSettings("t", 9000, 500), overwrite=True)
    assert len(digests(tmp_path)) < len(before)
    verify(str(tmp_path))


def test_shards_that_another_run_writes_meanwhile_are_not_mixed_with_new_ones(
    spark: SparkSession, token_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object) -> None:
        monkeypatch.undo()
        make(spark, token_rows, tmp_path, ShardSettings("t", 9000, 500))

    monkeypatch.setattr(shards_module, "_refuse_unseen", meanwhile)
    with pytest.raises(UserError, match="another run has just written shards there; run again"):
        make(spark, token_rows, tmp_path)
    verify(str(tmp_path))


def test_a_shard_of_unknown_origin_is_not_left_among_ours(
    spark: SparkSession, token_rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "t_train_000099.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"t_train_000099\.bin: a shard of this name that is not of this run"):
        make(spark, token_rows, tmp_path)


@pytest.mark.parametrize("file", ["t_val_000000.bin", "t_train_000002.bin"])
def test_an_unknown_file_that_bears_the_name_of_a_planned_shard_stays_without_overwrite(
    spark: SparkSession, token_rows: Path, shards: Path, tmp_path: Path, file: str
) -> None:
    (tmp_path / file).write_bytes(b"mine")
    with pytest.raises(UserError, match=rf"{file}: a shard of this name that is not of this run; .* overwrite=True"):
        make(spark, token_rows, tmp_path)
    assert digests(tmp_path) == {file: hashlib.sha256(b"mine").hexdigest()}
    make(spark, token_rows, tmp_path, overwrite=True)
    assert digests(tmp_path) == digests(shards)


@pytest.mark.parametrize(("struck", "lost"), [("sound_entries", 0), ("_write", 1)])
def test_shards_that_are_finished_stay_so_wherever_a_further_run_is_killed(
    spark: SparkSession, token_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, struck: str, lost: int
) -> None:
    """A kill leaves what lies there when it strikes, and of the notes no more than an exception does."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    make(spark, token_rows, tmp_path)
    files = sorted(tmp_path.glob("*.bin"))
    for path in files[:lost]:
        path.unlink()
    before = {path.name: path.stat().st_mtime_ns for path in files[lost:]}
    monkeypatch.setattr(shards_module, struck, killed)
    with pytest.raises(KeyboardInterrupt):
        make(spark, token_rows, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / MANIFEST).exists() == (lost == 0)
    make(spark, token_rows, tmp_path)
    verify(str(tmp_path))
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before


def test_tokens_and_shards_of_any_text_column_name_and_json_lines(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "docs.jsonl"
    source.write_text("".join(json.dumps({"body": prose(n)}) + "\n" for n in range(20)))
    from sparkprep.tokens.settings import TokenizeSettings

    metrics = make_tokens(spark, str(source), str(tmp_path / "rows"), TokenizeSettings(text_column="body"))
    assert metrics["documents"] == 20
    assert make(spark, tmp_path / "rows", tmp_path / "out")["documents"] == 20


def test_a_finished_tokenization_of_the_same_input_is_reused(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": [1, 2], "text": ["one", "two"]})
    make_tokens(spark, str(source), str(tmp_path / "rows"))
    first = {p.name for p in (tmp_path / "rows").iterdir()}
    make_tokens(spark, str(source), str(tmp_path / "rows"), reuse=True)
    assert {p.name for p in (tmp_path / "rows").iterdir()} == first
    stranger = save(tmp_path / "rows" / "more.parquet", {"id": [3]})
    with pytest.raises(UserError, match="exists"):
        make_tokens(spark, str(source), str(tmp_path / "rows"), reuse=True)
    stranger.unlink()
    make_tokens(spark, str(source), str(tmp_path / "rows"), reuse=True)
    size = source.stat().st_size
    save(source, {"id": [1, 2], "text": ["one", "TWO"]})
    assert source.stat().st_size == size
    with pytest.raises(UserError, match="exists"):
        make_tokens(spark, str(source), str(tmp_path / "rows"), reuse=True)


def test_a_tokenization_of_which_a_file_is_gone_is_not_reused(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": [1, 2], "text": ["one", "two"]})
    make_tokens(spark, str(source), str(tmp_path / "rows"))
    next((tmp_path / "rows").glob("part-*.parquet")).unlink()
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        make_tokens(spark, str(source), str(tmp_path / "rows"), reuse=True)
    assert make_tokens(spark, str(source), str(tmp_path / "rows"), reuse=True, overwrite=True)["documents"] == 2


def test_the_kept_documents_of_the_dedup_job_are_found_in_its_folder(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "clean" / "kept" / "a.parquet", {"id": [1], "text": ["kept"]})
    save(tmp_path / "clean" / "removed" / "a.parquet", {"id": [2], "kept_id": [1]})
    (tmp_path / "clean" / "metrics.json").write_text('{"counts": {}, "settings": {}, "versions": {}}')
    assert make_tokens(spark, str(tmp_path / "clean"), str(tmp_path / "rows"))["documents"] == 1


def test_a_long_text_among_short_ones_is_tokenized(spark: SparkSession, tmp_path: Path) -> None:
    long = prose(1, 300_000)
    source = save(tmp_path / "in.parquet", {"id": [1, 2, 3], "text": ["short", long, "also short"]})
    metrics = make_tokens(spark, str(source), str(tmp_path / "rows"))
    assert metrics["documents"] == 3
    rows = {row["id"]: row["count"] for row in pq.read_table(tmp_path / "rows").to_pylist()}
    assert rows[2] == len(Tokenizer().encode_one(long))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"id": [1], "words": [[1]]},
            r"no column 'tokens'; columns there are: id, words; name it with tokens_column",
        ),
        ({"id": [1], "tokens": ["text"]}, "sparkprep tokenize"),
        ({"id": [1], "tokens": [[0.5]]}, "not lists of numbers or binary"),
    ],
)
def test_what_holds_no_tokens_is_refused(
    spark: SparkSession, columns: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        make(spark, save(tmp_path / "rows.parquet", columns), tmp_path / "out")


def test_ids_of_another_tokenizer_are_refused_with_the_token(spark: SparkSession, tmp_path: Path) -> None:
    rows = save(tmp_path / "rows.parquet", {"id": [1, 2], "tokens": [[1, 2] * 300, [60_000, 5]]})
    with pytest.raises(UserError, match="token 60000 is none of GPT-2's"):
        make(spark, rows, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("column", ["id", "tokens"])
def test_token_rows_with_damaged_pages_are_named_when_they_are_counted(
    spark: SparkSession, tmp_path: Path, token_rows: Path, column: str
) -> None:
    bad = save(tmp_path / "rows" / "bad.parquet", pq.read_table(token_rows), use_dictionary=False)
    names = pq.read_schema(bad).names
    chunk = pq.read_metadata(bad).row_group(0).column(names.index(column))
    content = bytearray(bad.read_bytes())
    start = chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xa5" * chunk.total_compressed_size
    bad.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.parquet: row group 0 cannot be read: .*; restore the file or leave it"):
        make(spark, bad.parent, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d_train_000001.bin", "", r"no manifest\.json: the shards are not finished; give the command .* again"),
        ("photo.jpg", "", r"holds no shards of ours, as there is no manifest\.json; name a folder that `shards`"),
        ("manifest.json", '{"name": "an app"}', r"manifest\.json: .*; name a folder that `shards`"),
        (None, "", r"no such folder; name a folder that `shards`"),
    ],
)
def test_what_verify_cannot_check_is_told_in_a_line_with_the_way_out(
    tmp_path: Path, name: str | None, content: str, said: str
) -> None:
    if name is not None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / name).write_text(content)
    with pytest.raises(UserError, match=said):
        verify(str(tmp_path / "in"))


def test_what_a_killed_run_had_begun_to_write_is_deleted_by_the_next_one(
    spark: SparkSession, token_rows: Path, shards: Path, tmp_path: Path
) -> None:
    begun = [tmp_path / ".t_train_000003.bin.partial-0a1b2c3d", tmp_path / ".gone_val_000000.bin.partial-ffffffff"]
    (tmp_path / NOTES).mkdir()
    begun.append(tmp_path / NOTES / ".t_train_000003.bin.json.partial-0a1b2c3d")
    for path in begun:
        path.write_bytes(b"half")
    foreign = [tmp_path / ".hidden", tmp_path / "x.partial-0a1b2c3d", tmp_path / ".t.bin.partial-other"]
    for path in foreign:
        path.write_bytes(b"mine")
    make(spark, token_rows, tmp_path)
    assert digests(tmp_path) == digests(shards)
    assert sorted(p for p in tmp_path.iterdir() if p.suffix != ".bin") == sorted([*foreign, tmp_path / MANIFEST])


def test_a_folder_that_another_run_writes_into_is_left_to_it(
    spark: SparkSession, token_rows: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / ".t_train_000003.bin.partial-0a1b2c3d"
    theirs.write_bytes(b"half")
    (tmp_path / NOTES).mkdir()
    code = (
        "import sys, time; from sparkprep.io.locks import held\n"
        "with held(sys.argv[1], sys.argv[2], 'x'): print('held', flush=True); time.sleep(100)\n"
    )
    words = [str(tmp_path), str(tmp_path / NOTES / ".lock")]
    with subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            with pytest.raises(UserError, match=rf"another run \(process {other.pid}\) writes into this folder"):
                make(spark, token_rows, tmp_path)
        finally:
            other.kill()
    assert theirs.exists()
    make(spark, token_rows, tmp_path)
    assert not theirs.exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["driver", "worker"])
def test_after_a_kill_in_the_middle_the_next_run_gives_the_same_files(
    target: str, token_rows: Path, tmp_path: Path, spark: SparkSession
) -> None:
    settings = ["--name", "t", "--shard-tokens", "40", "--val-tokens", "40"]
    command = [sys.executable, "-m", "sparkprep.cli", "shards", "--input", str(token_rows), *settings, "--quiet"]
    out = tmp_path / "out"
    process = subprocess.Popen([*command, "--output", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.bin"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    family = descendants(process.pid)
    if target == "driver":
        kill(*(relative.pid for relative in family), process.pid)
    else:  # one that works: the daemon that made it stays, and makes another
        daemons = {relative.pid for relative in family if "sparkprep.startup.worker_daemon" in relative.command}
        kill(next(relative.pid for relative in reversed(family) if relative.parent in daemons))
    process.wait(timeout=120)
    left = digests(out)
    make(spark, token_rows, tmp_path / "whole", ShardSettings("t", 40, 40))
    whole = digests(tmp_path / "whole")
    assert left.items() <= whole.items(), "a file under its final name is whole"
    subprocess.run([*command, "--output", str(out)], check=True)
    assert digests(out) == whole
    assert sorted(p.name for p in out.iterdir() if p.name not in whole) == ["manifest.json"]
