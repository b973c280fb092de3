"""A small corpus with near-duplicates of every closeness, and its truth by brute force with Python sets."""

import random
import re
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def documents(seed: int = 1, families: int = 40) -> list[dict[str, object]]:
    """Rows of (id, url, text, score): unrelated texts, and copies of some with 0 to 30 words changed."""
    rng = random.Random(seed)
    words = [f"w{n:x}" for n in range(3000)]
    rows: list[dict[str, object]] = []
    for family in range(families):
        base = [rng.choice(words) for _ in range(rng.randrange(20, 250))]
        for copy in range(rng.choice([1, 1, 2, 3, 6])):
            text = list(base)
            for _ in range(rng.choice([0, 0, 1, 2, 4, 8, 30]) if copy else 0):
                text[rng.randrange(len(text))] = rng.choice(words)
            joined = " ".join(text)
            if rng.random() < 0.2:
                joined = joined.upper().replace(" ", ", ")
            rows.append({"url": f"https://site{family % 7}.example/{family}/{copy}", "text": joined})
    for row in rows:
        row["score"] = rng.randrange(10)
        row["id"] = f"{rng.getrandbits(40):010x}"
    return rows


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()


def true_pairs(rows: list[dict[str, object]], threshold: float) -> dict[tuple[str, str], float]:
    """{(id, id) in order: Jaccard} of all pairs at or above the threshold."""
    sets = {str(row["id"]): shingles(str(row["text"])) for row in rows}
    found = {}
    for a, b in combinations(sorted(sets), 2):
        union = len(sets[a] | sets[b])
        similarity = len(sets[a] & sets[b]) / union if union else 0.0
        if similarity >= threshold:
            found[a, b] = similarity
    return found


def leaders(rows: list[dict[str, object]], pairs: dict[tuple[str, str], float], order: object) -> set[str]:
    """The ids that stay under rule `leader`: each one that no earlier kept one is paired with."""
    near: dict[str, set[str]] = {}
    for a, b in pairs:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    kept: set[str] = set()
    for row in sorted(rows, key=order):  # type: ignore[arg-type]
        if not near.get(str(row["id"]), set()) & kept:
            kept.add(str(row["id"]))
    return kept


def write(path: Path, rows: list[dict[str, object]], files: int = 1) -> str:
    """Write the rows as that many Parquet files in a folder."""
    path.mkdir(parents=True)
    for number in range(files):
        pq.write_table(
            pa.Table.from_pylist(rows[number::files]), path / f"part-{number:03d}.parquet", row_group_size=50
        )
    return str(path)
