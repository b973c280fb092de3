"""A run does what its plan says, told by those who cannot be mistaken: Spark's event log, and the server of the input.

The text is read as often as metrics.json declares; nothing that grows with the documents comes to the driver; nothing
is coalesced; a document costs a shuffle no more than it may.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, with_changed
from proxy import Request, in_front_of

from sparkprep.dedup.report.examples import ROW_GROUPS

pytestmark = pytest.mark.scale

DOCUMENTS, GROUP = 1000, 50
FOOTER = 64 << 10
"""What PyArrow reads of a file's end when it opens it."""
FIXED = 64 << 10
"""Bytes that a task sends to the driver at most: its metrics (of a long query 31 kB), a histogram, or a sample."""
MOST_SHUFFLED = 500
"""Bytes of a document, of what the banding shuffles."""
RUN = """
import json, sys
from sparkprep import deduplicate
from sparkprep.spark.session import get_session
log, source, *wanted = sys.argv[1:]
on = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{log}", "spark.eventLog.compress": "false"}
spark = get_session("plan", on | {"spark.sql.shuffle.partitions": "2"}, master="local[2]")
told = {}
for name in wanted:
    settings = json.loads(name)
    result = deduplicate(source, spark=spark, **settings)
    metrics = result[0.8].metrics if "threshold" in settings else result.metrics
    told[name] = {key: metrics[key] for key in ("counts", "text_scans", "shuffle", "candidates")}
    print(f"after {name}", flush=True)
    sys.stdin.readline()
spark.stop()
print(json.dumps(told))
"""


@dataclass
class Seen:
    """What was seen of one run: by the event log, and by the server."""

    metrics: dict[str, Any] = field(default_factory=dict)
    results: int = 0
    """bytes that tasks have sent to the driver"""
    tasks: int = 0
    largest_result: int = 0
    shuffled: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """bytes by the description of the job"""
    names: set[str] = field(default_factory=set)
    """of RDDs and of operators in physical plans"""
    read: int = 0
    """bytes of the input that the server handed out, footers apart"""


def rows_of(documents: int) -> pa.Table:
    """Documents of about 1 kB, of which every tenth is nearly the one before."""
    texts = [prose(n, 160) for n in range(documents)]
    for n in range(9, documents, 10):
        texts[n] = with_changed(texts[n - 1], 80)
    ids = [f"{n:06d}" for n in range(documents)]
    return pa.table({"id": ids, "url": [f"https://s{n % 9}.example/{n}" for n in range(documents)], "text": texts})


def _bytes_asked(request: Request, size: int) -> int:
    first, last = request.part.removeprefix("bytes=").split("-")
    return 0 if int(first) >= size - FOOTER else min(int(last), size - 1) - int(first) + 1


def runs(server: str, folder: Path, documents: int, wanted: list[dict[str, Any]]) -> list[Seen]:
    """Deduplicate that many documents from S3, once with each of the settings, and see what comes of it."""
    names = [json.dumps(settings) for settings in wanted]
    seen, now = [Seen() for _ in names], [0]
    key = f"bucket/docs-{documents}/all.parquet"
    system = pafs.S3FileSystem(endpoint_override=server)
    pq.write_table(rows_of(documents), key, filesystem=system, row_group_size=GROUP)
    size = system.get_file_info(key).size

    def meddle(request: Request) -> bool:
        if request.method == "GET" and request.path.split("?")[0] == f"/{key}":
            seen[now[0]].read += _bytes_asked(request, size)
        return False

    log = folder / f"log-{documents}"
    log.mkdir()
    with in_front_of(server) as proxy, proxy.meddling(meddle):
        words = [sys.executable, "-c", RUN, str(log), f"s3://{key}", *names]
        environment = os.environ | {"AWS_ENDPOINT_URL": proxy.url}
        with subprocess.Popen(words, env=environment, stdin=-1, stdout=-1, text=True) as process:
            for number in range(len(names)):
                assert (process.stdout.readline() or "ended").startswith("after"), "the run failed: see above"
                now[0] = min(number + 1, len(names) - 1)
                process.stdin.write("\n")
                process.stdin.flush()
            told = json.loads(process.communicate(timeout=120)[0])
    for each, name in zip(seen, names, strict=True):
        each.metrics = told[name]
    _read_log(next(log.iterdir()), seen)
    return seen


