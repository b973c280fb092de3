"""An estimate is within 1.5 times of what the real job then reads and shuffles."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT

from sparkprep.cli import main
from sparkprep.sample import embedded

pytestmark = pytest.mark.slow


def shuffled(log: Path) -> int:
    """Bytes that tasks wrote for a shuffle, by Spark's event log."""
    events = (json.loads(line) for line in log.read_text().splitlines())
    return sum(
        event["Task Metrics"]["Shuffle Write Metrics"]["Shuffle Bytes Written"]
        for event in events
        if event["Event"] == "SparkListenerTaskEnd"
    )


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The metrics of the job on the embedded 10,000 documents, and the bytes that it shuffled."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "events").mkdir()
    conf = f"--conf spark.eventLog.enabled=true --conf spark.eventLog.dir=file://{folder / 'events'}"
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": f"--master local[2] {conf} pyspark-shell"}
    subprocess.run(
        [sys.executable, ROOT / "jobs" / "dedup.py", "--size", "10k", "--output", folder / "out", "--quiet"],
        env=environment, check=True, capture_output=True, timeout=500,
    )  # fmt: skip
    (log,) = (folder / "events").iterdir()
    return json.loads((folder / "out" / "metrics.json").read_text()), shuffled(log)


def estimated(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    documents = str(embedded("10k").documents)
    assert main(["estimate", "--input", documents, "--json", "--quiet", "--jobs", "dedup", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def is_near(factor: dict[str, float], truth: float) -> bool:
    return factor["low"] <= truth <= factor["high"] and truth / 1.5 <= factor["expected"] <= truth * 1.5


def test_a_sample_tells_documents_bytes_and_shuffle(
    job: tuple[dict[str, Any], int], capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, shuffle_bytes = job
    found = estimated(capsys, "--sample", "1000")
    assert found["sample"]["documents"] <= 1000
    assert is_near(found["documents"], metrics["counts"]["input"])
    assert is_near(found["text_bytes"], metrics["input"]["text_bytes"])
    assert is_near(found["shuffle_bytes"]["dedup"], shuffle_bytes)


def test_a_scan_tells_what_is_removed_too(job: tuple[dict[str, Any], int], capsys: pytest.CaptureFixture[str]) -> None:
    metrics, shuffle_bytes = job
    found = estimated(capsys, "--scan", "--sample", "2048", "--processes", "2")
    assert found["text_bytes"]["expected"] == metrics["input"]["text_bytes"]
    assert is_near(found["removed"], metrics["counts"]["removed"])
    assert is_near(found["shuffle_bytes"]["dedup"], shuffle_bytes)
