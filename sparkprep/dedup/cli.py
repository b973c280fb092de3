"""The face of near-duplicate removal: arguments, what the run says, the summary at its end."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sparkprep.arguments import check_arguments
from sparkprep.commands import job, spark_submit
from sparkprep.console import add_debug, if_interrupted, safe_text, say, say_line
from sparkprep.dedup import wording
from sparkprep.dedup.contents import MADE, METRICS
from sparkprep.dedup.index.folder import check_index
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.thresholds import are_several, check_thresholds
from sparkprep.errors import UserError
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.left_out import left_out_row
from sparkprep.io.listing import list_files
from sparkprep.io.output import try_output
from sparkprep.io.paths import join_path
from sparkprep.io.run_folders import NOTHING_IN_PLACE
from sparkprep.journey import tell_next
from sparkprep.options import add_options, add_resume, add_work, from_arguments
from sparkprep.spark.clusters import SIZES, submit_line

EMBEDDED = ("1k", "10k")
EPILOG = """\
examples:
  spark-submit jobs/dedup.py --size 10k                         the embedded, graded subset of 10,000 documents
  spark-submit jobs/dedup.py --input crawl/ --output clean/     a folder of Parquet or JSON Lines (.gz, .zst too)
  python jobs/dedup.py --input docs.jsonl --output clean --threshold 0.7 --keep -score
  sparkprep dedup --size 1k --output at --threshold 0.7 0.8 0.9    three results, the text read as often as for one
  sparkprep dedup --size 500k --input s3://bucket/docs/ --output s3://bucket/clean/
  sparkprep dedup --input feb/ --output feb-clean/ --index crawls.index --crawl feb    against the crawls before it, too

