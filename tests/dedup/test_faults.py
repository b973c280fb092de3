"""What a run may lose on one machine: it ends with the same bytes, or says what was wrong and is resumed."""

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import corpus
import pytest
from dedup_runs import DONE_PARTS
from job_processes import done, started
from mounts import full_disk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "docs"
    corpus.write(folder, corpus.documents(seed=3, families=400), files=4)
    return folder


@pytest.fixture(scope="module")
def whole(source: Path) -> dict[str, str]:
    """The digests of what an undisturbed run gives."""
    out = source.parent / "whole"
    done(source.parent, "dedup", "--input", str(source), "--output", str(out), "--quiet")
    return digests(out)


def digests(folder: Path) -> dict[str, str]:
    assert {path.name for path in folder.iterdir()} == DONE_PARTS
    files = sorted(folder.rglob("*.parquet"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def words(source: Path, *more: str) -> tuple[str, ...]:
    return ("dedup", "--input", str(source), "--output", "out", "--resume", *more)


def test_a_driver_that_is_killed_again_and_again_comes_to_its_end_by_resuming(
    source: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    for stage in ("sketch", "candidates", "decide", "write"):
        with started(tmp_path, *words(source)) as job:
            job.read_until(stage)
            job.kill_all()
        (left,) = tmp_path.iterdir()
        assert left.name.startswith("out.partial-")
    said = done(tmp_path, *words(source))
    for stage in ("sketch", "candidates", "verify", "decide"):
        assert any(line.startswith(stage) and "finished by the earlier run" in line for line in said.splitlines()), said
    assert digests(tmp_path / "out") == whole
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["resumed"]["runs"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_local_run_that_loses_its_workers_stops_with_a_word_and_is_resumed(
    source: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    with started(tmp_path, *words(source)) as job:
        job.read_until("sketch")
        while job.process.poll() is None:
            job.kill_worker()
            time.sleep(0.02)
        said = job.end()
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "a worker of Spark was killed" in line
    assert "the same command with --resume goes on from there" in line
    done(tmp_path, *words(source))
    assert digests(tmp_path / "out") == whole


def test_a_run_that_is_still_at_work_is_not_gone_on_from(source: Path, whole: dict[str, str], tmp_path: Path) -> None:
    with started(tmp_path, *words(source)) as job:
        job.read_until("sketch")
        os.killpg(job.process.pid, signal.SIGSTOP)
        try:
            said = done(tmp_path, *words(source), code=2)
        finally:
            os.killpg(job.process.pid, signal.SIGCONT)
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "the run that writes there is still at work" in line
        assert job.process.wait(timeout=300) == 0, job.end()
    assert digests(tmp_path / "out") == whole


def test_a_disk_that_is_full_in_a_shuffle_is_told_of_and_the_run_resumed(
    source: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    small, here = tmp_path / "small", tmp_path / "here"
    small.mkdir()
    here.mkdir()
    done(here, "dedup", "--input", str(source), "--output", "out", "--threshold", "0.9", "--quiet")
    before = digests(here / "out")
    with full_disk(small, 256):
        said = done(here, *words(source, "--overwrite"), code=2, environment={"SPARK_LOCAL_DIRS": str(small)})
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "the disk is full" in line, said
    assert "(sketch): the same command with --resume goes on from there" in line
    assert digests(here / "out") == before, "the earlier output is whole"
    said = done(here, *words(source, "--overwrite"))
    assert "finished by the earlier run" in said
    assert digests(here / "out") == whole


@pytest.mark.parametrize("is_same_size", [True, False])
def test_a_file_that_is_replaced_by_a_damaged_one_under_way_is_named(
    source: Path, tmp_path: Path, is_same_size: bool
) -> None:
    here = tmp_path / "docs"
    shutil.copytree(source, here)
    victim = here / "part-003.parquet"
    with started(tmp_path, *words(here)) as job:
        job.read_until("candidates")
        content = victim.read_bytes()
        victim.write_bytes(b"\0" * len(content) if is_same_size else content[: len(content) // 2])
        said = job.end()
        assert job.process.returncode == 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert f"{victim}: has changed while the job ran" in line
    assert [path.name for path in tmp_path.iterdir()] == ["docs"], "of such an input nothing can be resumed"
