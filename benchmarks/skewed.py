"""The whole job on shapes that are bad for it: is the answer right, and does a task, or the driver, hold everything?

Shapes: unlike documents in one bucket, copies, a chain, a giant component (skewed_corpus.py); by default at full size,
50 to 300 MB of text each. The answer is checked against the shape's truth, pair by pair. Task times are those of
Spark's event log. Ends with exit code 1 where an answer is wrong, or where in a stage whose longest task takes over 5 s
that one takes over ten times the median.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import event_log
import numpy as np
import pyarrow.dataset as ds
from common import add_spark_arguments, job_command, scratch, spark_environment
from figures import machine, print_table
from measure import Look, Measured, measure_checked
from skewed_corpus import SHAPES, THRESHOLD, Shape, name_of, write

SLOW_TASK, SKEW = 5.0, 10.0
SAMPLE = 500
"""Similarities that are computed anew from the texts."""


@dataclass
class Answer:
    """What a run has removed, by keep ranks."""

    kept: np.ndarray
    removed: np.ndarray
    kept_for: np.ndarray
    """of each removed document"""
    jaccard: np.ndarray
    exact: np.ndarray

    @staticmethod
    def read(output: Path) -> Answer:
        """Read kept/ and removed/ of a result."""
        kept = ds.dataset(output / "kept", format="parquet").to_table(columns=["id"])
        rows = ds.dataset(output / "removed", format="parquet").to_table()
        ranks = [_ranks(table) for table in (kept["id"], rows["id"], rows["kept_id"])]
        exact = np.array([rule == "exact" for rule in rows["rule"].to_pylist()], np.bool_)
        return Answer(*ranks, np.asarray(rows["jaccard"]), exact)


def _ranks(ids: Any) -> np.ndarray:
    return np.array([int(name.removeprefix(name_of(0)[0])) for name in ids.to_pylist()], np.int64)


@dataclass
class Verdict:
    """What a check of an answer came to."""

    faults: list[str] = field(default_factory=list)
    missed: int = 0
    """similar pairs of texts that both stay: what was not found"""
    pairs: int = 0
    """all similar pairs of texts"""

    def expect(self, right: Any, what: str) -> None:
        """Note a fault unless it is right."""
        if not right:
            self.faults.append(what)


def check(shape: Shape, answer: Answer, rule: str, found: float) -> Verdict:
    """Compare an answer with a shape's truth. found: the probability that a pair of the least similarity is found.

    Either rule's answer follows from the pairs that were found, and which these are follows from it: under `leader` a
    document goes exactly if an earlier neighbour stays, so a pair of which both stay was missed; under `component`
    each part of a component keeps its first.
    """
    verdict = Verdict(pairs=len(shape.pairs))
    both = np.concatenate([answer.kept, answer.removed])
    verdict.expect(
        np.array_equal(np.sort(both), np.arange(shape.documents)), "kept and removed are not the documents, each once"
    )
    stays = np.zeros(shape.documents, np.bool_)
    stays[answer.kept] = True
    verdict.expect(stays[answer.kept_for].all(), "a document went for one that went")
    verdict.expect((answer.kept_for < answer.removed).all(), "a document went for a later one")
    texts = len(np.unique(shape.text_of))
    text_stays = np.zeros(int(shape.text_of.max()) + 1, np.int64)
    np.add.at(text_stays, shape.text_of[answer.kept], 1)
    verdict.expect(text_stays.max(initial=0) <= 1, "two copies of one text stay")
    own, other = shape.text_of[answer.removed], shape.text_of[answer.kept_for]
    verdict.expect(((own == other) == answer.exact).all(), "`exact` is not what a copy of a kept text is called")
    missed = (text_stays[shape.pairs] > 0).all(axis=1)
    if rule == "leader":
        verdict.missed = int(missed.sum())
        near = ~answer.exact
        known = _known(shape, own[near], other[near])
        verdict.expect(not np.isnan(known).any(), "a document went for one that is not similar to it")
        verdict.expect(np.allclose(known, answer.jaccard[near], atol=1e-12), "a similarity in removed/ is wrong")
    else:
        component = _components(int(shape.text_of.max()) + 1, shape.pairs)
        verdict.expect((component[own] == component[other]).all(), "a document went for one of another component")
        parts = len(np.unique(component[shape.text_of]))
        verdict.missed = int(text_stays.sum()) - parts
    needed = len(shape.pairs) * (1 - found)
    verdict.expect(verdict.missed <= needed + 6 * math.sqrt(needed) + 3, f"{verdict.missed:,} pairs were not found")
    verdict.expect(texts >= len(answer.kept), "more documents stay than there are texts")
    _check_similarities(shape, answer, verdict)
    return verdict


def _known(shape: Shape, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The similarity of texts a[i] and b[i] by the shape's pairs; nan where they are none of them."""
    width = int(shape.text_of.max()) + 1
    numbers = shape.pairs[:, 0] * width + shape.pairs[:, 1]
    order = np.argsort(numbers)
    asked = np.minimum(a, b) * width + np.maximum(a, b)
    place = np.minimum(np.searchsorted(numbers[order], asked), max(0, len(order) - 1))
    if not len(order):
        return np.full(len(asked), np.nan)
    return np.where(numbers[order][place] == asked, shape.jaccard[order][place], np.nan)


def _components(n: int, pairs: np.ndarray) -> np.ndarray:
    """A number for each node's component, by pointers that are halved."""
    parent = list(range(n))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in pairs.tolist():
        x, y = root(a), root(b)
        parent[max(x, y)] = min(x, y)
    return np.array([root(node) for node in range(n)], np.int64)


