"""Text to GPT-2's ids on one core: our tokenizer against tiktoken's `encode_ordinary`, on the same documents in turns.

Seconds are CPU seconds of this process. Both begin with an Arrow array and end with ids: ours with its arrays, tiktoken
with its lists. Ours remembers words, so each run starts with a new tokenizer; the ratio is that of the first sight of
the text. The ids are compared too.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import tiktoken
from common import require_text, subset
from figures import machine, print_table
from kernel import load

from sparkprep.tokenizer.tokenizer import Tokenizer, _engine
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, PATTERN, ranks


def ours(tokenizer: Tokenizer, texts: pa.ChunkedArray) -> tuple[float, list[np.ndarray]]:
    """CPU seconds, and the ids of each chunk."""
    start = time.process_time()
    found = [tokenizer.encode(chunk)[0] for chunk in texts.chunks]
    return time.process_time() - start, found


def theirs(encoding: tiktoken.Encoding, texts: pa.ChunkedArray) -> tuple[float, list[list[list[int]]]]:
    """The same for tiktoken."""
    start = time.process_time()
    found = [[encoding.encode_ordinary(text) for text in chunk.to_pylist()] for chunk in texts.chunks]
    return time.process_time() - start, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet with a column text (default: embedded 10k)")
    parser.add_argument("--megabytes", type=float, default=100, help="take texts up to so many MB (default 100)")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turns; the best counts (default 3)")
    args = parser.parse_args()
    texts = load(require_text(args.data) if args.data else subset("10k").documents, args.megabytes)
    megabytes = sum(len(text.encode()) for text in texts.to_pylist()) / 1e6
    encoding = tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=dict(ranks()), special_tokens={"<|endoftext|>": END_OF_TEXT}
    )
    seconds = []
    for _ in range(args.runs):
        _engine.cache_clear()  # a new one, which has not seen the words yet
        tokenizer = Tokenizer("fastokens")
        first, ids = ours(tokenizer, texts)
        second, _ = ours(tokenizer, texts)
        other, lists = theirs(encoding, texts)
        seconds.append((first, second, other))
        for chunk, known in zip(ids, lists, strict=True):
            if chunk.tolist() != [i for one in known for i in one]:
                raise SystemExit("the ids differ from tiktoken's")
        del ids, lists
    first, second, other = (min(column) for column in zip(*seconds, strict=True))
    print(f"{machine()}\n{len(texts):,} documents, {megabytes:.1f} MB, best of {args.runs}, the ids the same\n")
    rows = [
        ("sparkprep.tokens, first sight", f"{first:.2f}", f"{megabytes / first:.1f}"),
        ("the same, once more", f"{second:.2f}", f"{megabytes / second:.1f}"),
        ("tiktoken encode_ordinary", f"{other:.2f}", f"{megabytes / other:.1f}"),
    ]
    print_table(("text to ids", "CPU s", "MB per CPU-s"), rows)
    print(f"\nratio {other / first:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
