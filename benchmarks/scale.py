"""The whole job on corpora of several sizes: what a document costs, and whether that grows.

    python benchmarks/scale.py --corpus c10k c100k c1m --save figures/ --plot scale.png

A corpus is a folder with docs/ (id, text) and beside it truth/ (scale_truth.py says what). Of each: CPU seconds of
everything that the job starts, by stage; memory of the JVM, the driver's Python and the workers, by stage; bytes
shuffled; recall; removals without a kept twin; and after it Spark's copy of the same Parquet with our options for Java.
With --save, each size's figures are kept as soon as they are there, and those of other sizes shown beside new ones.
Ends with exit code 1 where a removal is wrong, or where recall is below 0.99.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import event_log
import pyarrow.dataset as ds
from common import ROOT, add_spark_arguments, job_command, require_text, scratch, spark_environment
from figures import machine, print_table
from measure import Look, measure_checked
from scale_truth import hold

RECALL = 0.99
PARTS = ("JVM", "Python", "worker")
Figures = dict[str, Any]
"""Of one size, as JSON knows them."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", nargs="*", type=Path, default=[], metavar="FOLDER", help="smallest first")
    parser.add_argument("--threshold", type=float, default=0.8, help="of the job (default 0.8)")
    parser.add_argument("--option", action="append", default=[], metavar="--NAME=VALUE", help="of the job")
    parser.add_argument("--no-copy", action="store_true", help="leave Spark's copy out")
    parser.add_argument("--extrapolate", type=int, default=5_000_000, metavar="N", help="documents (default 5,000,000)")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep figures there, show those of other sizes")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the cost of a document by size")
    add_spark_arguments(parser)
    args = parser.parse_args()
    if not args.corpus and not args.save:
        parser.error("name a --corpus, or a folder of figures to --save")
    for corpus in args.corpus:
        require_text(corpus / "docs")
        if not (corpus / "truth").is_dir():
            raise SystemExit(f"--corpus {corpus}: it has no truth/ beside docs/")
    print(f"{machine()}, driver memory {args.driver_memory}\n", flush=True)
    measured = [_size(corpus, args) for corpus in args.corpus]
    new = {figures["documents"] for figures in measured}
    if args.save:
        kept = [json.loads(path.read_text()) for path in sorted(args.save.glob("*.json"))]
        measured += [figures for figures in kept if figures["documents"] not in new]
    measured.sort(key=lambda figures: figures["documents"])
    _print_growth(measured, args.extrapolate)
    if args.plot:
        from scale_plot import draw

        draw(measured, args.plot)
        print(f"\n{args.plot}")
    bad = [f for f in measured if f["truth"]["faults"] or f["truth"]["recall"] < RECALL]
    return 1 if bad else 0