def _check_similarities(shape: Shape, answer: Answer, verdict: Verdict) -> None:
    """Compute some similarities of removed/ anew, as sets of five words."""
    rows = np.random.default_rng(0).permutation(len(answer.removed))[:SAMPLE].tolist()
    for row in rows:
        a, b = (_shingles(shape.text(int(end[row]))) for end in (answer.removed, answer.kept_for))
        verdict.expect(math.isclose(len(a & b) / len(a | b), answer.jaccard[row]), "a similarity in removed/ is wrong")


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


@dataclass
class Peaks:
    """Greatest resident sizes of the kinds of processes, in bytes."""

    of_kind: dict[str, int] = field(default_factory=dict)

    def add(self, look: Look) -> None:
        """Take in one look."""
        for kind, resident in look.resident.items():
            self.of_kind[kind] = max(resident, self.of_kind.get(kind, 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=list(SHAPES), default=list(SHAPES), help="these only")
    parser.add_argument("--rule", nargs="+", choices=["leader", "component"], default=["leader", "component"])
    parser.add_argument("--documents", type=int, help="of each shape (default: full size)")
    parser.add_argument("--option", action="append", default=[], metavar="--NAME=VALUE", help="of the job")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-logs", type=Path, metavar="FOLDER", help="keep metrics and event logs there")
    add_spark_arguments(parser)
    args = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    bad = 0
    with scratch(args.temp) as folder:
        for name in args.shape:
            make, full = SHAPES[name]
            shape = make(args.documents or full, args.seed)
            size = write(shape, folder / "input", args.seed)
            print(f"{name}: {shape.documents:,} documents, {size / 1e6:,.0f} MB of text", flush=True)
            for rule in args.rule:
                bad += _run(shape, folder, rule, args)
            shutil.rmtree(folder / "input")
    print("\nall as it should be" if not bad else f"\n{bad} runs with FAULTS")
    return 1 if bad else 0


def _run(shape: Shape, folder: Path, rule: str, args: argparse.Namespace) -> bool:
    """Run the job, print, and return whether anything is wrong."""
    output, log = folder / "job", folder / "events"
    options = ["--keep", "first", "--rule", rule, "--threshold", str(THRESHOLD), *args.option]
    env = spark_environment(args.driver_memory, args.cores, [*event_log.settings(log), *args.conf])
    peaks = Peaks()
    measured = measure_checked(job_command(folder / "input", output, *options), env=env, tell=peaks.add)
    metrics = json.loads((output / "metrics.json").read_text())
    stages = event_log.read(log)
    banding = metrics["banding"]
    least = float(shape.jaccard.min(initial=1.0))
    found = 1 - (1 - least ** banding["rows"]) ** banding["bands"]
    verdict = check(shape, Answer.read(output), rule, found)
    _print(rule, measured, metrics, stages, peaks, verdict)
    if args.keep_logs:
        target = args.keep_logs / f"{shape.name}-{rule}-{shape.documents}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(log, target / "events")
        shutil.copy(output / "metrics.json", target)
    for made in (output, log):
        shutil.rmtree(made)
    return bool(verdict.faults or event_log.skewed(stages, SLOW_TASK, SKEW))


def _print(
    rule: str,
    measured: Measured,
    metrics: dict[str, Any],
    stages: list[event_log.SparkStage],
    peaks: Peaks,
    verdict: Verdict,
) -> None:
    counts, candidates = metrics["counts"], metrics["candidates"]
    print(f"\nrule {rule}: {counts['kept']:,} kept, {counts['exact']:,} exact, {counts['near']:,} near")
    documents = max(1, counts["input"])
    print(
        f"  pairs compared {candidates['pairs']:,} ({candidates['pairs'] / documents:.1f} a document), similar "
        f"{candidates['verified']:,}; uncompared of kept documents at most {candidates['uncompared_pairs']:,}, "
        f"oversized buckets {candidates['hot_buckets']:,}; of {verdict.pairs:,} similar pairs {verdict.missed:,} were "
        "missed"
    )
    resident = ", ".join(f"{kind} {size / 1e6:,.0f}" for kind, size in peaks.of_kind.items() if size)
    largest = max(measured.worker_peaks_mb, default=0)
    print(f"  {measured.wall_s:.0f} s, {measured.cpu_s:.0f} CPU s; peak MB: {resident}; largest worker {largest:,.0f}")
    print("  " + ", ".join(f"{stage['name']} {stage['seconds']:.0f} s" for stage in metrics["stages"]))
    for warning in metrics["warnings"]:
        print(f"  warning: {warning}")
    slowest = sorted(stages, key=lambda stage: -stage.longest)[:6]
    print_table(
        ("Spark's stage", "tasks", "median s", "longest s", "by the median", "shuffled MB"),
        [
            (
                f"{stage.number} {stage.label}",
                str(len(stage.tasks)),
                f"{stage.median:.2f}",
                f"{stage.longest:.2f}",
                f"{stage.skew:.1f}",
                f"{stage.written / 1e6:.1f}",
            )
            for stage in slowest
        ],
    )
    for stage in event_log.skewed(stages, SLOW_TASK, SKEW):
        print(f"  SKEW: stage {stage.number} ({stage.label}): {stage.longest:.1f} s against {stage.median:.2f}")
    for fault in dict.fromkeys(verdict.faults):
        print(f"  WRONG: {fault}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
