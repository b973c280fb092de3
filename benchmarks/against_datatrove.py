#!/usr/bin/env python3
"""The rules of `sparkprep filter` beside datatrove's filters: the same decision on every document, and how fast.

    make check-datatrove DATA="docs.parquet docs.wet.gz"

Runs in an environment of its own, which has datatrove and spaCy (scripts/datatrove_environment.sh makes it). Of each
document and each filter with its published thresholds:

1. datatrove's filters with this package's splitter of words and sentences decide as we do, rule for rule, and C4's
   leaves the same text; with another decision on any document the program ends with 1.
2. With their own splitter (spaCy's blank English): agreement by rule, and how far from the threshold they differ.
3. Documents per CPU second of FineWeb's chain of the four filters, theirs with their own splitter, one process each.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

from sparkprep.extract.records import Record, read_records
from sparkprep.filter.kernels.judge import judge
from sparkprep.filter.kernels.words import sentence_spans, split_words
from sparkprep.filter.questions import questions_of
from sparkprep.filter.rules import C4, FINEWEB, GOPHER_QUALITY, GOPHER_REPETITION, RULES, SETS
from sparkprep.filter.settings import FilterSettings

FILTERS = {
    GOPHER_REPETITION: GopherRepetitionFilter,
    GOPHER_QUALITY: GopherQualityFilter,
    C4: C4QualityFilter,
    FINEWEB: FineWebQualityFilter,
}
# datatrove's reason -> our rule, by set: "empty" is a reason of two.
REASONS = {
    GOPHER_REPETITION: {
        "empty": "gopher-empty",
        "dup_para_frac": "gopher-duplicate-paragraphs",
        "dup_para_char_frac": "gopher-duplicate-paragraph-chars",
        "dup_line_frac": "gopher-duplicate-lines",
        "dup_line_char_frac": "gopher-duplicate-line-chars",
        **{f"top_{n}_gram": f"gopher-top-{n}-gram" for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": f"gopher-duplicate-{n}-grams" for n in range(5, 11)},
    },
    GOPHER_QUALITY: {
        "gopher_short_doc": "gopher-min-words",
        "gopher_long_doc": "gopher-max-words",
        "gopher_below_avg_threshold": "gopher-min-word-length",
        "gopher_above_avg_threshold": "gopher-max-word-length",
        "gopher_too_many_hashes": "gopher-hashes",
        "gopher_too_many_ellipsis": "gopher-ellipses",
        "gopher_too_many_bullets": "gopher-bullet-lines",
        "gopher_too_many_end_ellipsis": "gopher-ellipsis-lines",
        "gopher_below_alpha_threshold": "gopher-alpha-words",
        "gopher_enough_stop_words": "gopher-stop-words",
    },
    C4: {
        "lorem_ipsum": "c4-lorem-ipsum",
        "curly_bracket": "c4-curly-bracket",
        "too_few_sentences": "c4-min-sentences",
    },
    FINEWEB: {
        "empty": "fineweb-empty",
        "line_punct_ratio": "fineweb-line-punctuation",
        "short_line_ratio": "fineweb-short-lines",
        "char_dup_ratio": "fineweb-duplicate-line-chars",
        "list_ratio": "fineweb-new-lines",
    },
}
KEPT = "kept"


class OurSplitter(WordTokenizer):
    """This package's words and sentences, as datatrove asks for them."""

    def word_tokenize(self, text: str) -> list[str]:
        return list(_words(text))

    def sent_tokenize(self, text: str) -> list[str]:
        return [text[start:end] for start, end in sentence_spans(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return sentence_spans(text)


@lru_cache(maxsize=2)
def _words(text: str) -> tuple[str, ...]:
    return tuple(split_words(text))


def texts_of(path: Path, most: int | None) -> list[str]:
    """The texts of a Parquet file with a column `text`, or of a WET archive."""
    if path.suffix == ".parquet":
        texts = [text or "" for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
    else:
        texts = list(_of_wet(path))
    return texts if most is None else texts[:: max(1, len(texts) // most)][:most]


def _of_wet(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        for record in read_records(stream, 200_000_000):
            if isinstance(record, Record) and record.type == "conversion":
                yield record.block.decode("utf-8", "replace")


def ours(texts: list[str], name: str) -> tuple[list[str], list[float], list[str]]:
    """What our rules of a set decide: rule or KEPT, the value that decided or came nearest, and C4's text."""
    found = judge(pa.array(texts, pa.large_string()), questions_of(FilterSettings(rules=(name,))))
    rules = [RULES[place].name if place >= 0 else KEPT for place in found.rule.tolist()]
    changed = texts if found.texts is None else [text.decode() for text in found.texts.to_pylist()]
    return rules, found.value.tolist(), changed


def theirs(texts: list[str], name: str, splitter: WordTokenizer | str) -> tuple[list[str], list[str]]:
    """What datatrove's filter decides, in our words, and the texts that it leaves."""
    asked = FILTERS[name](language=splitter)
    rules, changed = [], []
    for number, text in enumerate(texts):
        document = Document(text=text, id=str(number))
        answer = asked.filter(document)
        rules.append(KEPT if answer is True else REASONS[name][answer[1]])
        changed.append(document.text)
    return rules, changed


def compare_with_ours(texts: list[str], where: str) -> int:
    """Print and return on how many documents their filters with our splitter decide otherwise."""
    differing = 0
    for name in SETS:
        rules, _, changed = ours(texts, name)
        other, left = theirs(texts, name, OurSplitter())
        wrong = [n for n in range(len(texts)) if rules[n] != other[n]]
        texts_differ = [n for n in range(len(texts)) if rules[n] == other[n] == KEPT and changed[n] != left[n]]
        differing += len(wrong) + len(texts_differ)
        print(f"{where:<28} {name:<18} {len(texts):>7,} documents  {len(wrong)} other decisions", end="")
        print(f"  {len(texts_differ)} other texts" if name == C4 else "", flush=True)
        for n in [*wrong, *texts_differ][:5]:
            print(f"  document {n}: {rules[n]}, datatrove {other[n]}")
    return differing


def compare_with_theirs(texts: list[str]) -> None:
    """Print, by rule, how often their filters with their own splitter decide as we do, and how far off they differ."""
    print(f"\ndatatrove with its own splitter, {len(texts):,} documents")
    print(f"{'rule':<34}{'ours':>8}{'theirs':>8}{'differ':>8}{'agreement':>11}")
    for name in SETS:
        rules, values, _ = ours(texts, name)
        other, _ = theirs(texts, name, "eng")
        settings = FilterSettings()
        far: dict[str, float] = {}
        differ: Counter[str] = Counter()
        for mine, its, value in zip(rules, other, values, strict=True):
            if mine != its:
                for rule in {mine, its} - {KEPT}:
                    differ[rule] += 1
                setting = next((rule.setting for rule in RULES if rule.name == mine), None)
                if setting and not np.isnan(value):
                    limit = getattr(settings, setting)
                    far[mine] = max(far.get(mine, 0.0), abs(value - limit) / limit)
        for rule in (rule.name for rule in RULES if rule.set == name and not rule.of_lines):
            share = 1 - differ[rule] / len(texts)
            distance = f"  at most {100 * far[rule]:.2f} % from the threshold" if rule in far else ""
            print(f"{rule:<34}{rules.count(rule):>8,}{other.count(rule):>8,}{differ[rule]:>8,}{share:>10.2%}{distance}")


def speed(texts: list[str]) -> None:
    """Print documents per CPU second of FineWeb's chain."""
    settings = FilterSettings(rules=SETS, skip=("c4-terminal-punctuation",))
    array = pa.array(texts, pa.large_string())
    judge(array.slice(0, 10), questions_of(settings))  # compiled, or loaded
    begun = time.process_time()
    for start in range(0, len(texts), 1_000):
        judge(array.slice(start, 1_000), questions_of(settings))
    own = len(texts) / (time.process_time() - begun)
    some = texts[:: max(1, len(texts) // 500)]
    chain = [
        FILTERS[name](language="eng", **({"filter_no_terminal_punct": False} if name == C4 else {})) for name in SETS
    ]
    load_word_tokenizer("eng").word_tokenize("warm up")
    begun = time.process_time()
    for text in some:
        document = Document(text=text, id="")
        for each in chain:
            if each.filter(document) is not True:
                break
    other = len(some) / (time.process_time() - begun)
    size = np.mean([len(text) for text in texts])
    print(f"\n{'FineWeb chain':<20}{'documents per CPU second':>28}   ({size:,.0f} characters each)")
    print(
        f"{'sparkprep':<20}{own:>28,.0f}\n{'datatrove, spaCy':<20}{other:>28,.1f}\n{'times':<20}{own / other:>28,.1f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, metavar="FILE", help="Parquet with a column `text`, or WET")
    parser.add_argument("--most", type=int, metavar="N", help="documents of each file (default: all)")
    parser.add_argument("--own-splitter", type=int, default=2_000, metavar="N", help="documents for 2 (default 2,000)")
    args = parser.parse_args()
    differing, everything = 0, []
    for path in args.data:
        texts = texts_of(path, args.most)
        differing += compare_with_ours(texts, path.name)
        everything += texts
    some = everything[:: max(1, len(everything) // max(1, args.own_splitter))][: args.own_splitter]
    if some:
        compare_with_theirs(some)
    speed(everything)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
