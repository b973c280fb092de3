"""Ten thousand records that are wrong somewhere: none crashes or hangs the task, and each is accounted for."""

import gzip
import io
import random

import pytest
import zstandard
from mutations import mutated
from warc_files import Pack, answer, html, record

from sparkprep.extract.outcomes import CRASHED, REASONS, TOO_SLOW, outcomes
from sparkprep.extract.page_process import PageFailed, PageProcess
from sparkprep.extract.settings import ExtractSettings

SECONDS = 5.0
SETTINGS = ExtractSettings(max_bytes=2_000_000, max_seconds=SECONDS)
WORDS = "<ul><li>one<li><a href='/x'>two</a></ul><table><tr><td>1<td>2</table><pre>a\n b</pre><p>Größe 中文 &eacute; "
BODIES = [html(n, WORDS * (n % 7)) for n in range(50)]


PACKS: dict[str, tuple[Pack, int]] = {
    "gzip": (gzip.compress, 0),
    "zstd": (zstandard.ZstdCompressor(write_checksum=True).compress, 0),
    "plain": (bytes, 1),
}
"""How records are packed, and how many sound ones in a thousand damage may cost: without members, the length of one
that was cut short may happen to end where a later one does."""
SOUND = "https://example.org/sound/"


def urls_by_reason(count: int, seed: int, pack: Pack) -> dict[str, list[str]]:
    """Extract so many mutated records in archives of 100, a sound one behind each; return the URLs of the documents by
    "", and as many empty ones as records by any other reason."""
    random_, pages, found = random.Random(seed), PageProcess(SECONDS), dict[str, list[str]]()
    sound = pack(record("response", answer(html(1)), SOUND))
    try:
        for _ in range(count // 100):
            archive = b"".join(mutated(random_, BODIES, pack) + sound for _ in range(100))
            for each in outcomes(io.BytesIO(archive), "a", SETTINGS, pages):
                url = str(each.document["url"]) if each.document else ""
                found.setdefault(each.reason, []).append(url)
    finally:
        pages.close()
    return found


@pytest.mark.parametrize("packing", PACKS)
@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_mutated_record_crashes_hangs_or_costs_another(packing: str, count: int) -> None:
    pack, most_lost = PACKS[packing]
    found = urls_by_reason(count, count, pack)
    assert not found.keys() & {CRASHED, TOO_SLOW}
    assert found.keys() <= {"", *REASONS}
    assert count * (1 - most_lost / 1_000) <= found[""].count(SOUND) <= count
    assert len(found[""]) > count * 5 / 4


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
