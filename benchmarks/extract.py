"""Main text out of pages: extractors side by side on gold text, and the whole job against its extractor alone.

Quality is the mean over pages of precision, recall and F1 of word multisets, as in the benchmarks of others. Seconds
are CPU seconds of this process. Libraries of others (beautifulsoup4, lxml, trafilatura, readability-lxml) are measured
where they can be imported, and told of where they cannot.
"""

from __future__ import annotations

import argparse
import gzip
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
    return Counter(WORD.findall(text.lower()))


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


def compare(pages: dict[str, Body], gold: dict[str, Counter[str]], runs: int) -> None:
    """Print quality and speed of all that can be imported, the runs of each spread over the whole time."""
    extractors = {}
    for name, load in CONTENDERS.items():
        try:
            extractors[name] = load()
            extractors[name](next(iter(pages.values())))
        except ImportError as error:
            print(f"{name}: not measured ({error})", file=sys.stderr)
            extractors.pop(name, None)
    speeds: dict[str, list[float]] = {name: [] for name in extractors}
    scores: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, extract in extractors.items():
            start = time.process_time()
            texts = {url: extract(page) for url, page in pages.items()}
            speeds[name].append(len(pages) / (time.process_time() - start))
            each = [score(texts[url], gold[url]) for url in gold]
            scores[name] = [statistics.mean(column) for column in zip(*each, strict=True)]
    base = statistics.median(speeds.get("BeautifulSoup, html.parser", [float("nan")]))
    rows = []
    for name in extractors:
        speed = statistics.median(speeds[name])
        rows.append([name, *(f"{value:.3f}" for value in scores[name]), f"{speed:.0f}", f"{speed / base:.1f}"])
    print_table(["extractor", "precision", "recall", "F1", "pages per CPU-s", "times html.parser"], rows)


def varied(pages: dict[str, Body], count: int) -> Iterator[Body]:
    """Yield so many pages, each of the given ones again with a paragraph of its own."""
    random_, given = random.Random(1), list(pages.values())
    for number in range(count):
        data, kind = given[number % len(given)]
        own = " ".join(f"word{random_.randrange(10_000)}" for _ in range(30)).encode()
        yield data.replace(b"</body>", b"<p>" + own + b"</p></body>", 1), kind


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
        (folder / "in").mkdir()
        for number in range(archives):
            write_archive(folder / "in" / f"{number}.warc.gz", varied(pages, count // archives))
        write_archive(folder / "one.warc.gz", varied(pages, 1))
        size = sum(path.stat().st_size for path in (folder / "in").iterdir())
        start = time.process_time()
        for page in varied(pages, count):
            page_of(*page, "blocks")
        alone = time.process_time() - start
        command = [sys.executable, str(ROOT / "jobs" / "extract.py"), "--quiet", "--overwrite"]
        environment = spark_environment("2g", "*")
        output = ["--output", str(folder / "out")]
        begun = measure_checked([*command, "--input", str(folder / "one.warc.gz"), *output], env=environment)
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
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each extractor (default 3)")
    parser.add_argument("--job", type=int, default=0, metavar="N", help="measure the whole job on so many pages")
    parser.add_argument("--archives", type=int, default=4, metavar="N", help="in which they lie (default 4)")
    add_temp_argument(parser)
    args = parser.parse_args()
    print(machine())
    pages = pages_of(args.pages)
    if args.gold:
        gold = {row["uri"]: words(row["gold_text"]) for row in pq.read_table(args.gold).to_pylist()}
        gold = {url: text for url, text in gold.items() if url in pages}
        compare({url: pages[url] for url in gold}, gold, args.runs)
    if args.job:
        job(pages, args.job, args.archives, args.temp)


if __name__ == "__main__":
    main()
