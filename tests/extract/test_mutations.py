"""Ten thousand records that are wrong somewhere: none crashes or hangs the task, and each is accounted for."""

import io
import random
from collections import Counter

import pytest
from mutations import mutated
from warc_files import html

from sparkprep.extract.outcomes import CRASHED, REASONS, TOO_SLOW, outcomes
from sparkprep.extract.page_process import PageFailed, PageProcess
from sparkprep.extract.settings import ExtractSettings

SECONDS = 5.0
SETTINGS = ExtractSettings(max_bytes=2_000_000, max_seconds=SECONDS)
WORDS = "<ul><li>one<li><a href='/x'>two</a></ul><table><tr><td>1<td>2</table><pre>a\n b</pre><p>Größe 中文 &eacute; "
BODIES = [html(n, WORDS * (n % 7)) for n in range(50)]


def reasons_of(count: int, seed: int) -> Counter[str]:
    """Extract so many mutated records in archives of 100, and return how many gave what; "" for documents."""
    random_, pages, counts = random.Random(seed), PageProcess(SECONDS), Counter[str]()
    try:
        for _ in range(count // 100):
            archive = b"".join(mutated(random_, BODIES) for _ in range(100))
            counts.update(each.reason for each in outcomes(io.BytesIO(archive), "a", SETTINGS, pages))
    finally:
        pages.close()
    return counts


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_mutated_record_crashes_or_hangs(count: int) -> None:
    counts = reasons_of(count, seed=count)
    assert counts[CRASHED] == counts[TOO_SLOW] == 0
    assert counts.keys() <= {"", *REASONS}
    assert counts[""] > count / 4


def test_a_process_that_hangs_or_dies_is_replaced() -> None:
    pages = PageProcess(SECONDS)
    try:
        process = pages._running()
        process.kill()
        with pytest.raises(PageFailed, match="crashed"):
            pages.page_of(BODIES[1], "text/html", "blocks")
        assert "paragraph" in pages.page_of(html(1), "text/html", "blocks").text
        slow = PageProcess(0.2)
        with pytest.raises(PageFailed, match="too slow"):
            slow.page_of(b"<div>" * 100_000 + b"x", "text/html", "resiliparse")
        assert slow._process is None
    finally:
        pages.close()


def test_an_extractor_that_raises_fails_for_that_page_alone() -> None:
    pages = PageProcess(SECONDS)
    try:
        with pytest.raises(PageFailed, match="crashed"):
            pages.page_of(b"<p>x", "text/html", "no such extractor")
        assert pages.page_of(b"<p>x", "text/html", "blocks").text == "x"
    finally:
        pages.close()
