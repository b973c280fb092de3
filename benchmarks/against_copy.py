"""What job.py and tokens.py share: a job and Spark's own copy of the same Parquet, measured in turns.

The copy (read, write with snappy) is a process of its own with the same driver memory and cores: once as Spark comes,
once with the options for Java that our sessions set, which make a copy cheaper too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common import ROOT, add_spark_arguments, require_text, scratch, spark_environment, subset, text_megabytes
from figures import machine, print_table
from measure import Measured, measure_checked

AS_IT_COMES = "-XX:+TieredCompilation"
"""Java's default, said aloud: sessions of ours leave the compiler alone where its options are set."""
COPY, TUNED = "Spark copy", "the same, our options"


def parser(about: str | None) -> argparse.ArgumentParser:
    """--data, --runs and Spark's arguments."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: embedded 10k)")
    made.add_argument("--runs", type=int, default=3, help="of each, in turns; the best counts (default 3)")
    add_spark_arguments(made)
    return made


def compare(
    args: argparse.Namespace,
    name: str,
    job: Callable[[Path, Path], Sequence[str]],
    start: Sequence[str] = (sys.executable,),
    look: Callable[[Path], str] | None = None,
) -> None:
    """Measure and print. job: (data, scratch folder) -> its command. look: what to say of the folder a job has left."""
    data = require_text(args.data) if args.data else subset("10k").documents
    megabytes, told = text_megabytes(data), ""
    env = spark_environment(args.driver_memory, args.cores, args.conf)
    runs: dict[str, list[Measured]] = {COPY: [], TUNED: [], name: []}
    with scratch(args.temp) as folder:
        copy = [*start, str(ROOT / "benchmarks" / "spark_copy.py"), str(data), str(folder / "copy")]
        for _ in range(args.runs):
            for which in runs:
                command = job(data, folder) if which == name else copy
                options = {"SPARK_SUBMIT_OPTS": AS_IT_COMES} if which == COPY else {}
                runs[which].append(measure_checked(list(command), env={**env, **options}))
                if which == name and look is not None:
                    told = look(folder)
                for made in folder.iterdir():
                    shutil.rmtree(made)
    print(f"{machine()}\n{megabytes:.1f} MB of text{told}\nbest of {args.runs} by CPU seconds\n")
    _print(megabytes, runs)
    for note in sorted({run.note for of_one in runs.values() for run in of_one if run.note}):
        print(f"note: {note}")
    cpu = {which: min(run.cpu_s for run in of_one) for which, of_one in runs.items()}
    print(f"\nratio to the copy with our options {cpu[name] / cpu[TUNED]:.2f}\nratio {cpu[name] / cpu[COPY]:.2f}")


def _print(megabytes: float, runs: dict[str, list[Measured]]) -> None:
    rows = []
    for which, of_one in runs.items():
        run = min(of_one, key=lambda one: one.cpu_s)
        rows.append(
            (
                which,
                f"{run.cpu_s:.1f}",
                " ".join(f"{other.cpu_s:.1f}" for other in of_one),
                f"{run.wall_s:.1f}",
                f"{megabytes / run.cpu_s:.2f}",
                f"{run.peak_rss_mb:,.0f}",
                f"{max(run.worker_peaks_mb, default=0):,.0f}",
            )
        )
    print_table(("", "CPU s", "all runs", "wall s", "MB per CPU-s", "peak RSS, MB", "largest Python worker, MB"), rows)