def _size(corpus: Path, args: argparse.Namespace) -> Figures:
    """Measure the job on one corpus, print, save, and return its figures."""
    docs = corpus / "docs"
    documents = ds.dataset(docs, format="parquet").count_rows()
    print(f"{documents:,} documents: {corpus}", flush=True)
    with scratch(args.temp) as folder:
        output, log, looks = folder / "job", folder / "events", list[Look]()
        options = ["--threshold", str(args.threshold), *args.option]
        env = spark_environment(args.driver_memory, args.cores, [*event_log.settings(log), *args.conf])
        measured = measure_checked(job_command(docs, output, *options), env=env, tell=looks.append)
        metrics = json.loads((output / "metrics.json").read_text())
        stages = event_log.read(log)
        figures: Figures = {
            "documents": documents,
            "machine": machine(),
            "text_bytes": metrics["input"]["text_bytes"],
            "cpu_s": measured.cpu_s,
            "wall_s": measured.wall_s,
            "note": measured.note,
            "peak_mb": measured.peak_rss_mb,
            "largest_worker_mb": max(measured.worker_peaks_mb, default=0.0),
            "stages": _by_stage(metrics["stages"], stages, looks),
            "shuffled": event_log.shuffled(stages),
            "skewed": [f"{stage.number} {stage.label}" for stage in event_log.skewed(stages, 5.0, 10.0)],
            "counts": metrics["counts"],
            "candidates": metrics["candidates"],
            "estimated_recall": metrics["recall"]["estimate"],
        }
        _print_size(figures)
        held = hold(corpus, output, args.threshold)
        figures["truth"] = {**asdict(held), "recall": held.recall, "faults": held.faults}
        _print_truth(figures["truth"])
        shutil.rmtree(output)
        if not args.no_copy:
            figures["copy_cpu_s"] = _copy(docs, folder / "copy", args)
            ratio = measured.cpu_s / figures["copy_cpu_s"]
            print(f"  Spark's copy with our options {figures['copy_cpu_s']:.1f} CPU s: ratio {ratio:.2f}")
    print(flush=True)
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
        (args.save / f"{documents:09}.json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def _copy(docs: Path, target: Path, args: argparse.Namespace) -> float:
    """CPU seconds of Spark's copy."""
    env = spark_environment(args.driver_memory, args.cores, args.conf)
    command = [sys.executable, str(ROOT / "benchmarks" / "spark_copy.py"), str(docs), str(target)]
    return measure_checked(command, env=env).cpu_s


def _by_stage(
    run: Sequence[dict[str, Any]], spark: Sequence[event_log.SparkStage], looks: Sequence[Look]
) -> list[dict[str, Any]]:
    """CPU seconds, wall seconds and peak memory of each stage of the run, and of its start and end.

    Stages follow one another; the first begins with its first tasks.
    """
    begin = min(stage.begin for stage in spark if stage.label == run[0]["name"])
    edges = [looks[0].time, begin]
    for stage in run:
        edges.append(edges[-1] + stage["seconds"])
    edges.append(max(looks[-1].time, edges[-1]))
    names = ["start", *(stage["name"] for stage in run), "end"]
    found = []
    for name, first, last in zip(names, edges[:-1], edges[1:], strict=True):
        here = [look for look in looks if first <= look.time < last] or [
            min(looks, key=lambda look: abs(look.time - first))
        ]
        found.append(
            {
                "name": name,
                "wall_s": round(last - first, 2),
                "cpu_s": round(_cpu_at(looks, last) - _cpu_at(looks, first), 2),
                **{f"{part}_mb": round(max(look.resident[part] for look in here) / 1e6) for part in PARTS},
                "largest_worker_mb": round(max(look.largest_worker for look in here) / 1e6),
                "longest_task_s": max((stage.longest for stage in spark if stage.label == name), default=0.0),
            }
        )
    return found


def _cpu_at(looks: Sequence[Look], time: float) -> float:
    """CPU seconds at a moment, between two looks."""
    before = next((look for look in reversed(looks) if look.time <= time), looks[0])
    after = next((look for look in looks if look.time > time), looks[-1])
    if after.time <= before.time:
        return before.cpu_s
    share = min(1.0, (time - before.time) / (after.time - before.time))
    return before.cpu_s + share * (after.cpu_s - before.cpu_s)


def _print_size(figures: Figures) -> None:
    n, counts, candidates = figures["documents"], figures["counts"], figures["candidates"]
    print(
        f"  {counts['removed']:,} removed ({counts['exact']:,} exact), {candidates['pairs']:,} pairs compared, "
        f"of kept documents at most {candidates['uncompared_pairs']:,} left uncompared\n"
        f"  {figures['wall_s']:.0f} s, {figures['cpu_s']:.1f} CPU s "
        f"({figures['cpu_s'] - figures['stages'][0]['cpu_s']:.1f} after the start), "
        f"{1e6 * figures['cpu_s'] / n:,.0f} CPU µs a document, "
        f"{figures['text_bytes'] / figures['cpu_s'] / 1e6:.1f} MB of text a CPU s; "
        f"peak RSS of all {figures['peak_mb']:,.0f} MB, largest worker {figures['largest_worker_mb']:,.0f} MB"
    )
    per_document = {name: size / n for name, size in figures["shuffled"].items() if size}
    print("  shuffled bytes a document: " + ", ".join(f"{k or 'other'} {v:,.0f}" for k, v in per_document.items()))
    if figures["skewed"]:
        print(f"  SKEW in Spark's stages {', '.join(figures['skewed'])}")
    if figures["note"]:
        print(f"  note: {figures['note']}")
    print_table(
        (
            "stage",
            "wall s",
            "CPU s",
            "CPU µs a document",
            "JVM MB",
            "driver MB",
            "workers MB",
            "largest",
            "longest task",
        ),
        [
            (
                stage["name"],
                f"{stage['wall_s']:.1f}",
                f"{stage['cpu_s']:.1f}",
                f"{1e6 * stage['cpu_s'] / n:,.0f}",
                *(f"{stage[f'{part}_mb']:,}" for part in PARTS),
                f"{stage['largest_worker_mb']:,}",
                f"{stage['longest_task_s']:.1f}",
            )
            for stage in figures["stages"]
        ],
    )
    sys.stdout.flush()


def _print_truth(truth: Figures) -> None:
    print(
        f"  recall {truth['recall']:.5f} ({truth['missed']:,} of {truth['pairs']:,} true pairs both stay); of "
        f"{truth['removed']:,} removed {truth['without_kept']:,} without a kept document, {truth['below']:,} below the "
        f"threshold, {truth['strangers']:,} for one of another cluster; of {truth['computed']:,} similarities computed "
        f"anew {truth['differing']:,} differ",
        flush=True,
    )


def _print_growth(measured: Sequence[Figures], beyond: int) -> None:
    """Print the costs of all sizes, how each stage grows, and what a larger corpus would come to."""
    print("CPU µs a document by stage; growth: the exponent g of CPU ~ documents^g between the two largest sizes\n")
    names = [stage["name"] for stage in measured[-1]["stages"]]
    cost = [{stage["name"]: stage["cpu_s"] for stage in figures["stages"]} for figures in measured]
    last = measured[-1]["documents"]
    rows, total = [], 0.0
    for name in names:
        growth = _exponent(measured, [each.get(name, 0.0) for each in cost])
        fixed = name in ("start", "end")
        # Without two sizes growth is not known; a stage that grows less than its documents is not trusted to go on so.
        factor = 1.0 if fixed else (beyond / last) ** max(1.0, growth or 1.0)
        total += cost[-1][name] * factor
        per_document = [
            f"{1e6 * each.get(name, 0.0) / figures['documents']:,.0f}"
            for each, figures in zip(cost, measured, strict=True)
        ]
        told = "fixed" if fixed else "-" if growth is None else f"{growth:.2f}"
        rows.append((name, *per_document, told, f"{cost[-1][name] * factor:,.0f}"))
    whole = [f"{1e6 * figures['cpu_s'] / figures['documents']:,.0f}" for figures in measured]
    rows.append(("all", *whole, "", f"{total:,.0f}"))
    print_table(("stage", *(f"{f['documents']:,}" for f in measured), "growth", f"CPU s at {beyond:,}"), rows)
    for smaller, larger in pairwise(measured):
        ratio = (larger["cpu_s"] / larger["documents"]) / (smaller["cpu_s"] / smaller["documents"])
        print(f"CPU a document from {smaller['documents']:,} to {larger['documents']:,}: {ratio:.3f} times")
    print(f"{beyond:,} documents: {total / 3600:.1f} CPU hours, {total / 3600 / 2:.1f} hours on two cores kept busy")


def _exponent(measured: Sequence[Figures], cost: Sequence[float]) -> float | None:
    """The exponent of a cost's growth between the two largest sizes; None where there are not two, or no cost."""
    if len(measured) < 2 or min(cost[-2:]) < 0.2:
        return None
    return math.log(cost[-1] / cost[-2]) / math.log(measured[-1]["documents"] / measured[-2]["documents"])


if __name__ == "__main__":
    sys.exit(main())
