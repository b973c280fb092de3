"""A finished run whose every decision is known, with hostile names and texts in it."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from dedup_runs import prose, with_changed
from pyspark.sql import SparkSession

from sparkprep import Settings, deduplicate

HOSTILE_ID = "</bdi><script>document.title='taken'</script>\u202e\x1b[31m\n'\"&"
HOSTILE_TEXT = "<img src=x onerror=\"document.title='taken'\"> \x1b[2J {{ 7 * 7 }} " + prose(99, words=60)
FAMILIES = 70
"""Of two documents: more than stand on a page."""
LARGE = 60
"""Documents removed for one: more than stand on a page."""
SURE = Settings(bands=42, rows=3)


@dataclass(frozen=True)
class Audited:
    """The result's folder, and the input that it was made of, by its rows."""

    folder: Path
    rows: list[dict[str, str]]

    def place(self, name: str) -> int:
        """The place of the row with an identifier."""
        return next(place for place, row in enumerate(self.rows) if row["id"] == name)


def documents() -> list[dict[str, str]]:
    """Families of two that differ in a word, a large family of exact copies, a near miss, and hostile ones."""
    rows = []
    for number in range(FAMILIES):
        text = prose(number, words=60)
        url = f"https://site{number % 3}.example/{number}"
        rows.append({"id": f"kept-{number:03d}", "url": url, "text": text + " extraordinarily"})
        changed = with_changed(text, 3 + number % 40)
        rows.append({"id": f"gone-{number:03d}", "url": f"https://mirror.example/{number}", "text": changed})
    large = prose(500, words=50)
    rows.append({"id": "large", "url": "https://large.example/", "text": large + "!!"})
    rows += [{"id": f"copy-{n:02d}", "url": f"https://copies.example/{n}", "text": large} for n in range(LARGE)]
    base = prose(600, words=80)
    rows.append({"id": "miss-long", "url": "https://miss.example/long", "text": base + "!"})
    rows.append({"id": "miss-short", "url": "https://miss.example/short", "text": with_changed(base, 20, 50)})
    rows.append({"id": "alone", "url": "https://alone.example/", "text": prose(700)})
    rows.append({"id": "50%_off", "url": "https://hostile.example/%41", "text": HOSTILE_TEXT + " and some more"})
    rows.append({"id": HOSTILE_ID, "url": "javascript:document.title='taken'", "text": HOSTILE_TEXT})
    return rows


def make(spark: SparkSession, folder: Path) -> Audited:
    """Run over `documents`, in several row groups, into a folder of this one."""
    rows = documents()
    (folder / "in").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "in" / "docs.parquet", row_group_size=40)
    deduplicate(folder / "in", SURE, output=folder / "clean", spark=spark)
    return Audited(folder / "clean", rows)
