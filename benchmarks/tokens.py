"""Documents to token rows to shards against Spark copying the same Parquet, in turns: CPU seconds of all of each.

The copy (read, write with snappy) is a process of its own with the same driver memory and cores: once as Spark comes,
once with the options for Java that our sessions set.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from common import (
    ROOT,
    add_spark_arguments,
    machine,
    print_table,
    require_text,
    scratch,
    spark_environment,
    subset,
    text_megabytes,
)
from job import AS_IT_COMES
from measure import Measured, measure_checked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: embedded 10k)")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turns; the best counts (default 3)")
    add_spark_arguments(parser)
    args = parser.parse_args()
    data = require_text(args.data) if args.data else subset("10k").documents
    megabytes = text_megabytes(data)
    env = spark_environment(args.driver_memory, args.cores, args.conf)
    names = ("Spark copy", "the same, our options", "jobs/tokenize.py --shards")
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    with scratch(args.temp) as folder:
        copy = [sys.executable, str(ROOT / "benchmarks" / "spark_copy.py"), str(data), str(folder / "copy")]
        job = [sys.executable, str(ROOT / "jobs" / "tokenize.py"), "--input", str(data)]
        job += ["--output", str(folder / "rows"), "--shards", str(folder / "shards")]
        for _ in range(args.runs):
            for name, command in zip(names, (copy, copy, job), strict=True):
                options = {"SPARK_SUBMIT_OPTS": AS_IT_COMES} if name == names[0] else {}
                runs[name].append(measure_checked(command, env={**env, **options}))
                for made in folder.iterdir():
                    shutil.rmtree(made)
    best = {name: min(of_one, key=lambda run: run.cpu_s) for name, of_one in runs.items()}
    print(f"{machine()}\n{megabytes:.1f} MB of text, best of {args.runs} by CPU seconds\n")
    header = ("", "CPU s", "all runs", "wall s", "MB per CPU-s", "peak RSS, MB", "largest Python worker, MB")
    rows = [
        (
            name,
            f"{run.cpu_s:.1f}",
            " ".join(f"{other.cpu_s:.1f}" for other in runs[name]),
            f"{run.wall_s:.1f}",
            f"{megabytes / run.cpu_s:.2f}",
            f"{run.peak_rss_mb:,.0f}",
            f"{max(run.worker_peaks_mb, default=0):,.0f}",
        )
        for name, run in best.items()
    ]
    print_table(header, rows)
    print(f"\nratio to the copy with our options {best[names[2]].cpu_s / best[names[1]].cpu_s:.2f}")
    print(f"ratio {best[names[2]].cpu_s / best[names[0]].cpu_s:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
