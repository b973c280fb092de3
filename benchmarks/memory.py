"""Memory of the Python workers on long documents: row groups of 1,000 x 200 kB and of 20 x 50 MB.

The documents are pseudo-English from a seeded generator, one in ten a near-duplicate of the one before. Takes 4 GB of
disk at full size. Ends with exit code 1 where a worker has used more than the limit.

A page of the files holds one document. By default PyArrow and Spark look at a page's size every thousand or hundred
values only, so that one page holds a whole row group: --whole-pages writes that. Spark 3.5 decompresses a snappy page
in time that grows with the square of its size (PARQUET-2429, mended in Parquet 1.14 and so in Spark 4).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from common import add_spark_arguments, job_command, scratch, spark_environment
from figures import machine
from measure import measure_checked

LIMIT_MB = 1000.0
WORDS = 20_000
NEAR = 10
"""Every so many documents, one is the one before with one word in a hundred changed: a Jaccard near 0.9."""


@dataclass(frozen=True)
class Case:
    """`groups` row groups of `rows` documents of about `size` bytes."""

    name: str
    groups: int
    rows: int
    size: int


CASES = (Case("200kB", 4, 1000, 200_000), Case("50MB", 1, 20, 50_000_000))


def vocabulary(seed: int) -> pa.Array:
    """WORDS pseudo-words of one to four syllables, then the same with a comma, then with a full stop."""
    rng = np.random.default_rng(seed)
    onsets, vowels, codas = [*"bcdfghlmnprstvw", "st", "tr", "pl"], "aeiou", ["", *"nrstl", "nd", "st"]
    syllables = np.array([o + v + c for o in onsets for v in vowels for c in codas])
    words: dict[str, None] = {}
    while len(words) < WORDS:
        words["".join(rng.choice(syllables, rng.integers(1, 5)))] = None
    return pa.array([word + mark for mark in ("", ",", ".") for word in words])


def documents(case: Case, seed: int) -> Iterator[pa.Table]:
    """The row groups, as tables of id, url and text."""
    rng, words = np.random.default_rng(seed), vocabulary(seed)
    mean_word = pc.mean(pc.binary_length(words.take(pa.array(_draw(rng, 100_000))))).as_py() + 1
    length = max(5, round(case.size / mean_word))
    chosen = _draw(rng, length)
    for group in range(case.groups):
        texts = []
        for row in range(case.rows):
            if row % NEAR == NEAR - 1:
                places = rng.integers(0, length, max(1, length // 100))
                chosen[places] = _draw(rng, len(places))
            else:
                chosen = _draw(rng, length)
            texts.append(_join(words, chosen))
        ids = [f"{case.name}-{group:03}-{row:06}" for row in range(case.rows)]
        urls = [f"https://long.example/{name}" for name in ids]
        yield pa.table({"id": ids, "url": urls, "text": pa.chunked_array(texts)})


def _draw(rng: np.random.Generator, count: int) -> npt.NDArray[np.int32]:
    """Numbers in the vocabulary, small ones far more often, one word in seven with a mark."""
    plain = (WORDS * rng.random(count, np.float32) ** 3).astype(np.int32)
    marked = rng.integers(0, 14, count, np.int32)
    return np.minimum(plain, WORDS - 1) + WORDS * np.where(marked < 2, marked + 1, 0).astype(np.int32)


def _join(words: pa.Array, chosen: npt.NDArray[np.int32]) -> pa.Array:
    ends = pa.array([0, len(chosen)], pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(ends, words.take(pa.array(chosen))), " ")


def write(case: Case, path: Path, seed: int, whole_pages: bool = False) -> float:
    """Write the documents of a case as one Parquet file; MB of text."""
    writer: pq.ParquetWriter | None = None
    size = 0
    for table in documents(case, seed):
        writer = writer or pq.ParquetWriter(
            path,
            table.schema,
            compression="snappy",
            use_dictionary=whole_pages,
            write_batch_size=None if whole_pages else 1,
        )
        writer.write_table(table, row_group_size=case.rows)
        size += pc.sum(pc.binary_length(table["text"])).as_py()
        del table
    if writer is not None:
        writer.close()
    pa.default_memory_pool().release_unused()  # the job is to have the machine
    return size / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[case.name for case in CASES], help="this one only")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the documents' lengths (default 1; less for a try)"
    )
    parser.add_argument("--limit", type=float, default=LIMIT_MB, metavar="MB", help="of a worker (default 1000)")
    parser.add_argument("--whole-pages", action="store_true", help="all documents of a row group in one page")
    parser.add_argument("--seed", type=int, default=1)
    add_spark_arguments(parser)
    args = parser.parse_args()
    print(machine())
    over = 0
    for case in CASES:
        if args.case in (None, case.name):
            scaled = Case(case.name, case.groups, case.rows, round(case.size * args.scale))
            over += sum(peak > args.limit for peak in _run(scaled, args))
    print("\nall within the limit" if not over else f"\n{over} workers OVER the limit of {args.limit:,.0f} MB")
    return 1 if over else 0


def _run(case: Case, args: argparse.Namespace) -> tuple[float, ...]:
    """Write, run the job, print; the peak of each worker in MB."""
    with scratch(args.temp) as folder:
        source = folder / f"{case.name}.parquet"
        megabytes = write(case, source, args.seed, args.whole_pages)
        shape = f"{case.groups} row groups of {case.rows:,} x {case.size:,} bytes"
        print(f"\n{shape}, {megabytes:,.0f} MB of text", flush=True)
        env = spark_environment(args.driver_memory, args.cores, args.conf)
        measured = measure_checked(job_command(source, folder / "job"), env=env)
        counts = json.loads((folder / "job" / "metrics.json").read_text())["counts"]
        shutil.rmtree(folder / "job")
    print(f"{counts['input']:,} documents, {counts['removed']:,} removed")
    print(f"{measured.cpu_s:.1f} CPU s, {measured.wall_s:.1f} s, peak RSS of the whole {measured.peak_rss_mb:,.0f} MB")
    for number, peak in enumerate(measured.worker_peaks_mb, 1):
        print(f"Python worker {number}: peak {peak:,.0f} MB  {'ok' if peak <= args.limit else 'OVER'}")
    if not measured.worker_peaks_mb:
        raise SystemExit("no Python worker was seen: nothing was measured")
    return measured.worker_peaks_mb


if __name__ == "__main__":
    sys.exit(main())
