"""The library's example in the README runs as it stands, from archives of a crawl to shards."""

import re
from pathlib import Path

import pytest
from checkout import ROOT
from pyspark.sql import SparkSession
from warc_files import answer, archive, html, record

TEXT = """\
The harbour of the town number {n} lies behind a wall that was built to keep the winter storms away, in the year {n}.
Write to jo{n}@example.net if you will come: fishermen mend nets there in the morning, and by noon their boats have
gone out again with the tide. A narrow street leads up to a square, where on Saturdays farmers sell apples and honey.
{words}."""


def page(number: int) -> bytes:
    """Return a page that no other is like, and that the rules of curation let through."""
    words = " ".join(f"{name}{number}" for name in ("island", "chapel", "lighthouse", "meadow", "orchard", "quarry"))
    text = TEXT.format(n=number, words=f"There are the {words} " + f"and the ferry of captain {number}" * 3)
    return record("response", answer(html(number, text)), f"https://example.org/{number}", WARC_Record_ID=str(number))


@pytest.mark.slow
def test_the_example_of_the_readme_runs(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl" / "a.warc.gz").write_bytes(archive([*map(page, range(40)), page(7)]))
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("As a library:")[2]
    code = re.search(r"```python\n(.+?)```", section, re.DOTALL)
    assert code is not None
    made: dict[str, object] = {}
    exec(code[1], made)
    pages, good, clean = (made[name].metrics for name in ("pages", "good", "clean"))  # type: ignore[attr-defined]
    assert (pages["documents"], good["counts"]["kept"], clean["counts"]["kept"]) == (41, 41, 40)
    assert good["personal"]["email"] == 41
    assert list((tmp_path / "shards").glob("*_val_*.bin"))
