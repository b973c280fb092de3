"""Main text out of pages: extractors side by side on gold text, and the whole job against its extractor alone.

Quality is the mean over pages of precision, recall and F1 of word multisets, as in the benchmarks of others: on the
gold text that is given, and on pages of the same archive whose main text was marked by hand (`marked/README.md`),
those apart on which no rule of an extractor was tried.
Seconds are CPU seconds of this process; the extractors take turns, so that they share a machine's better moments.
Libraries of others (beautifulsoup4, lxml, trafilatura) are measured where they can be imported, and told of where they
cannot.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pyarrow.parquet as pq
from common import ROOT, add_temp_argument, scratch, spark_environment
from figures import machine, print_table
from marked_text import MARKS, UNSEEN, marked_text, read_marks
from measure import measure_checked

from sparkprep.extract.bodies import answer_of, body_of
from sparkprep.extract.charset import decode
from sparkprep.extract.main_text import page_of
from sparkprep.extract.records import Record, read_records

WORD = re.compile(r"[^\W_]+")
LIMIT = 8_000_000
HTML = "text/html"
Body = tuple[bytes, str]
"""Bytes of a page, and the header Content-Type."""
Gold = dict[str, Counter[str]]
"""URL -> the words of its main text."""
PARAGRAPH = re.compile(rb"<p(?:\s[^>]*)?>([^<]*)</p>")
TURN = 500
"""Pages that an extractor takes at a turn."""
OWN = "ownword"
"""How the words begin that a varied page has of its own."""


def pages_of(archive: Path) -> dict[str, Body]:
    """URL -> page, of the HTML answers of an archive."""
    pages: dict[str, Body] = {}
    with archive.open("rb") as stream:
        for record in read_records(stream, LIMIT):
            answer = answer_of(record.block) if isinstance(record, Record) and record.type == "response" else None
            if isinstance(record, Record) and answer is not None and answer.status == 200:
                kind = answer.headers.get("content-type", "")
                if kind.startswith(HTML):
                    pages.setdefault(record.headers["warc-target-uri"], (body_of(answer, LIMIT).data, kind))
    return pages


def words(text: str) -> Counter[str]:
    """The words of a text, without those by which a page was varied: no gold text has them."""
    return Counter(word for word in WORD.findall(text.lower()) if not word.startswith(OWN))


def score(text: str, gold: Counter[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 of the words of a text."""
    mine = words(text)
    shared = (mine & gold).total()
    precision, recall = shared / max(1, mine.total()), shared / max(1, gold.total())
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def _beautiful_soup(parser: str) -> Callable[[Body], str]:
    soup_of = import_module("bs4").BeautifulSoup

    def extract(page: Body) -> str:
        soup = soup_of(page[0], parser)
        for tag in soup(["script", "style"]):
            tag.decompose()
        return str(soup.get_text(" "))

    return extract


def _trafilatura(**options: bool) -> Callable[[Body], str]:
    extract = import_module("trafilatura").extract
    return lambda page: extract(decode(*page).text, include_comments=False, **options) or ""


def _ours(name: str) -> Callable[[], Callable[[Body], str]]:
    return lambda: lambda page: page_of(*page, name).text


CONTENDERS: dict[str, Callable[[], Callable[[Body], str]]] = {
    "sparkprep, blocks (default)": _ours("blocks"),
    "sparkprep, resiliparse": _ours("resiliparse"),
    "sparkprep, all": _ours("all"),
    "BeautifulSoup, html.parser": lambda: _beautiful_soup("html.parser"),
    "BeautifulSoup, lxml": lambda: _beautiful_soup("lxml"),
    "trafilatura": _trafilatura,
    "trafilatura, fast": lambda: _trafilatura(fast=True),
}


def gold_of(path: Path, pages: dict[str, Body]) -> Gold:
    """The gold text of those of the pages that a Parquet file has it for."""
    return {row["uri"]: words(row["gold_text"]) for row in pq.read_table(path).to_pylist() if row["uri"] in pages}


def marked_gold(path: Path, pages: dict[str, Body]) -> Gold:
    """The gold text of those of the pages that a file has marks of."""
    return {mark.url: words(marked_text(mark, pages[mark.url][0])) for mark in read_marks(path) if mark.url in pages}


def loaded(page: Body) -> dict[str, Callable[[Body], str]]:
    """The extractors whose libraries can be imported, each tried on a page before it is timed."""
    extractors = {}
    for name, load in CONTENDERS.items():
        try:
            extractors[name] = load()
            extractors[name](page)
        except ImportError as error:
            print(f"{name}: not measured ({error})", file=sys.stderr)
            extractors.pop(name, None)
    return extractors


