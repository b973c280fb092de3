"""The report: safe with hostile text, complete, self-contained, the same each time."""

import copy
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from sparkprep.dedup.report import page as report
from sparkprep.dedup.report import plots
from sparkprep.pages import drawing, environment

SECTIONS = ("summary", "threshold", "removed", "sources", "stages", "settings")
NO_EXAMPLES: dict[str, Any] = {"clusters": [], "pairs": [], "misses": []}
VOID = {"meta", "br", "img", "input", "link", "hr"}


def sample_metrics() -> dict[str, Any]:
    edges = [round(0.5 + 0.01 * i, 2) for i in range(51)]
    return {
        "format": 1,
        "date": "2026-03-01T12:34:56+00:00",
        "command": "sparkprep dedup --input in.parquet --output 'my clean'",
        "output": "/data/my clean",
        "settings": {
            "threshold": 0.8, "rule": "leader", "bands": 18, "seed": 20241, "pair_budget": 20000000,
            "source_column": "url",
            "keep": "longest", "shingle_words": 5, "slots": 128,
        },
        "versions": {"sparkprep": "0.1.0", "spark": "3.5.9", "python": "3.11.7"},
        "input": {
            "paths": ["in.parquet"], "files": 1, "documents": 10000, "file_bytes": 24547687, "text_bytes": 87015559,
            "removed_text_bytes": 12000000,
        },
        "counts": {
            "input": 10000, "kept": 8187, "removed": 1813, "rejected": 0, "exact": 693, "near": 1120, "copies": 801,
            "null_text": 0, "empty_text": 0, "no_words": 0, "duplicate_ids": 0,
        },
        "candidates": {
            "pairs": 4310, "verified": 3012, "near_misses": 61, "just_below": 395, "hot_buckets": 0,
            "uncompared_pairs": 0,
        },
        "banding": {"bands": 18, "rows": 6, "probability_at_threshold": 0.9958},
        "recall": {"estimate": 0.9991, "low": 0.9987, "high": 0.9995, "pairs": 3813, "missed": 3.43, "excludes": None},
        "clusters": {"2": 943, "3": 231, "20": 1, "390": 1},
        "jaccard_histogram": {"edges": edges, "counts": [*range(14, 44), *[50] * 19, 2062]},
        "other_thresholds": [
            {"threshold": 0.75, "pairs": 3207, "removed": 1900, "missed": 4.1, "found": 0.9706},
            {"threshold": 0.8, "pairs": 3012, "removed": 1813, "missed": 3.43, "found": 0.9958},
            {"threshold": 0.85, "pairs": 2762, "removed": 1700, "missed": 0.01, "found": 0.9998},
            {"threshold": 0.9, "pairs": 2512, "removed": 1606, "missed": 0.0, "found": 1.0},
        ],
        "index": None,
        "sources": {
            "column": "url", "total": 5000, "losing": 210, "least_documents": 10,
            "lost_over_90_percent": ["mirror.example"],
            "top": [
                {"source": "mirror.example", "documents": 40, "removed": 39},
                {"source": "site1.example", "documents": 120, "removed": 40},
            ],
            "flows": [
                {"source": "mirror.example", "kept_source": "site1.example", "documents": 37},
                {"source": "site1.example", "kept_source": "site1.example", "documents": 30},
            ],
        },
        "stages": [{"name": "sketch", "documents": 10000, "bytes": 87015559, "seconds": 4.2}],
        "seconds": 65.2,
        "warnings": ["source mirror.example loses 97.5 % of its documents"],
        "left_out": {"files": 1, "first": [{"path": "in/README", "reason": "that only tells of the data"}]},
    }  # fmt: skip