output folder: kept/ (the input's rows and columns), removed/ (id, kept_id, jaccard, rule), rejected/ (bad input lines,
if any), metrics.json, report.html; of several thresholds, all that in a folder for each, as threshold-0.7/, below a
report.html that compares them
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments; those of the settings are made from `Settings`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--size",
        choices=list(SIZES),
        help="data set and Spark settings of that size; 1k and 10k bring their own documents",
    )
    parser.add_argument("--input", nargs="+", metavar="PATH", help="files or folders of Parquet or JSON Lines")
    parser.add_argument(
        "--output", metavar="FOLDER", help="folder to make (default: dedup-SIZE for an embedded subset)"
    )
    add_work(parser)
    add_resume(parser)
    add_access(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the output folder if it exists")
    parser.add_argument(
        "--index",
        metavar="FOLDER",
        help="an index of earlier crawls, made if it is not there: documents go for theirs too, and it gets these; "
        "not with --resume: a run that was killed starts anew, with the index as it was",
    )
    parser.add_argument("--crawl", metavar="NAME", help="what the index calls these documents, such as jan-2026")
    add_options(parser, Settings)
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    add_debug(parser)


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the settings that the arguments name. Raises UserError for what cannot work, before anything is asked."""
    return _settings(args)[0]


def run(args: argparse.Namespace) -> int:
    """Remove near-duplicates as the arguments say and print the summary."""
    settings, several = _settings(args)
    tell_access(args, args.input or [], [args.output, args.work, args.index])
    subset = args.size if args.size in EMBEDDED and not args.input else None
    output = args.output or (f"dedup-{subset}" if subset else None)
    if output is None:
        raise UserError("--output is missing: name the folder to make")
    with if_interrupted(NOTHING_IN_PLACE):
        check_index(
            args.index, args.crawl, settings, args.input or [], output, several.get("threshold", ()), args.resume
        )
        _try(args.input or [], settings.text_column, output, args)
        source, sample = _input(args)

        from sparkprep.dedup.pipeline import deduplicate
        from sparkprep.spark.displays import stream_of_face
        from sparkprep.spark.session import get_session

        size = SIZES[args.size] if args.size else None
        if size is not None and size.cluster is not None:
            script, *verb = job("dedup")
            line = submit_line(size, script, [*verb, *args.words], spark_submit())
            say(f"for the memory and executors of --size {size.name}, start it with:\n  {line}", stream=sys.stderr)
        spark = get_session(f"sparkprep dedup {args.size or ''}".strip(), size)
    result = deduplicate(
        source,
        settings,
        output=output,
        overwrite=args.overwrite,
        spark=spark,
        stream=stream_of_face(args.quiet),
        single_file=f"kept-{subset}.snappy.parquet" if subset else None,
        work=args.work,
        keep_work=args.keep_work,
        resume=args.resume,
        sample=sample,
        index=args.index,
        crawl=args.crawl,
        **several,
    )
    with if_interrupted(f"the result is whole in {result.output}"):
        say((comparison if several else summary)(result.metrics, output))
        if not several and result.metrics.get("counts", {}).get("kept"):
            tell_next("dedup", output, result.metrics["settings"])
    return 0


def _settings(args: argparse.Namespace) -> tuple[Settings, dict[str, Any]]:
    """Return the settings, and the keyword `threshold` where several are named: the settings hold the first then."""
    check_arguments(output=args.output, work=args.work, index=args.index, crawl=args.crawl)
    given = args.threshold
    if not are_several(given):
        return from_arguments(Settings, args), {}
    settings = from_arguments(Settings, argparse.Namespace(**vars(args) | {"threshold": given[0]}))
    return settings, {"threshold": check_thresholds(given, settings)}


def _try(source: list[str], text_column: str, output: str, args: argparse.Namespace) -> None:
    """Refuse at once, rather than when Spark has started, an input that is none, or a path that cannot be written."""
    try_output(output, args.overwrite, source, MADE, args.work, args.resume)
    if source:
        list_files(source, text_column)


def _input(args: argparse.Namespace) -> tuple[list[str], dict[str, Any] | None]:
    """Return the paths to read, and of which embedded subset they are, if of one."""
    if args.input:
        return list(args.input), None
    if args.size in EMBEDDED:
        from sparkprep.sample import embedded

        subset = embedded(args.size, announce=lambda line: say_line(line, sys.stderr))
        return [str(subset.documents)], subset.origin()
    if args.size:
        raise UserError(f"--size {args.size} has no documents of its own: name yours with --input")
    raise UserError("--input is missing: name files or folders, or take --size 1k or 10k for the embedded subsets")


def summary(metrics: dict[str, Any], output: str) -> str:
    """Return the table at the end of a run, as text."""
    counts, recall = metrics["counts"], metrics["recall"]
    share = f"{100 * counts['removed'] / counts['input']:.1f} %" if counts["input"] else "-"
    banding, sample = metrics["banding"], metrics["input"].get("sample")
    lines = [
        *([("subset", _subset(sample))] if sample else []),
        ("documents", f"{counts['input']:,}"),
        ("kept", f"{counts['kept']:,}"),
        ("removed", f"{counts['removed']:,} ({share}): {counts['exact']:,} exact, {counts['near']:,} near"),
        ("rejected", f"{counts['rejected']:,}"),
        *left_out_row(metrics, METRICS),
        ("without words", f"{counts['null_text'] + counts['empty_text'] + counts['no_words']:,}"),
        ("repeated ids", f"{counts['duplicate_ids']:,}"),
        (
            "banding",
            f"{banding['bands']} bands x {banding['rows']} rows, finds a pair at the threshold with probability "
            f"{banding['probability_at_threshold']:.4f}",
        ),
    ]
    if recall["estimate"] is not None:
        lines.append(("recall", wording.recall(recall)))
    if metrics.get("index") is not None:
        lines += _of_index(metrics["index"])
    if metrics["candidates"]["uncompared_pairs"]:
        lines.append(("not compared", wording.uncompared(metrics["candidates"]["uncompared_pairs"])))
    return _table(metrics, output, lines)


def _table(metrics: dict[str, Any], output: str, lines: list[tuple[str, str]]) -> str:
    """Return lines of what was found with those that every run ends with, as text."""
    lines += [
        ("seconds", f"{metrics['seconds']:.1f}"),
        ("output", safe_text(output)),
        ("report", safe_text(join_path(output, "report.html"))),
    ]
    table = "\n".join(f"  {name:<14} {safe_text(value)}" for name, value in lines)
    warnings = "".join(f"\n  warning: {safe_text(w)}" for w in metrics["warnings"][:5])
    more = len(metrics["warnings"]) - 5
    return table + warnings + (f"\n  and {more} more warnings in report.html" if more > 0 else "")


def comparison(metrics: dict[str, Any], output: str) -> str:
    """Return the table at the end of a run with several thresholds, as text."""
    sample = metrics["input"].get("sample")
    lines = [
        *([("subset", _subset(sample))] if sample else []),
        ("documents", f"{metrics['thresholds'][0]['counts']['input']:,}"),
        *left_out_row(metrics, METRICS),
    ]
    for each in metrics["thresholds"]:
        counts, recall = each["counts"], each["recall"]
        share = f"{100 * counts['removed'] / counts['input']:.1f} %" if counts["input"] else "-"
        lines.append(
            (
                f"at {each['threshold']:g}",
                f"{counts['kept']:,} kept, {counts['removed']:,} removed ({share}): {counts['exact']:,} exact, "
                f"{counts['near']:,} near"
                + (f"; recall {recall['estimate']:.4f} estimated" if recall["estimate"] is not None else "")
                + (", by the banding" if recall["excludes"] else "")
                + f"; {each['folder']}/",
            )
        )
    return _table(metrics, output, lines)


def _of_index(index: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the summary about an index."""
    before, own = index["removed_against"], index["crawl"]
    against = ", ".join(f"{name} {number:,}" for name, number in before.items() if name != own and number)
    what = "was there already, with these documents; it is as it was" if index["was_there"] else "now in it"
    return [
        ("index", f"{index['path']}: crawl {own} {what}"),
        ("removed for", f"{f'{against}, ' if against else ''}this crawl {before[own]:,}"),
    ]


def _subset(sample: dict[str, Any]) -> str:
    """Say which embedded subset was read: it is made of the documentation of what is installed, and changes with it."""
    python = sample["versions"].get("python")
    return (
        f"{sample['size']} with SHA-256 {sample['sha256'][:12]}..., of Python {python} and "
        f"{len(sample['versions']) - 1} packages (versions in {METRICS})"
    )
