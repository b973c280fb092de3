"""The face of the clusters: one word for each thing that is done with one."""

from __future__ import annotations

import argparse

from sparkprep.console import add_debug
from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.jobs import JOBS, RunSettings
from sparkprep.emr.running.status import LINES
from sparkprep.emr.stage.staging import DEFAULT_SAMPLES
from sparkprep.emr.verbs import on_cluster, on_serverless
from sparkprep.emr.verbs.telling import tell_next
from sparkprep.kinds import Integer
from sparkprep.options import add_options

EPILOG = """\
examples:
  %(prog)s plan                                         the course's cluster: what fits, what 5,000,000 documents cost
  %(prog)s plan --json --core-nodes 2 --documents 500000
  %(prog)s plan --jobs extract,filter,dedup,tokens,shards --text-gb 30
  %(prog)s plan --serverless
  %(prog)s stage s3://bucket/sparkprep                  the wheels, jobs, bootstrap and a graded subset
  %(prog)s launch s3://bucket/sparkprep --dry-run       the whole request and its cost; nothing is asked for
  %(prog)s launch s3://bucket/sparkprep
  %(prog)s launch s3://bucket/sparkprep --input s3://bucket/docs --output s3://bucket/run   ends when the jobs have
  %(prog)s submit j-2AXXXXXXGAPLF --input s3://bucket/docs --output s3://bucket/run
  %(prog)s status                                       the clusters that are billed
  %(prog)s status j-2AXXXXXXGAPLF --follow
  %(prog)s fetch j-2AXXXXXXGAPLF run --parts logs,reports,shards
  %(prog)s terminate j-2AXXXXXXGAPLF

Everything is staged below one s3:// prefix first. Each command ends with the one that comes next. --dry-run of each
prints what AWS would be asked for, and asks for nothing. docs/emr.md walks through it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of a cluster."""
    parser.epilog = EPILOG
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")

    def kind(name: str, about: str) -> argparse.ArgumentParser:
        added = kinds.add_parser(name, help=about, description=about)
        added.add_argument("--dry-run", action="store_true", help="print what AWS would be asked for; ask for nothing")
        add_debug(added)
        return added

    plan = kind("plan", "what fits on a cluster, and what it costs; asks AWS for nothing")
    plan.add_argument("prefix", nargs="?", metavar="S3-PREFIX", help="where everything is staged")
    plan.add_argument("--json", action="store_true", help="print it as JSON, the whole request included")
    plan.add_argument("--jobs", default=RunSettings().jobs, metavar="A,B",
                      help=f"which are reckoned, with commas, of {','.join(job.name for job in JOBS)} "
                      "(default %(default)s)")  # fmt: skip
    _add_cluster(plan)
    stage = kind("stage", "build wheel and wheelhouse, and put all that a cluster needs below a prefix on S3")
    stage.add_argument("prefix", metavar="S3-PREFIX", help="where everything goes")
    _add_region_alone(stage, "that the bucket is to lie in (default: whichever it lies in)")
    stage.add_argument("--wheels-in", metavar="FOLDER", help="wheels that are there already: nothing is downloaded")
    stage.add_argument("--samples", nargs="*", default=list(DEFAULT_SAMPLES), metavar="SIZE",
                       help="graded subsets, 1k or 10k, and folders of one's own (default 10k)")  # fmt: skip
    launch = kind("launch", "start a cluster; with --input and --output it runs the jobs and ends")
    launch.add_argument("prefix", metavar="S3-PREFIX", help="where everything is staged")
    launch.add_argument("--follow", action="store_true", help="go on telling how it is")
    launch.add_argument("--json", action="store_true", help="print plan and id as JSON, and nothing else on stdout")
    _add_cluster(launch)
    add_options(launch, RunSettings)
    submit = kind("submit", "give a cluster, or an application of EMR Serverless, the jobs of a run")
    submit.add_argument("cluster", metavar="ID", help="of the cluster or application, as `launch` has told")
    submit.add_argument("--staged", metavar="S3-PREFIX", help="where everything is staged (default: the cluster's)")
    submit.add_argument("--environment", metavar="S3-URI", help="on EMR Serverless: the packed environment")
    submit.add_argument("--role", metavar="ARN", help="on EMR Serverless: the role of the jobs")
    submit.add_argument("--follow", action="store_true", help="go on telling how it is")
    add_options(submit, RunSettings)
    _add_region(submit)
    status = kind("status", "how a cluster and its steps are; without an id, the clusters that are billed")
    status.add_argument("cluster", nargs="?", metavar="ID")
    status.add_argument("--follow", action="store_true", help="go on until its steps are over or it has ended")
    status.add_argument("--lines", type=Integer(0, 1000), default=LINES, metavar="N",
                        help=f"last lines of the driver's log (default {LINES})")  # fmt: skip
    _add_region(status)
    fetch = kind(
        "fetch",
        "bring a cluster's logs, reports, shards or rows into a folder, those of each run into one of its name; a file "
        "that is another than its object is replaced",
    )
    fetch.add_argument("cluster", metavar="ID")
    fetch.add_argument("folder", metavar="FOLDER")
    fetch.add_argument("--output", metavar="S3-URI", help="that run's alone (default: of all runs)")
    fetch.add_argument("--parts", default="logs,reports", metavar="A,B", help="of logs, reports, shards, rows")
    _add_region(fetch)
    terminate = kind("terminate", "end a cluster, or the jobs of an application")
    terminate.add_argument("cluster", metavar="ID")
    _add_region(terminate)


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say; UserError where it cannot be."""
    is_serverless = getattr(args, "serverless", False) or on_serverless.is_meant(getattr(args, "cluster", None))
    code = (on_serverless if is_serverless else on_cluster).VERBS[args.kind](args)
    if args.dry_run and args.kind != "plan" and not getattr(args, "json", False):
        tell_next(*(word for word in args.words if word != "--dry-run"))
    return int(code)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    add_options(parser, ClusterSettings)
    add_options(parser, WorkSettings)
    parser.add_argument("--prices", metavar="FILE", help="a table of prices (JSON) instead of the package's own")
    parser.add_argument("--serverless", action="store_true", help="on EMR Serverless, without nodes of one's own")


def _add_region_alone(parser: argparse.ArgumentParser, about: str) -> None:
    parser.add_argument("--region", metavar="REGION", help=about)


def _add_region(parser: argparse.ArgumentParser) -> None:
    _add_region_alone(parser, "(default: what AWS's settings say, or else us-east-1)")
    parser.add_argument("--prices", metavar="FILE", help="a table of prices (JSON) instead of the package's own")
