"""What the benchmarks share: the data, how a Spark job is started, and how figures are printed."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sparkprep.sample import Subset, embedded

ROOT = Path(__file__).resolve().parents[1]
JOB = ROOT / "jobs" / "dedup.py"


def add_spark_arguments(parser: argparse.ArgumentParser) -> None:
    """--driver-memory, --cores, --conf and --temp."""
    parser.add_argument("--driver-memory", default="4g", metavar="SIZE", help="of every Spark process (default 4g)")
    parser.add_argument("--cores", default="*", metavar="N", help="tasks at once, as in local[N] (default: all cores)")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting of Spark's")
    add_temp_argument(parser)


def add_temp_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--temp", type=Path, metavar="FOLDER", help="where to write (default: the system's)")


def submit_options(cores: str, conf: Sequence[str] = ()) -> list[str]:
    """For spark-submit."""
    return ["--master", f"local[{cores}]", *(word for setting in conf for word in ("--conf", setting))]


def spark_environment(driver_memory: str, cores: str, conf: Sequence[str] = ()) -> dict[str, str]:
    """Variables with which a script of ours, run by plain Python, starts Spark so."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        "SPARK_DRIVER_MEMORY": driver_memory,
        "PYSPARK_SUBMIT_ARGS": shlex.join([*submit_options(cores, conf), "pyspark-shell"]),
        "PYTHONPATH": path,
    }


def job_command(data: Path, output: Path, *options: str, python: str = sys.executable) -> list[str]:
    """The job on `data`, by plain Python."""
    return [python, str(JOB), "--input", str(data), "--output", str(output), *options]


def subset(size: str) -> Subset:
    """An embedded subset, "1k" or "10k"; built on first use."""
    return embedded("1k" if size == "1k" else "10k", announce=lambda line: print(line, file=sys.stderr))


def require_text(data: Path, column: str = "text") -> Path:
    """`data`, a Parquet file or a folder of such with a text column; ends the benchmark where it is not."""
    if not data.exists():
        raise SystemExit(f"--data {data}: there is no such file or folder")
    names = ds.dataset(data, format="parquet").schema.names
    if column not in names:
        raise SystemExit(f"--data {data}: no column {column!r} among {', '.join(names)}")
    return data


def text_megabytes(data: Path, column: str = "text") -> float:
    """UTF-8 bytes of all texts, in MB of 1,000,000."""
    batches = ds.dataset(data, format="parquet").to_batches(columns=[column], batch_size=512)
    return sum(_bytes(batch[column]) for batch in batches) / 1e6


def _bytes(texts: pa.Array) -> int:
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """A temporary folder, gone at the end."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="sparkprep-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