def _read_log(path: Path, seen: list[Seen]) -> None:
    """Tell the runs apart: each begins with the stage `sketch`."""
    description_of: dict[int, str] = {}
    run_of: dict[int, Seen] = {}
    number, before = -1, ""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        if event["Event"] == "SparkListenerJobStart":
            description = event["Properties"].get("spark.job.description", "")
            number += description == "sparkprep: sketch" != before
            before = description
            for stage in event["Stage Infos"]:
                description_of[stage["Stage ID"]] = description
                run_of[stage["Stage ID"]] = seen[max(number, 0)]
                run_of[stage["Stage ID"]].names |= {rdd["Name"] for rdd in stage["RDD Info"]}
        elif event["Event"].endswith(("SQLExecutionStart", "SQLAdaptiveExecutionUpdate")):
            seen[max(number, 0)].names |= set(_operators(event["sparkPlanInfo"]))
    for event in events:
        if event["Event"] == "SparkListenerTaskEnd":
            run, metrics = run_of[event["Stage ID"]], event["Task Metrics"]
            run.tasks += 1
            run.results += metrics["Result Size"]
            run.largest_result = max(run.largest_result, metrics["Result Size"])
            written = metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
            run.shuffled[description_of[event["Stage ID"]]] += written


def _operators(plan: dict[str, Any]) -> list[str]:
    return [plan["nodeName"], *(name for child in plan["children"] for name in _operators(child))]


def declared(seen: Seen, table: pa.Table, folder: Path) -> tuple[int, int]:
    """(bytes of the input that the run's metrics declare to be read, the bytes of one row group at most)"""
    path = folder / "same.parquet"
    pq.write_table(table, path, row_group_size=GROUP)
    footer = pq.ParquetFile(path).metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    size: dict[str, int] = defaultdict(int)
    for group in groups:
        for number in range(group.num_columns):
            size[group.column(number).path_in_schema] += group.column(number).total_compressed_size
    read = sum(scan["passes"] * sum(size[name] for name in scan["columns"]) for scan in seen.metrics["text_scans"])
    return int(read), max(group.total_byte_size for group in groups)


def test_the_event_log_and_the_server_see_what_is_declared(bucket: str, s3_server: str, tmp_path: Path) -> None:
    wanted: list[dict[str, Any]] = [{}, {"driver_budget": 0}, {"threshold": [0.7, 0.8, 0.9]}]
    once, fourfold = (runs(s3_server, tmp_path, n * DOCUMENTS, wanted) for n in (1, 4))
    table = rows_of(4 * DOCUMENTS)
    for few, many, settings in zip(once, fourfold, wanted, strict=True):
        assert many.metrics["counts"]["near"] == 4 * few.metrics["counts"]["near"] == 4 * DOCUMENTS // 10
        # The text: once each for the sketch, the exact check, and the rows that are written; and not once more.
        assert [(scan["stage"], scan["passes"]) for scan in many.metrics["text_scans"]] == [
            ("sketch", 1.0), ("verify", 1.0), ("write", 1.0)
        ]  # fmt: skip
        promised, group = declared(many, table, tmp_path)
        results = len(settings.get("threshold", [0]))
        assert promised * 0.99 <= many.read <= promised * 1.02 + results * ROW_GROUPS * group, settings
        assert many.read < promised * 4 / 3, "a fourth pass over the text"
        # The driver: what tasks send there is of so many tasks, histograms and samples, not of so many documents.
        assert many.results <= 1.2 * few.results + FIXED
        assert many.largest_result < FIXED
        # The plan: nothing is put together in fewer tasks, and no table is handed to all through the driver.
        assert not [name for name in many.names if "oalesce" in name or "Broadcast" in name]
        # The shuffles: as Spark's own log has them.
        for stage, figures in many.metrics["shuffle"].items():
            assert figures["bytes"] == many.shuffled[f"sparkprep: {stage}"]
    assert fourfold[0].metrics["shuffle"]["candidates"]["bytes_per_document"] <= MOST_SHUFFLED
