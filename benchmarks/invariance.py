"""The same rows whatever the partitions, the order and the workers: digests over kept/ and removed/ of several runs.

The input is written as 1, 3 and 16 files, its rows as they are and shuffled, and handed to the job with two workers and
with one. --python adds the same runs with the Python of another environment, for instance one with Spark 4. Ends with
exit code 1 where two digests differ.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from common import add_temp_argument, job_command, require_text, scratch, spark_environment, subset
from figures import machine, print_table
from measure import measure_checked


@dataclass(frozen=True)
class Variant:
    files: int
    shuffled: bool
    workers: int


VARIANTS = (
    Variant(1, False, 2),
    Variant(3, False, 2),
    Variant(16, False, 2),
    Variant(16, True, 2),
    Variant(1, False, 1),
    Variant(3, True, 1),
)


def split(table: pa.Table, folder: Path, files: int, order: np.random.Generator | None) -> None:
    """Write the rows as so many Parquet files, those of the input's order or of a random one."""
    folder.mkdir(parents=True)
    rows = order.permutation(len(table)) if order else np.arange(len(table))
    for number, part in enumerate(np.array_split(rows, files)):
        piece = table.take(pa.array(part)) if order else table.slice(part[0] if len(part) else 0, len(part))
        pq.write_table(piece, folder / f"part-{number:05}.parquet", compression="snappy")


def digest(folder: Path) -> tuple[int, str]:
    """Number of rows, and a hash over column names, types and rows, in whatever order and files they lie.

    Rows are put in the order of `id` and of a hash of each row, so that equal rows count as often as they occur.
    """
    found = ds.dataset(folder, format="parquet")
    names = sorted(found.schema.names)
    rows: list[tuple[str, bytes]] = []
    for batch in found.to_batches(columns=names, batch_size=512):
        for row in batch.to_pylist():
            rows.append((str(row.get("id")), hashlib.sha256(repr(list(row.items())).encode()).digest()))
    total = hashlib.sha256(repr([(name, str(found.schema.field(name).type)) for name in names]).encode())
    for _, row_hash in sorted(rows):
        total.update(row_hash)
    return len(rows), total.hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: embedded 1k)")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="run with this one too")
    parser.add_argument("--variants", type=int, default=len(VARIANTS), metavar="N", help="only the first so many")
    parser.add_argument("--rule", default="leader", help="of the job (default leader)")
    parser.add_argument("--driver-memory", default="4g", metavar="SIZE", help="of the job (default 4g)")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffling (default 1)")
    add_temp_argument(parser)
    args = parser.parse_args()
    data = require_text(args.data) if args.data else subset("1k").documents
    table = ds.dataset(data, format="parquet").to_table()
    print(f"{machine()}\n{len(table):,} rows\n")
    pythons = [sys.executable, *args.python]
    rows, found = [], set()
    with scratch(args.temp) as folder:
        for variant in VARIANTS[: args.variants]:
            order = np.random.default_rng(args.seed) if variant.shuffled else None
            split(table, folder / "input", variant.files, order)
            for number, python in enumerate(pythons):
                env = spark_environment(args.driver_memory, str(variant.workers))
                line = job_command(folder / "input", folder / "job", "--rule", args.rule, python=python)
                measure_checked(line, env=env)
                kept, removed = digest(folder / "job" / "kept"), digest(folder / "job" / "removed")
                found.add((kept, removed))
                arrangement = f"{variant.files}{', shuffled' if variant.shuffled else ''}"
                shown = [f"{count:,} {hashed}" for count, hashed in (kept, removed)]
                rows.append((arrangement, str(variant.workers), str(number + 1), *shown))
                shutil.rmtree(folder / "job")
            shutil.rmtree(folder / "input")
    print_table(("files", "workers", "Python", "kept/", "removed/"), rows)
    for number, python in enumerate(pythons):
        print(f"{'' if number else chr(10)}Python {number + 1}: {python}")
    print("\nsame" if len(found) == 1 else "\nDIFFERENT")
    return 0 if len(found) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
