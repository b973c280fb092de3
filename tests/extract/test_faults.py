"""A killed extraction does not start over: archives that are finished stay, and the result is that of one run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from job_processes import done, started
from warc_files import archive, responses

pytestmark = pytest.mark.slow
ARCHIVES = 6
VOLATILE = ("resumed", "seconds", "stages", "date", "output", "command")


def test_archives_that_are_finished_stay_where_the_driver_is_killed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(ARCHIVES):
        (tmp_path / "in" / f"{number}.warc.gz").write_bytes(archive(responses(2_000 + number)))
    words = ("extract", "--input", "in", "--output")
    done(tmp_path, *words, "whole", "--quiet")

    def notes() -> int:
        return len(list(tmp_path.glob("out.partial-*/_resume/parts/extract/*.json")))

    with started(tmp_path, *words, "out") as job:
        job.wait_for(lambda: notes() >= 2)
        job.kill_all()
    finished = notes()
    assert 2 <= finished < ARCHIVES
    dry = done(tmp_path, "clean", "out", "--dry-run")
    assert f"--resume would go on from there ({finished} parts of extract)" in dry
    said = done(tmp_path, *words, "out", "--resume")
    assert f"{finished} archives finished by the earlier run" in said
    metrics, whole = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("out", "whole"))
    assert metrics["resumed"]["parts"] == {"extract": finished}
    assert {k: v for k, v in metrics.items() if k not in VOLATILE} == {
        k: v for k, v in whole.items() if k not in VOLATILE
    }
    assert pq.read_table(tmp_path / "out/documents") == pq.read_table(tmp_path / "whole/documents")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]
