"""Files and folders that cannot be read or written: named, refused in one line, and nothing half-done is left."""

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from dedup_runs import checked, listing, prose, refused, run, save
from pyspark.sql import SparkSession

from sparkprep import deduplicate
from sparkprep.errors import UserError

DOCUMENTS = {"id": [f"d{n}" for n in range(400)], "text": [prose(n % 300) for n in range(400)], "n": range(400)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of one sound file; tests put their bad one beside it."""
    save(tmp_path / "in" / "good.parquet", DOCUMENTS, row_group_size=50)
    return tmp_path / "in"


@pytest.fixture
def old_output(tmp_path: Path) -> Path:
    """An earlier result, where the output is to go."""
    save(tmp_path / "out" / "kept" / "part-00000.snappy.parquet", {"id": ["old"]})
    (tmp_path / "out" / "metrics.json").write_text("old")
    return tmp_path / "out"


@contextmanager
def unprivileged() -> Iterator[None]:
    """The block without root's right to ignore permissions."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder to which everybody finds the way (pytest's own are closed to others)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("damage", ["no footer", "half of the footer", "not Parquet", "empty"])
def test_a_file_with_a_broken_footer_is_named(spark: SparkSession, source: Path, tmp_path: Path, damage: str) -> None:
    content = (source / "good.parquet").read_bytes()
    left = {"no footer": content[:2000], "half of the footer": content[: len(content) - 300], "empty": b""}
    bad = source / "bad.parquet"
    bad.write_bytes(left.get(damage, b"no Parquet"))
    message = refused(spark, source, tmp_path / "out")
    assert message.startswith(f"{bad}: ")
    assert message.endswith("restore it or leave it out")


def damage_pages(path: Path, column: str) -> None:
    """Noise over the column's pages in all row groups; the footer stays sound."""
    noise = np.random.default_rng(1)
    content = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index(column)
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(place)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        middle = start + chunk.total_compressed_size // 2
        content[middle : middle + 40] = noise.bytes(40)
    path.write_bytes(content)


@pytest.mark.parametrize("column", ["text", "n"])
def test_a_file_with_damaged_pages_is_named_and_the_old_output_stays(
    spark: SparkSession, source: Path, old_output: Path, column: str
) -> None:
    bad = save(source / "bad #1 %41.parquet", DOCUMENTS, row_group_size=50)
    damage_pages(bad, column)
    message = refused(spark, source, old_output, overwrite=True)
    assert message.startswith(f"{bad}: row group 0 cannot be read: ")
    assert message.endswith("; restore the file or leave it out")


