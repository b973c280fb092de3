"""What `sparkprep estimate` tells beside what the dedup job takes: documents, text, shuffle, removals, CPU seconds.

Ends with exit code 1 where one of them is not within 1.5 times of the other. CPU seconds are told of the machine of
docs/benchmarks.md: `--slower` says how much slower this one's are, and where others use it too they may lie outside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import add_spark_arguments, job_command, require_text, scratch, spark_environment, subset
from figures import machine, print_table
from measure import measure_checked

WITHIN = 1.5


def told(data: Path, sample: int, scan: bool) -> dict[str, Any]:
    """What the estimate says of the job dedup."""
    words = ["--input", str(data), "--jobs", "dedup", "--sample", str(sample), "--json", "--quiet"]
    command = [sys.executable, "-m", "sparkprep", "estimate", *words, *(["--scan"] if scan else [])]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def shuffled(events: Path) -> int:
    """Bytes that tasks wrote for shuffles, by Spark's event log."""
    (log,) = events.iterdir()
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return sum(
        line["Task Metrics"]["Shuffle Write Metrics"]["Shuffle Bytes Written"]
        for line in lines
        if line["Event"] == "SparkListenerTaskEnd"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: the embedded 10k)")
    parser.add_argument("--sample", type=int, default=4096, metavar="N", help="documents of the sample (default 4096)")
    slower = "so many CPU seconds here are one of docs/benchmarks.md's (a Xeon: 1.85; default 1)"
    parser.add_argument("--slower", type=float, default=1.0, metavar="X", help=slower)
    parser.add_argument("--no-scan", action="store_true", help="from the sample alone")
    add_spark_arguments(parser)
    args = parser.parse_args()
    data = require_text(args.data) if args.data else subset("10k").documents
    estimate = told(data, args.sample, not args.no_scan)
    with scratch(args.temp) as folder:
        (folder / "events").mkdir()
        log = ("spark.eventLog.enabled=true", f"spark.eventLog.dir=file://{folder / 'events'}")
        environment = spark_environment(args.driver_memory, args.cores, (*args.conf, *log))
        measured = measure_checked(job_command(data, folder / "out", "--quiet"), env=environment)
        metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
        shuffle_bytes = shuffled(folder / "events")
    rows = [
        ("documents", estimate["documents"], metrics["counts"]["input"]),
        ("bytes of text", estimate["text_bytes"], metrics["input"]["text_bytes"]),
        ("bytes shuffled", estimate["shuffle_bytes"]["dedup"], shuffle_bytes),
        *([("removed", estimate["removed"], metrics["counts"]["removed"])] if estimate["removed"] else []),
        ("CPU seconds", {end: each * args.slower for end, each in estimate["cpu_seconds"].items()}, measured.cpu_s),
    ]
    print(machine())
    print_table(
        ["", "told", "from", "to", "taken", "told / taken"],
        [
            [name, *(f"{each[end]:,.0f}" for end in ("expected", "low", "high")), f"{truth:,.0f}",
             f"{each['expected'] / max(truth, 1e-9):.2f}"]
            for name, each, truth in rows
        ],
    )  # fmt: skip
    return int(any(not truth / WITHIN <= each["expected"] <= truth * WITHIN for _, each, truth in rows if truth))


if __name__ == "__main__":
    sys.exit(main())
