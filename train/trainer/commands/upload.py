"""The face of `train/upload_to_s3.py`: which files of a run go into which bucket, and how that went."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from sparkprep.console import Exit, add_debug, say_line
from sparkprep.io import aws, s3
from sparkprep.parser import Parser
from sparkprep.units import human_bytes
from trainer.launch import guarded
from trainer.runs import upload
from trainer.runs.upload import UploadPlan, count_files

EPILOG = """\
examples:
  %(prog)s my-bucket log/d12 cluster-1            main.log and run_parameters.txt, as the notebook needs them
  %(prog)s my-bucket log/d12 cluster-1 --all      the checkpoints too
  %(prog)s my-bucket log/d12 cluster-1 --dry-run  only tell what would go where

Files go to s3://BUCKET/experiments/CLUSTER/NAME-OF-EXP/. Credentials are those of the aws command (environment,
~/.aws, the machine's role); they are never arguments. Hidden files are left out.

exit codes: docs/environment.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, upload and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def _parser() -> Parser:
    parser = Parser(description="Upload a run's logs to S3.", epilog=EPILOG)
    parser.add_argument("bucket", metavar="BUCKET", help="the bucket's name, or s3://NAME")
    parser.add_argument("experiment", metavar="EXP", help="the run's folder (the trainer's -o)")
    parser.add_argument("cluster", metavar="CLUSTER", help="the name under which runs are gathered")
    parser.add_argument("--all", action="store_true", help="weights and all other files too, not only *.txt and *.log")
    parser.add_argument("--endpoint-url", metavar="URL", help="a server of S3's protocol other than Amazon's")
    parser.add_argument("--region", help=f"the bucket's region (default: AWS's own settings, else {aws.REGION})")
    parser.add_argument("--dry-run", action="store_true", help="list files and keys, upload nothing")
    parser.add_argument("--quiet", action="store_true", help="print failures alone")
    add_debug(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Upload as the arguments say; CHECK_FAILED where a file failed. Raises UserError where nothing can be begun."""
    bucket = s3.bucket_name(args.bucket)
    plan = upload.plan_upload(args.experiment, args.cluster, everything=args.all)
    for sentence in plan.left_out:
        say_line(f"left out: {sentence}", sys.stderr)
    if args.dry_run:
        for item in plan.items:
            say_line(f"would upload {item.path} ({human_bytes(item.size)}) to s3://{bucket}/{item.key}")
        say_line(f"would upload {count_files(len(plan.items))}, {human_bytes(plan.bytes)}")
        return 0
    aws.check_bucket(args.endpoint_url, args.region, bucket)
    failures = [*plan.unreadable, *_send(aws.client(args.endpoint_url, args.region), bucket, plan, quiet=args.quiet)]
    for failure in failures:
        say_line(f"failed: {failure}", sys.stderr)
    done = len(plan.items) + len(plan.unreadable) - len(failures)
    if failures:
        say_line(f"{count_files(len(failures))} failed, {done} uploaded; run the same command again", sys.stderr)
    elif not args.quiet:
        folder = "/".join(plan.items[0].key.split("/")[:3])
        say_line(f"uploaded {count_files(done)}, {human_bytes(plan.bytes)}, to s3://{bucket}/{folder}/")
    return Exit.CHECK_FAILED if failures else Exit.DONE


def _send(client: Any, bucket: str, plan: UploadPlan, *, quiet: bool) -> list[str]:
    """Upload the files of a plan, with a bar on a terminal; return a sentence for each that failed."""
    on_terminal = sys.stderr.isatty()
    hidden = quiet or not on_terminal
    failures = []
    with tqdm(total=plan.bytes, unit="B", unit_scale=True, desc="upload", disable=hidden, leave=False) as bar:
        for item in plan.items:
            failure = s3.upload(client, bucket, item.key, item.path, bar.update)
            if failure is not None:
                failures.append(failure)
            elif not (quiet or on_terminal):
                say_line(f"s3://{bucket}/{item.key} ({human_bytes(item.size)})")
    return failures