def test_a_damaged_file_behind_a_dataframe_is_named(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    bad = save(source / "bad #1 %41.parquet", DOCUMENTS, row_group_size=50)
    damage_pages(bad, "text")
    message = refused(spark, spark.read.parquet(str(source)), tmp_path / "out")
    assert message.startswith(f"{bad}: damaged Parquet file")


class Acts(io.StringIO):
    """A stream that does something when a stage is told of."""

    def __init__(self, stage: str, action: Callable[[], Any]) -> None:
        super().__init__()
        self.stage, self.action = stage, action

    def write(self, text: str) -> int:
        if text.startswith(self.stage):
            self.action()
        return super().write(text)


@pytest.mark.parametrize("change", ["shorter", "longer", "as long", "gone"])
def test_an_input_file_that_changes_in_mid_run_is_named_and_the_old_output_stays(
    spark: SparkSession, source: Path, old_output: Path, change: str
) -> None:
    path = source / "good.parquet"
    before, other = listing(old_output), {"shorter": 30, "longer": 600, "as long": 400}

    def replace() -> None:
        path.unlink()
        if change != "gone":
            rows = other[change]
            save(
                path, {"id": [f"e{n}" for n in range(rows)], "text": [prose(n) for n in range(rows)], "n": range(rows)}
            )

    with pytest.raises(UserError) as caught:
        deduplicate(source, output=old_output, overwrite=True, spark=spark, stream=Acts("candidates", replace))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    if change != "gone":
        assert "has changed while the job ran; run again when nothing writes to" in str(caught.value)
    assert listing(old_output) == before


def test_an_input_file_that_is_added_in_mid_run_is_named_and_the_old_output_stays(
    spark: SparkSession, source: Path, old_output: Path
) -> None:
    before = listing(old_output)
    add = Acts("candidates", lambda: save(source / "sub" / "late.parquet", {"id": ["late"], "text": [prose(9)]}))
    with pytest.raises(UserError, match=rf"^{source}/sub/late\.parquet: was added while the job ran; run again when"):
        deduplicate(source, output=old_output, overwrite=True, spark=spark, stream=add)
    assert listing(old_output) == before


def break_off() -> None:
    raise OSError(errno.EIO, "broken in mid-run")


def test_an_exception_in_mid_run_leaves_the_old_output_and_nothing_else(
    spark: SparkSession, source: Path, old_output: Path
) -> None:
    before = listing(old_output.parent)
    with pytest.raises(OSError, match="broken in mid-run"):
        deduplicate(source, output=old_output, overwrite=True, spark=spark, stream=Acts("report", break_off))
    assert listing(old_output.parent) == before


def test_an_existing_output_is_refused_and_replaced_only_with_overwrite(
    spark: SparkSession, source: Path, old_output: Path
) -> None:
    message = refused(spark, source, old_output)
    assert message == f"{old_output} exists; pass overwrite=True to replace it or choose another output"
    done = run(spark, source, old_output, overwrite=True)  # which checks that nothing of the old one is left
    assert done.counts["removed"] == 100


def test_a_path_that_is_not_there_is_named(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    message = refused(spark, [source, missing], tmp_path / "out")
    assert message == f"{missing}: no such file or folder; check input"


@pytest.mark.parametrize(("names", "there"), [((), "nothing"), (("a.csv", "b.txt"), "only files of other kinds")])
def test_a_folder_without_any_input_file_says_what_there_is(
    spark: SparkSession, tmp_path: Path, names: tuple[str, ...], there: str
) -> None:
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / name).touch()
    message = refused(spark, tmp_path / "in", tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'in'}: no data file in this folder, {there}")
    assert "known extensions are .parquet, .jsonl" in message


def test_no_input_at_all_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    assert "no input was given" in refused(spark, [], tmp_path / "out")


def test_a_folder_with_a_file_that_no_run_made_is_never_replaced(
    spark: SparkSession, source: Path, old_output: Path
) -> None:
    (old_output / "notes.txt").write_text("mine")
    message = refused(spark, source, old_output, overwrite=True)
    assert (
        message == f"{old_output} holds files that a run of this kind does not make (notes.txt): choose another output"
    )


def test_the_output_may_not_lie_in_the_input_nor_the_input_in_it(spark: SparkSession, source: Path) -> None:
    message = refused(spark, source, source / "out")
    assert message.startswith(f"output='{source / 'out'}' lies inside the input {source}")
    message = refused(spark, source / "good.parquet", source, overwrite=True)
    assert message.startswith(f"the input {source / 'good.parquet'} lies inside output='{source}'")


def test_an_output_below_a_file_is_refused(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refused(spark, source, tmp_path / "file" / "deeper" / "out")
    assert message.startswith(f"cannot write to {tmp_path / 'file' / 'deeper'}: ")
    assert message.endswith("choose another output")


def test_an_output_without_permission_to_write_is_refused(
    spark: SparkSession, source: Path, public_folder: Path
) -> None:
    public_folder.chmod(0o555)
    with unprivileged():
        message = refused(spark, source, public_folder / "out")
    assert message == f"cannot write to {public_folder}: Permission denied; mend that or choose another output"


def test_an_input_without_permission_to_read_is_named(
    spark: SparkSession, public_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    public_folder.chmod(0o777)
    secret = save(public_folder / "secret.parquet", DOCUMENTS)
    secret.chmod(0o000)
    with unprivileged():
        message = refused_unread(spark, secret, public_folder / "out")
    assert message.startswith(f"{secret}: ")
    assert "Permission denied" in message


def refused_unread(spark: SparkSession, source: Path, folder: Path) -> str:
    """As `refused`, for a folder that cannot be listed with its contents."""
    before = sorted(folder.parent.iterdir())
    with pytest.raises(Exception, match="Permission denied") as caught:
        deduplicate(source, output=folder, spark=spark)
    assert sorted(folder.parent.iterdir()) == before
    return str(caught.value)


def test_odd_file_names_and_a_list_of_paths_lose_nothing(spark: SparkSession, tmp_path: Path) -> None:
    names = ["with blank.parquet", "100% #1?&=.parquet", "ünï—🎉 {a,b} [x]*.parquet"]
    paths = [
        save(tmp_path / f"in %20 #{n}" / name, {"id": [f"{n}a", f"{n}b"], "text": [prose(n), prose(9)]})
        for n, name in enumerate(names)
    ]
    out = tmp_path / "öut %41 #{1} [x]"
    result = deduplicate(paths, output=out, spark=spark)
    done = checked(out, result.metrics, {path.parent for path in paths})
    assert done.kept_ids() == ["0a", "0b", "1a", "2a"]
    assert done.metrics["input"]["paths"] == [str(path) for path in paths]
    assert sorted(row["id"] for row in result.kept.collect()) == done.kept_ids()
    assert sorted(row["id"] for row in result.removed.collect()) == ["1b", "2b"]


def test_a_session_from_outside_goes_on_as_it_was(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    def settings() -> dict[str, str]:
        return {row["key"]: row["value"] for row in spark.sql("SET").collect()}

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "77")
    try:
        before, tables = settings(), spark.catalog.listTables()
        deduplicate(source, spark=spark)
        assert settings() == before
        refused(spark, source, tmp_path / "out", keep="date")
        damage_pages(save(source / "bad.parquet", DOCUMENTS, row_group_size=50), "text")
        refused(spark, source, tmp_path / "out")
        assert settings() == before
        assert spark.catalog.listTables() == tables
        assert spark.sparkContext.getLocalProperty("spark.job.description") is None
        assert spark.range(5).count() == 5
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