def sample_examples() -> dict[str, Any]:
    kept, removed = "one two three four", "one 2 three four"
    return {
        "clusters": [
            {
                "kept_id": "a1", "size": 20, "source": "site1.example", "excerpt": "The beginning.",
                "removed": [{"id": "b7", "jaccard": 0.93, "rule": "near"}],
            }
        ],
        "pairs": [
            {
                "id": "b7", "kept_id": "a1", "jaccard": 0.83, "rule": "near", "source": "mirror.example/b7",
                "kept_source": "site1.example/a1", "text": removed, "kept_text": kept,
            }
        ],
        "misses": [
            {
                "id": "c3", "kept_id": "a1", "jaccard": 0.79, "rule": "miss", "source": None, "kept_source": None,
                "text": "one two five", "kept_text": kept,
            }
        ],
    }  # fmt: skip


def empty_metrics() -> dict[str, Any]:
    metrics = sample_metrics()
    metrics["input"] |= {"paths": [], "files": 0, "documents": 0, "file_bytes": 0, "text_bytes": 0}
    metrics["counts"] = dict.fromkeys(metrics["counts"], 0)
    metrics["candidates"] = dict.fromkeys(metrics["candidates"], 0)
    metrics["recall"] = dict.fromkeys(metrics["recall"]) | {"pairs": 0}
    metrics |= {
        "clusters": {},
        "sources": None,
        "stages": [],
        "seconds": 0.0,
        "warnings": [],
        "left_out": {"files": 0, "first": []},
    }
    metrics["jaccard_histogram"]["counts"] = [0] * 50
    metrics["other_thresholds"] = [{"threshold": 0.8, "pairs": 0, "removed": 0, "missed": 0.0, "found": 0.9958}]
    return metrics


