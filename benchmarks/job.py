"""The whole job against Spark copying the same Parquet, in turns: CPU seconds of everything that each starts.

The copy (read, write with snappy) is a process of its own with the same driver memory and cores: once as Spark comes,
once with the options for Java that our sessions set.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from common import (
    ROOT,
    add_spark_arguments,
    job_command,
    machine,
    print_table,
    require_text,
    scratch,
    spark_environment,
    submit_options,
    subset,
    text_megabytes,
)
from measure import Measured, measure_checked

AS_IT_COMES = "-XX:+TieredCompilation"
"""Java's default, said aloud: sessions of ours leave the compiler alone where its options are set."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: embedded 10k)")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turns; the best counts (default 3)")
    parser.add_argument("--threshold", default="0.8", help="of the job (default 0.8)")
    parser.add_argument("--spark-submit", metavar="PATH", help="start both through this launcher, not plain Python")
    add_spark_arguments(parser)
    args = parser.parse_args()
    data = require_text(args.data) if args.data else subset("10k").documents
    megabytes = text_megabytes(data)
    env = spark_environment(args.driver_memory, args.cores, args.conf)
    submit = [args.spark_submit, *submit_options(args.cores, args.conf)] if args.spark_submit else None
    runs: dict[str, list[Measured]] = {"copy": [], "tuned copy": [], "job": []}
    with scratch(args.temp) as folder:
        start = submit or [sys.executable]
        copy = [*start, str(ROOT / "benchmarks" / "spark_copy.py"), str(data), str(folder / "copy")]
        job = [*start, *job_command(data, folder / "job", "--threshold", args.threshold)[1:]]
        for _ in range(args.runs):
            for name, command in (("copy", copy), ("tuned copy", copy), ("job", job)):
                options = {"SPARK_SUBMIT_OPTS": AS_IT_COMES} if name == "copy" else {}
                runs[name].append(measure_checked(command, env={**env, **options}))
                if name == "job":
                    counts = json.loads((folder / "job" / "metrics.json").read_text())["counts"]
                shutil.rmtree(folder / name.split()[-1])
    _report(megabytes, runs, counts)
    return 0


def _report(megabytes: float, runs: dict[str, list[Measured]], counts: dict[str, int]) -> None:
    best = {name: min(of_one, key=lambda run: run.cpu_s) for name, of_one in runs.items()}
    print(f"{machine()}\n{counts['input']:,} documents, {megabytes:.1f} MB of text, {counts['removed']:,} removed")
    print(f"best of {len(runs['job'])} by CPU seconds\n")
    rows = [
        (
            name,
            f"{run.cpu_s:.1f}",
            " ".join(f"{other.cpu_s:.1f}" for other in runs[key]),
            f"{run.wall_s:.1f}",
            f"{megabytes / run.cpu_s:.2f}",
            f"{run.peak_rss_mb:,.0f}",
            f"{max(run.worker_peaks_mb, default=0):,.0f}",
        )
        for name, key in (("Spark copy", "copy"), ("the same, our options", "tuned copy"), ("jobs/dedup.py", "job"))
        for run in [best[key]]
    ]
    header = ("", "CPU s", "all runs", "wall s", "MB per CPU-s", "peak RSS, MB", "largest Python worker, MB")
    print_table(header, rows)
    for note in sorted({run.note for of_one in runs.values() for run in of_one if run.note}):
        print(f"note: {note}")
    print(f"\nratio to the copy with our options {best['job'].cpu_s / best['tuned copy'].cpu_s:.2f}")
    print(f"ratio {best['job'].cpu_s / best['copy'].cpu_s:.2f}")


if __name__ == "__main__":
    sys.exit(main())
