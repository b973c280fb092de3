"""Text to signature on one core: our kernels against datasketch.MinHash(128), on the same documents in the same run.

Both make their own 5-word shingles from the text. datasketch gets Python strings, a compiled regular expression,
shingles joined as bytes, and one set of permutations for all documents (`MinHash.generator`, which calls
`update_batch`): the fastest of the ways tried. Seconds are CPU seconds of this process, so threads would not help.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from common import require_text, subset
from datasketch import MinHash
from figures import machine, print_table

from sparkprep.dedup.kernels.sketch import sketch

WORD = re.compile(r"[^\W_]+")
BATCH = 512
"""Documents at a time, as in the job."""
LEAST = 0.5
"""Seconds that a timing lasts at the least; a thousand documents take a hundredth of that."""


def shingles(text: str) -> list[bytes]:
    """All runs of five words of the lower-cased text, repeats included; of a shorter text, all its words."""
    words = [word.encode() for word in WORD.findall(text.lower())]
    if 0 < len(words) < 5:
        return [b" ".join(words)]
    return list(map(b" ".join, zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)))


def load(data: Path, megabytes: float) -> pa.ChunkedArray:
    """Texts from the beginning of `data`, up to so many MB."""
    chunks: list[pa.Array] = []
    size = 0
    for batch in ds.dataset(data, format="parquet").to_batches(columns=["text"], batch_size=BATCH):
        texts = batch["text"].drop_null().cast(pa.string())
        chunks.append(texts)
        size += texts.nbytes
        if size >= megabytes * 1e6:
            break
    return pa.chunked_array(chunks, pa.string())


def ours(texts: pa.ChunkedArray) -> float:
    """CPU seconds, as a mean over the repetitions that half a second has room for."""
    start, repetitions = time.process_time(), 0
    while (spent := time.process_time() - start) < LEAST or not repetitions:
        for chunk in texts.chunks:
            sketch(chunk)
        repetitions += 1
    return spent / repetitions


def theirs(texts: Sequence[str]) -> float:
    """CPU seconds."""
    start = time.process_time()
    for _ in MinHash.generator(_shingled(texts), num_perm=128):
        pass
    return time.process_time() - start


def _shingled(texts: Sequence[str]) -> Iterator[list[bytes]]:
    return map(shingles, texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet with a column text (default: embedded 1k)")
    parser.add_argument("--megabytes", type=float, default=100, help="take texts up to so many MB (default 100)")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turns; the best counts (default 3)")
    args = parser.parse_args()
    data = require_text(args.data) if args.data else subset("1k").documents
    texts = load(data, args.megabytes)
    strings = texts.to_pylist()
    megabytes = sum(len(text.encode()) for text in strings) / 1e6
    sketch(pa.array(["compiled, or read from the cache, before the clock runs"]))
    seconds = [(ours(texts), theirs(strings)) for _ in range(args.runs)]
    best = [min(column) for column in zip(*seconds, strict=True)]
    print(f"{machine()}\n{len(strings):,} documents, {megabytes:.1f} MB, best of {args.runs}\n")
    names = ("sparkprep.dedup.kernels.sketch", "datasketch.MinHash(128)")
    rows = [(name, f"{s:.3f}", f"{megabytes / s:.1f}") for name, s in zip(names, best, strict=True)]
    print_table(("text to signature", "CPU s", "MB/s"), rows)
    print(f"\nratio {best[1] / best[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
