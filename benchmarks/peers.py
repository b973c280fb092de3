"""Near-duplicate removal at Jaccard 0.8 by three tools on one data file: cost of the whole process, recall, precision.

  datasketch   MinHash(128) and MinHashLSH in a plain Python loop (peer_datasketch.py)
  mllib        Spark MLlib, HashingTF, MinHashLSH, approxSimilarityJoin (peer_mllib.py)
  sparkprep    jobs/dedup.py

Each reads the same Parquet and writes the documents that stay as snappy Parquet. Recall: true pairs (Jaccard >= 0.8) of
which not both documents stay. Precision: removed documents that are in a true pair with one that stays.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from common import (
    ROOT,
    add_spark_arguments,
    job_command,
    require_text,
    scratch,
    spark_environment,
    subset,
    text_megabytes,
)
from figures import machine, print_table
from measure import Measured, measure_checked

from sparkprep.grade.figures import Figure
from sparkprep.grade.grading import Grade, grade

TOOLS = ("datasketch", "mllib", "sparkprep")
NAMES = {"datasketch": "datasketch LSH loop", "mllib": "Spark MLlib", "sparkprep": "sparkprep"}
THRESHOLD = 0.8


def command(tool: str, data: Path, folder: Path) -> tuple[list[str], Path]:
    """What to run, and where the documents that stay will lie."""
    if tool == "datasketch":
        kept = folder / "kept.parquet"
        return [sys.executable, str(ROOT / "benchmarks" / "peer_datasketch.py"), str(data), str(kept)], kept
    if tool == "mllib":
        kept = folder / "kept"
        return [sys.executable, str(ROOT / "benchmarks" / "peer_mllib.py"), str(data), str(kept)], kept
    return job_command(data, folder / "job", "--threshold", str(THRESHOLD)), folder / "job" / "kept"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="Parquet with id and text (default: embedded 10k)")
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="its true pairs: Parquet with id_a, id_b, jaccard")
    parser.add_argument("--runs", type=int, default=1, help="of each, in turns; the best counts (default 1)")
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=TOOLS, help="leave the others out")
    add_spark_arguments(parser)
    args = parser.parse_args()
    if args.data is None:
        embedded = subset("10k")
        args.data, args.pairs = embedded.documents, args.pairs or embedded.pairs
    data = require_text(args.data)
    megabytes = text_megabytes(data)
    env = spark_environment(args.driver_memory, args.cores, args.conf)
    runs: dict[str, list[Measured]] = {tool: [] for tool in args.only}
    grades: dict[str, Grade] = {}
    with scratch(args.temp) as folder:
        for _ in range(args.runs):
            for tool in args.only:
                (folder / tool).mkdir()
                line, kept = command(tool, data, folder / tool)
                runs[tool].append(measure_checked(line, env=env))
                if args.pairs and tool not in grades:
                    grades[tool] = grade(str(kept), str(args.pairs), threshold=THRESHOLD, input=str(data))
                shutil.rmtree(folder / tool)
    print(f"{machine()}\n{data.name}, {megabytes:.1f} MB of text, best of {args.runs}, start-up included\n")
    header = ("", "CPU s", "wall s", "MB per CPU-s", "recall of true pairs", "precision of removals", "removed")
    print_table(header, [_row(tool, runs[tool], megabytes, grades.get(tool)) for tool in args.only])
    for note in sorted({run.note for of_one in runs.values() for run in of_one if run.note}):
        print(f"note: {note}")
    return 0


def _row(tool: str, runs: list[Measured], megabytes: float, graded: Grade | None) -> tuple[str, ...]:
    best = min(runs, key=lambda run: run.cpu_s)
    judged = ("-", "-", "-")
    if graded is not None:
        judged = (_figure(graded.recall), _figure(graded.precision), f"{graded.counts['removed']:,}")
    return (NAMES[tool], f"{best.cpu_s:.1f}", f"{best.wall_s:.1f}", f"{megabytes / best.cpu_s:.2f}", *judged)


def _figure(figure: Figure) -> str:
    return "-" if figure.value is None else f"{figure.value:.4f}"


if __name__ == "__main__":
    sys.exit(main())
