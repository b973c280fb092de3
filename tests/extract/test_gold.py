"""Main text on pages whose main text is known: the marks that a reader has made, and what the default reaches.

GOLDEN_DATA names a folder with pages.warc.gz and pages.gold.parquet, or with corpus/ that has them.
"""

import importlib
import os
import statistics
from pathlib import Path
from types import ModuleType

import pytest
from checkout import BENCHMARKS

from sparkprep.extract.main_text import page_of
from sparkprep.extract.settings import DEFAULT_EXTRACTOR


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)


def test_blocks_are_cut_at_borders_and_show_what_a_browser_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = script("marked_text", monkeypatch).visible_blocks
    html = (
        "<title>no</title><p>a <b>bo</b>ld&amp;new  word<br>line<script>'<p>'</script><td>cell<td><select>no</select>"
    )
    assert cut(html) == ["a bold&new word", "line", "cell"]


def test_marks_are_of_40_and_30_pages_and_copy_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = script("marked_text", monkeypatch)
    marks, unseen = marked.read_marks(), marked.read_marks(marked.UNSEEN)
    assert (len(marks), len(unseen)) == (40, 30)
    assert len({mark.sha256 for mark in marks + unseen}) == 70
    for mark in marks + unseen:
        assert mark.main == sorted(set(mark.main))
        assert 0 <= mark.main[0] <= mark.main[-1] < mark.blocks


def test_another_page_than_the_one_that_was_marked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = script("marked_text", monkeypatch)
    with pytest.raises(ValueError, match="not the page that was marked"):
        marked.marked_text(marked.read_marks()[0], b"<p>another")


@pytest.mark.golden
@pytest.mark.skipif("GOLDEN_DATA" not in os.environ, reason="GOLDEN_DATA names no folder")
@pytest.mark.parametrize(("which", "least"), [("articles", 0.95), ("marked", 0.95), ("unseen", 0.94)])
def test_the_default_reaches_what_the_documentation_says(
    which: str, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = script("extract", monkeypatch)
    folder = Path(os.environ["GOLDEN_DATA"])
    folder = folder if (folder / "pages.warc.gz").exists() else folder / "corpus"
    pages = benchmark.pages_of(folder / "pages.warc.gz")
    if which == "articles":
        gold = benchmark.gold_of(folder / "pages.gold.parquet", pages)
    else:
        gold = benchmark.marked_gold({"marked": benchmark.MARKS, "unseen": benchmark.UNSEEN}[which], pages)
    scores = [benchmark.score(page_of(*pages[url], DEFAULT_EXTRACTOR).text, gold[url])[2] for url in gold]
    assert len(scores) == {"articles": 129, "marked": 40, "unseen": 30}[which]
    assert statistics.mean(scores) > least