def compare(pages: dict[str, Body], golds: dict[str, Gold], count: int, every: int) -> None:
    """Print quality and speed of all extractors on so many pages, repeated and varied from those with gold text."""
    urls = [url for gold in golds.values() for url in gold]
    count = max(count, len(urls))
    extractors = loaded(pages[urls[0]])
    seconds, taken = dict.fromkeys(extractors, 0.0), dict.fromkeys(extractors, 0)
    scores: dict[str, dict[str, list[tuple[float, float, float]]]] = {
        name: {label: [] for label in golds} for name in extractors
    }
    stream = zip(itertools.cycle(urls), varied({url: pages[url] for url in urls}, count), strict=False)
    turns = iter(lambda: list(itertools.islice(stream, TURN)), [])
    for number, turn in enumerate(turns):
        for name, extract in extractors.items():
            if number % every and not name.startswith("sparkprep"):
                continue
            start = time.process_time()
            texts = [extract(page) for _, page in turn]
            seconds[name] += time.process_time() - start
            taken[name] += len(turn)
            for (url, _), text in zip(turn, texts, strict=True):
                label = next(label for label, gold in golds.items() if url in gold)
                scores[name][label].append(score(text, golds[label][url]))
    speeds = {name: taken[name] / seconds[name] for name in extractors}
    base = speeds.get("BeautifulSoup, html.parser", float("nan"))
    rows = []
    for name in extractors:
        means = [
            f"{statistics.mean(column):.3f}" for label in golds for column in zip(*scores[name][label], strict=True)
        ]
        rows.append([name, f"{taken[name]:,}", *means, f"{speeds[name]:.0f}", f"{speeds[name] / base:.1f}"])
    measures = [f"{label}: {what}" for label in golds for what in ("precision", "recall", "F1")]
    print_table(["extractor", "pages", *measures, "pages per CPU-s", "times html.parser"], rows)


def varied(pages: dict[str, Body], count: int) -> Iterator[Body]:
    """Yield so many pages, each of the given ones again with words of its own at the end of its longest paragraph."""
    made = random.Random(1)
    given = [(kind, *_around_end(data)) for data, kind in pages.values()]
    for kind, before, after in itertools.islice(itertools.cycle(given), count):
        own = " ".join(f" {OWN}{made.randrange(10_000)}" for _ in range(30))
        yield (before + own.encode() + after if after else before), kind


def _around_end(data: bytes) -> tuple[bytes, bytes]:
    """A page cut where its longest paragraph without further tags ends; whole where it has none, or is of UTF-16."""
    longest = max(PARAGRAPH.finditer(data), key=lambda each: len(each[1]), default=None)
    end = len(data) if longest is None else longest.end(1)
    return data[:end], data[end:]


def write_archive(path: Path, pages: Iterator[Body]) -> None:
    """Write pages as records of a .warc.gz."""
    with path.open("wb") as file:
        for number, (data, kind) in enumerate(pages):
            block = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + data
            head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/{number}\r\n"
            head += f"WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Length: {len(block)}\r\n\r\n"
            file.write(gzip.compress(head.encode() + block + b"\r\n\r\n", 1))


def job(pages: dict[str, Body], count: int, archives: int, temp: Path | None) -> None:
    """Print what the job costs on so many pages, less its start, and what the extractor alone costs on the same."""
    with scratch(temp) as folder:
        for name, each in (("in", count // archives), ("start", 1)):  # as many tasks, so that as many processes start
            (folder / name).mkdir()
            for number in range(archives):
                write_archive(folder / name / f"{number}.warc.gz", varied(pages, each))
        size = sum(path.stat().st_size for path in (folder / "in").iterdir())
        start = time.process_time()
        for page in varied(pages, count):
            page_of(*page, "blocks")
        alone = time.process_time() - start
        command = [sys.executable, str(ROOT / "jobs" / "extract.py"), "--quiet", "--overwrite"]
        environment = spark_environment("2g", "*")
        output = ["--output", str(folder / "out")]
        begun = measure_checked([*command, "--input", str(folder / "start"), *output], env=environment)
        whole = measure_checked([*command, "--input", str(folder / "in"), *output], env=environment)
    spent = whole.cpu_s - begun.cpu_s
    largest = max(whole.worker_peaks_mb, default=0.0)
    rows = [
        ["pages", f"{count:,}"],
        ["archives, and their MB", f"{archives}, {size / 1e6:,.0f}"],
        ["extractor alone, CPU s", f"{alone:.1f}"],
        ["job, CPU s less its start", f"{spent:.1f}"],
        ["ratio", f"{spent / alone:.2f}"],
        ["job, pages per CPU-s", f"{count / spent:.0f}"],
        ["job, wall s", f"{whole.wall_s:.1f}"],
        ["largest worker, MB", f"{largest:,.0f}"],
    ]
    print_table(["the whole job", ""], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, required=True, metavar="FILE", help="archive of WARC with HTML pages")
    parser.add_argument("--gold", type=Path, metavar="FILE", help="Parquet with columns uri and gold_text")
    parser.add_argument(
        "--count", type=int, default=500, metavar="N", help="pages on which extractors are compared (default 500)"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="let the libraries of others take one turn of N (default 1)"
    )
    parser.add_argument("--job", type=int, default=0, metavar="N", help="measure the whole job on so many pages")
    parser.add_argument("--archives", type=int, default=4, metavar="N", help="in which they lie (default 4)")
    add_temp_argument(parser)
    args = parser.parse_args()
    print(machine())
    pages = pages_of(args.pages)
    if args.gold and args.count:
        golds = {
            "articles": gold_of(args.gold, pages),
            "marked": marked_gold(MARKS, pages),
            "unseen": marked_gold(UNSEEN, pages),
        }
        compare(pages, {label: gold for label, gold in golds.items() if gold}, args.count, args.every)
    if args.job:
        job(pages, args.job, args.archives, args.temp)


if __name__ == "__main__":
    main()