class Page(HTMLParser):
    """What a browser would see: elements with attributes, text by element, and whether tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def shown(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.elements if tag == name]


@pytest.fixture(scope="module")
def html() -> str:
    return report.render(sample_metrics(), sample_examples())


def test_every_section_is_there_and_the_contents_lead_to_it(html: str) -> None:
    page = Page(html)
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) <= set(ids)
    assert [attrs["href"] for attrs in page.tags("a")] == [f"#{name}" for name in SECTIONS]
    assert len(page.tags("svg")) == 3


def test_the_headline_figures_are_written_for_people(html: str) -> None:
    shown = Page(html).shown
    for text in (
        "10,000",
        "8,187",
        "1,813",
        "693 exact, 1,120 near",
        "87.0 MB",
        "24.5 MBin 1 file",
        "12.0 MB of it removed",
        "1 min 5 s",
    ):
        assert text in shown
    assert "1.3 MB of text a second" in shown
    assert "99.91 %" in shown
    assert "99.87 % to 99.95 %" in shown
    assert "about 3 missed" in shown
    assert "source mirror.example loses 97.5 % of its documents" in shown
    assert "20,000,000" in shown
    assert "20241" in shown  # a seed is a name, not a quantity


def test_conservation_is_stated_and_a_broken_one_stands_out(html: str) -> None:
    assert "8,187 kept + 1,813 removed + 0 rejected = 10,000 ✓ equals the input" in Page(html).shown
    metrics = sample_metrics()
    metrics["counts"]["kept"] = 8186
    broken = report.render(metrics, sample_examples())
    assert "= 9,999 ✗ but the input has 10,000" in Page(broken).shown


def test_the_figures_reconcile_from_candidates_to_removed_documents(html: str) -> None:
    metrics = sample_metrics()
    clusters = {int(size): n for size, n in metrics["clusters"].items()}
    assert sum((size - 1) * n for size, n in clusters.items()) == metrics["counts"]["removed"], "the sample is sound"
    shown = Page(html).shown
    for steps in ("Candidate pairs", "compared exactly", "at or above 0.8", "Clusters", "documents in them", "removed"):
        before, _, shown = shown.partition(steps)
        assert before, steps
    numbers = ("4,310", "3,012", "1,176", "2,989", "1,813")
    rows = [row for row in html.split("<tr>") if row.startswith(("<td>Candidate", "<td>… ", "<td>Clusters"))]
    assert [re.sub(r"<[^>]*>", " ", row).split()[-1] for row in rows] == list(numbers)


def test_other_thresholds_say_what_is_exact_and_what_is_not(html: str) -> None:
    shown = Page(html).shown
    assert "0.75≥ 3,207≥ 1,900≥ +87≥ 19.0 %99.9 %" in shown
    assert "0.803,0121,813this run" in shown
    assert "0.902,5121,606−207" in shown
    assert "A threshold of 0.90 would keep 207 more." in shown
    assert "About 3 further pairs of that similarity may have been missed." in shown
    assert "this run" in shown


def test_no_sentence_contradicts_a_source_that_is_too_small_to_be_warned_of() -> None:
    metrics = sample_metrics()
    metrics["sources"] |= {"lost_over_90_percent": []}
    metrics["sources"]["top"][0] = {"source": "tiny.example", "documents": 4, "removed": 4}
    page = Page(report.render(metrics, sample_examples()))
    assert "No source of 10 documents or more loses over 90 % of them" in page.shown
    assert "100.0 %" in page.shown
    assert not [bar for bar in page.tags("i") if bar.get("class") == "high"]


def test_only_sources_that_lose_over_90_percent_are_coloured(html: str) -> None:
    bars = [attrs for attrs in Page(html).tags("i") if str(attrs.get("style", "")).startswith("width")][-2:]
    assert [(bar["class"], bar["style"]) for bar in bars] == [("high", "width: 97.50%"), ("", "width: 33.33%")]


def test_the_page_loads_nothing_from_anywhere(html: str) -> None:
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    for _, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert str(attrs.get(name) or "#").startswith("#")
        assert not [name for name in attrs if name.startswith("on")]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_references_inside_figures_meet_their_own_ids(html: str) -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    targets = set(re.findall(r'xlink:href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    assert targets
    assert targets <= ids


HOSTILE = (
    '</div></article><script>alert(1)</script><img src=x onerror="alert(2)"> {{ 7*7 }} &amp; " \' '
    "\u202egnp \ud800 \x00<b>"
)


def test_hostile_text_stays_text_wherever_it_comes_from() -> None:
    metrics, examples = sample_metrics(), sample_examples()
    metrics["warnings"] = [HOSTILE]
    metrics["settings"][HOSTILE] = HOSTILE
    metrics["versions"]["x"] = HOSTILE
    metrics["input"]["paths"] = [HOSTILE]
    metrics |= {"command": HOSTILE, "output": HOSTILE}
    metrics["sources"] |= {"column": HOSTILE, "lost_over_90_percent": [HOSTILE]}
    metrics["sources"]["flows"][0] |= {"source": HOSTILE, "kept_source": HOSTILE}
    metrics["sources"]["top"][0]["source"] = HOSTILE
    metrics["stages"][0]["name"] = HOSTILE
    examples["clusters"][0] |= {"kept_id": HOSTILE, "source": HOSTILE, "excerpt": HOSTILE}
    examples["clusters"][0]["removed"][0] |= {"id": HOSTILE, "rule": HOSTILE}
    for pair in (examples["pairs"][0], examples["misses"][0]):
        pair |= dict.fromkeys(("id", "kept_id", "rule", "source", "kept_source", "text"), HOSTILE)
    text = report.render(metrics, examples)
    page = Page(text)
    clean = Page(report.render(sample_metrics(), sample_examples()))
    assert page.open == []
    kinds = {tag for tag, _ in page.elements}
    assert kinds <= {tag for tag, _ in clean.elements} | {"span"}
    # 30 places hold it as it is; the difference shows it in words, which the blanks still separate.
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 30
    assert "{{ 7*7 }}" in page.shown
    assert not re.search("[\x00\u202e\ud800]", text)
    assert page.shown.count("U+202E") >= 30
    assert page.shown.count("U+D800") >= 30
    text.encode("utf-8")


@given(st.text(st.characters()))
def test_a_shown_text_has_no_invisible_character_and_loses_no_visible_one(text: str) -> None:
    page = Page(f"<p>{environment.visible(text)}</p>")
    assert {tag for tag, _ in page.elements} <= {"p", "span"}
    shown = "".join(page.text)
    # HTMLParser hands over line ends as they are, so only the code point marks must be turned back.
    for char in sorted(set(environment._HIDDEN.findall(text))):
        shown = shown.replace(f"U+{ord(char):04X}", char)
    assert shown == text
    assert not environment._HIDDEN.search("".join(page.text))


def test_nothing_in_nothing_removed_still_makes_a_page() -> None:
    text = report.render(empty_metrics(), NO_EXAMPLES)
    page = Page(text)
    assert page.open == []
    assert "0 documents read, 0 kept." in page.shown
    assert "0 kept + 0 removed + 0 rejected = 0 ✓ equals the input" in page.shown
    assert "The input has no column url." in page.shown
    assert len(page.tags("svg")) == 1  # the S-curve needs no data
    assert "None" not in page.shown
    assert "nan" not in page.shown


def test_the_column_that_sources_would_be_counted_by_is_named_as_it_was_given() -> None:
    metrics = empty_metrics()
    metrics["settings"]["source_column"] = "<b>host"
    assert "The input has no column <b>host." in Page(report.render(metrics, NO_EXAMPLES)).shown


def test_documents_without_any_duplicate_make_a_page() -> None:
    metrics = empty_metrics()
    metrics["counts"] |= {"input": 5, "kept": 5}
    metrics["sources"] = sample_metrics()["sources"]
    metrics["sources"] |= {"total": 0, "lost_over_90_percent": [], "top": [], "flows": []}
    shown = Page(report.render(metrics, NO_EXAMPLES)).shown
    assert "5 documents read, 5 kept; 0 (0.0 %) removed" in shown
    assert "No source to show." in shown


def test_huge_counts_and_a_threshold_of_one_make_a_page() -> None:
    metrics = sample_metrics()
    metrics["counts"] |= {"input": 10**13, "kept": 10**13 - 4, "removed": 3, "rejected": 1, "exact": 3, "near": 0}
    metrics["input"]["text_bytes"] = 3 * 10**18
    metrics["clusters"] = {str(size): 10**12 // size for size in range(2, 3000)}
    metrics["jaccard_histogram"] = {"edges": [0.98, 0.99, 1.0], "counts": [0, 10**12]}
    metrics["settings"]["threshold"] = 1.0
    page = Page(report.render(metrics, sample_examples()))
    assert page.open == []
    assert "10,000,000,000,000" in page.shown
    assert "(< 0.1 %) removed" in page.shown
    assert "3,000.0 PB" in page.shown


def test_clusters_may_come_from_memory_or_from_json() -> None:
    metrics = sample_metrics()
    metrics["clusters"] = {390: 1, 20: 1, 3: 231, 2: 943}
    assert report.render(metrics, sample_examples()) == report.render(sample_metrics(), sample_examples())


def test_a_missing_figure_is_an_error_not_a_blank() -> None:
    metrics = sample_metrics()
    del metrics["counts"]["exact"]
    with pytest.raises(UndefinedError, match="exact"):
        report.render(metrics, sample_examples())


def test_the_same_run_gives_the_same_page_under_any_plot_style(html: str) -> None:
    import matplotlib

    metrics, examples = sample_metrics(), sample_examples()
    before = copy.deepcopy((metrics, examples))
    with matplotlib.rc_context({"xtick.major.size": 30, "axes.linewidth": 9, "font.size": 30, "svg.hashsalt": "x"}):
        changed = dict(matplotlib.rcParams)
        assert report.render(metrics, examples) == html
        assert dict(matplotlib.rcParams) == changed
    assert (metrics, examples) == before


def test_write_leaves_one_whole_file(tmp_path: Path, html: str) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    report.write(str(target), json.loads(json.dumps(sample_metrics())), sample_examples())
    assert target.read_bytes() == html.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    broken = sample_metrics()
    del broken["seconds"]
    with pytest.raises(UndefinedError):
        report.write(str(target), broken, sample_examples())
    assert target.read_bytes() == html.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (environment.count, 1234567, "1,234,567"),
        (environment.count, None, "–"),
        (environment.size, 0, "0 B"),
        (environment.size, 999, "999 B"),
        (environment.size, 1000, "1.0 kB"),
        (environment.size, 999_960, "1.0 MB"),
        (environment.size, 87015559, "87.0 MB"),
        (environment.size, 3 * 10**18, "3,000.0 PB"),
        (environment.duration, 0, "0 ms"),
        (environment.duration, 0.9999, "1.0 s"),
        (environment.duration, 59.96, "1 min 0 s"),
        (environment.duration, 65.2, "1 min 5 s"),
        (environment.duration, 3599.7, "1 h 0 min"),
        (environment.duration, 86399, "1 d 0 h"),
        (environment.duration, None, "–"),
        (environment.percent, 0.1813, "18.1 %"),
        (environment.percent, 0.99996, "> 99.9 %"),
        (environment.percent, 1.0, "100.0 %"),
        (environment.percent, 1e-9, "< 0.1 %"),
        (environment.percent, 0, "0.0 %"),
        (environment.percent, float("nan"), "–"),
        (environment.jaccard, 0.9999, "0.999"),
        (environment.jaccard, 1.0, "1.000"),
        (environment.jaccard, 0.83, "0.830"),
        (drawing.compact, 943, "943"),
        (drawing.compact, 20_000_000, "20M"),
    ],
)
def test_figures_are_formatted_for_people(function: Any, value: float | None, text: str) -> None:
    assert function(value) == text


def test_the_s_curve_names_its_point() -> None:
    assert f"{100 * (1 - (1 - 0.8**6) ** 18):.2f} % found" in plots.s_curve(18, 6, 0.8)
    assert f"{100 * (1 - (1 - 0.95**20) ** 6):.2f} % found" in plots.s_curve(6, 20, 0.95)


def test_figures_without_data_are_empty() -> None:
    assert plots.jaccard_histogram([0.8, 0.9, 1.0], [0, 0], 0.8) == ""
    assert plots.cluster_sizes({}) == ""
    assert plots.cluster_sizes({2: 0}) == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [2, 10, 99, 100, 1000])
def test_clusters_of_one_size_are_drawn_without_a_warning(size: int) -> None:
    assert "<svg" in plots.cluster_sizes({size: 1})


@pytest.mark.parametrize("highest", [1, 2, 3, 7, 10, 99, 1200, 10**12])
def test_axis_ticks_are_few_and_ascending(highest: int) -> None:
    for ticks in (drawing.linear_ticks(highest), drawing.log_ticks(highest)):
        assert 2 <= len(ticks) <= 8
        assert all(a < b for a, b in pairwise(ticks))


def test_a_word_limit_is_stated_on_the_page() -> None:
    examples = sample_examples()
    examples["pairs"][0] |= {"text": "a " * 9_000, "kept_text": "a " * 9_500}
    shown = Page(report.render(sample_metrics(), examples)).shown
    assert "Only the first 8,000 of 9,000 words of the first text and the first 8,000 of 9,500" in shown


def test_long_equal_spans_are_collapsed_with_their_number() -> None:
    same = " ".join(f"w{i}" for i in range(336))
    examples = sample_examples()
    examples["pairs"][0] |= {"text": f"old {same} old", "kept_text": f"new {same} new"}
    shown = Page(report.render(sample_metrics(), examples)).shown
    assert "… 312 equal words …" in shown
    assert "w11 … 312 equal words … w324" in shown


def test_the_shift_of_a_cut_is_not_shown_as_a_difference() -> None:
    body = " ".join(f"word{i}" for i in range(4000))
    examples = sample_examples()
    examples["pairs"][0] |= {"text": body[:20_000], "kept_text": ("An added beginning. " + body)[:20_000]}
    text = report.render(sample_metrics(), examples)
    page = Page(text)
    assert "<ins>An added beginning.</ins>" in text
    assert "more words, not compared" in page.shown
    assert "+3 words" in page.shown
    assert "only the first 20,000 characters of each were compared" in page.shown
