"""The loop that people write with datasketch: python benchmarks/peer_datasketch.py IN OUT.parquet

In the order of the documents: whose signature finds an earlier one in the index goes, any other stays and is inserted.
Nothing is checked against the texts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
from datasketch import MinHash, MinHashLSH
from kernel import shingles


def deduplicate(source: Path, target: Path, threshold: float = 0.8, num_perm: int = 128) -> int:
    """Write the rows that stay, all columns, as snappy Parquet; the number of those that go."""
    index = MinHashLSH(threshold=threshold, num_perm=num_perm)
    removed = place = 0
    writer: pq.ParquetWriter | None = None
    for batch in ds.dataset(source, format="parquet").to_batches(batch_size=1000):
        stay = []
        made = MinHash.generator((shingles(text or "") for text in batch["text"].to_pylist()), num_perm=num_perm)
        for signature in made:
            keep = signature.is_empty() or not index.query(signature)
            if keep and not signature.is_empty():
                index.insert(place, signature)
            place += 1
            stay.append(keep)
        writer = writer or pq.ParquetWriter(target, batch.schema, compression="snappy")
        writer.write_batch(batch.filter(stay))
        removed += stay.count(False)
    if writer is not None:
        writer.close()
    return removed


if __name__ == "__main__":
    print(deduplicate(Path(sys.argv[1]), Path(sys.argv[2])))
