"""The face of the estimate: what a run will take, before it is paid for."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from sparkprep.commands import command
from sparkprep.console import Exit, add_debug, say, say_line
from sparkprep.dedup.settings import Settings
from sparkprep.emr.aws.control import region_of
from sparkprep.emr.cluster.settings import ClusterSettings
from sparkprep.emr.cost.formula import Factor
from sparkprep.emr.cost.prices import load
from sparkprep.emr.jobs import RunSettings, names_of
from sparkprep.emr.plan import Plan, make_plan
from sparkprep.emr.verbs.telling import given
from sparkprep.errors import UserError
from sparkprep.estimate.settings import EstimateSettings
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.options import add_options, from_arguments
from sparkprep.spark.displays import Nowhere, display_on
from sparkprep.spark.forecast import DEDUP
from sparkprep.summary import print_rows
from sparkprep.units import counted, human_bytes, human_duration

if TYPE_CHECKING:
    from sparkprep.estimate.expected import Expected

EPILOG = """\
examples:
  %(prog)s --input crawl/              documents, bytes, hours and dollars, from a sample: seconds
  %(prog)s --input crawl/ --scan       and how many near-duplicates there are: all texts are read once
  %(prog)s --input s3://bucket/docs --instance-type r5.2xlarge --core-nodes 3
  %(prog)s --input docs.jsonl.gz --jobs dedup --json

It takes the flags of `dedup`, which it is an estimate of, and those of a cluster, as `emr plan` has
them. No Spark is started. A sample cannot tell how many documents will be removed: of two that are alike, one per cent
of the documents holds both in one case of ten thousand. --scan can.
"""
_JOBS = "filter,dedup,tokens,shards"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sparkprep estimate`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="files or folders of Parquet or JSON Lines"
    )
    add_access(parser)
    parser.add_argument("--jobs", default=RunSettings().jobs, metavar="A,B",
                        help=f"which are reckoned, with commas, of {_JOBS} (default %(default)s)")  # fmt: skip
    add_options(parser, EstimateSettings)
    parser.add_argument("--json", action="store_true", help="print it as JSON, and nothing else on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the estimate")
    add_debug(parser)
    add_options(parser.add_argument_group("the job dedup"), Settings)  # type: ignore[arg-type]  # takes flags, too
    cluster = parser.add_argument_group("the cluster")
    add_options(cluster, ClusterSettings)  # type: ignore[arg-type]
    cluster.add_argument("--prices", metavar="FILE", help="a table of prices (JSON) instead of the package's own")


def run(args: argparse.Namespace) -> int:
    """Estimate as the arguments say, and print it."""
    settings, how = from_arguments(Settings, args), from_arguments(EstimateSettings, args)
    jobs = names_of(RunSettings(jobs=args.jobs))
    if "extract" in jobs:
        raise UserError("--jobs: extract reads archives, and the estimate is of documents: leave it out")
    cluster, prices = from_arguments(ClusterSettings, args), load(args.prices)
    region = region_of(cluster.region)

    def plan_of(gigabytes: Factor) -> Plan:
        return make_plan(cluster, gigabytes, prices, region, None, jobs=jobs)

    tell_access(args, args.input)

    from sparkprep.estimate.run import estimate  # with PyArrow and the kernels

    display = Nowhere() if args.quiet else display_on(sys.stderr)
    expected, warnings = estimate(args.input, jobs, settings, how, plan_of, display)
    warnings = [*warnings, *expected.plan.warnings]
    for warning in warnings:
        say_line(f"warning: {warning}", sys.stderr)
    if args.json:
        say(json.dumps({**expected.as_dict(), "warnings": warnings}, indent=1))
        return Exit.DONE
    print_rows(_rows(expected, how))
    text, documents = expected.text_bytes.expected / 1e9, round(expected.documents.expected)
    words = ["--documents", str(documents), "--text-gb", f"{text:.3g}", "--jobs", ",".join(jobs)]
    own_prices = ["--prices", args.prices] if args.prices else []
    say_line(f"next: {command('emr', 'plan', *words, *given(args, ClusterSettings), *own_prices)}")
    return Exit.DONE


def _rows(expected: Expected, how: EstimateSettings) -> list[tuple[str, str]]:
    """Return the estimate as rows of name and text."""
    found, documents, plan = expected.duplicates, expected.documents.expected, dict(expected.plan.rows())
    rows = [
        ("input", f"{counted(expected.files, 'file')}, {human_bytes(expected.stored)}"),
        ("looked at", f"{expected.sampled:,} documents in {expected.windows} windows, seed {how.sample_seed}"),
        ("documents", _count(expected.documents)),
        *([("rejected", _count(expected.rejected))] if expected.rejected.high else []),
        ("text", _bytes(expected.text_bytes)),
        *((f"shuffle, {job}", _bytes(each)) for job, each in expected.shuffled.items()),
    ]
    if "dedup" in expected.shuffled:
        unknown = "a sample cannot tell; --scan can (and of the shuffle, much of which hangs on it)"
        rows.append(("removed", _count(found.removed, documents) if found else unknown))
        rows += [("share a bucket", _count(found.sharing, documents))] if found else []
        if found and found.oversized.high:
            rows.append(("oversized", f"{_count(found.oversized, documents)} in buckets above the cap"))
        rows.append(("dedup here", _here(expected.text_bytes.expected)))
    return rows + [(name, plan[name]) for name in ("nodes", "an hour", "jobs take", "all takes", "it costs", "at most")]


def _here(text_bytes: float) -> str:
    cores = os.cpu_count() or 1
    seconds = sum(cost.fixed + cost.per_gb * text_bytes / 1e9 / cores for cost in DEDUP.values())
    return f"about {human_duration(seconds)} on this machine's {cores} cores, if they are as those of the costs"


def _bytes(factor: Factor) -> str:
    return _told(*(human_bytes(each) for each in factor))


def _count(factor: Factor, whole: float | None = None) -> str:
    if whole:
        return _told(*(f"{each:,.0f} ({100 * each / whole:.1f} %)" for each in factor))
    return _told(*(f"{each:,.0f}" for each in factor))


def _told(low: str, expected: str, high: str) -> str:
    return expected if low == high else f"{expected}, from {low} to {high}"
