"""--keep-work: what the stages of a failed run have written stays where its error says."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, save
from pyspark.sql import SparkSession

from sparkprep import deduplicate
from sparkprep.commands import command
from sparkprep.console import what_is_left
from sparkprep.dedup.report import page


def test_the_tables_of_a_run_that_fails_in_its_last_stage_are_kept_on_request(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the page cannot be drawn")

    source = save(tmp_path / "in.parquet", {"id": [1, 2], "text": [prose(1), prose(1)]})
    monkeypatch.setattr(page, "write", fails)
    with pytest.raises(RuntimeError) as failed:
        deduplicate(source, output=tmp_path / "out", spark=spark, keep_work=True)
    (kept,) = tmp_path.glob("out.partial-*")
    told = what_is_left(failed.value) or ""
    assert told.startswith(
        f"the work is kept in {kept} (sketch, candidates, verify, decide, write): the same command with"
    )
    assert told.endswith(f"to remove it: {command('clean', str(tmp_path / 'out'), '--kept-work')}")
    assert pq.read_table(kept / "kept").num_rows == pq.read_table(kept / "removed").num_rows == 1
    assert any((kept / "_tmp").rglob("*.parquet"))
