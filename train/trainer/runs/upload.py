"""Put a run's files into a bucket, under the keys that the course's notebook looks for.

A file of EXP becomes `experiments/CLUSTER/<name of EXP>/<its path inside EXP>`.
"""

from __future__ import annotations

import argparse
import io
import os
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from tqdm import tqdm

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.paths import is_local, normalise
from sparkprep.units import human_bytes
from trainer.console import add_debug, guarded
from trainer.runs import s3

PART_BYTES = 8 << 20
"""A larger file goes up in parts of this size, several at a time."""

EPILOG = """\
examples:
  %(prog)s my-bucket log/d12 cluster-1            main.log and run_parameters.txt, as the notebook needs them
  %(prog)s my-bucket log/d12 cluster-1 --all      the checkpoints too
  %(prog)s my-bucket log/d12 cluster-1 --dry-run  only tell what would go where

Files go to s3://BUCKET/experiments/CLUSTER/NAME-OF-EXP/. Credentials are those of the aws command (environment,
~/.aws, the machine's role); they are never arguments. Hidden files are left out.

exit code: 0; 1 where some files failed (they are listed); 2 where nothing could be begun
"""


@dataclass(frozen=True)
class Item:
    """One file to upload. size: bytes when it was listed."""

    path: str
    key: str
    size: int


@dataclass(frozen=True)
class Plan:
    """What to upload, sorted by key, and sentences about what is left out or cannot be read."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...]
    unreadable: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and upload; the exit code is told in EPILOG."""
    parser = argparse.ArgumentParser(
        description="Upload a run's logs to S3.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("bucket", metavar="BUCKET", help="the bucket's name, or s3://NAME")
    parser.add_argument("experiment", metavar="EXP", help="the run's folder (the trainer's -o)")
    parser.add_argument("cluster", metavar="CLUSTER", help="the name under which runs are gathered")
    parser.add_argument("--all", action="store_true", help="weights and all other files too, not only *.txt and *.log")
    parser.add_argument("--endpoint-url", metavar="URL", help="a server of S3's protocol other than Amazon's")
    parser.add_argument("--region", help=f"the bucket's region (default: AWS's own settings, else {s3.REGION})")
    parser.add_argument("--dry-run", action="store_true", help="list files and keys, upload nothing")
    parser.add_argument("--quiet", action="store_true", help="print failures alone")
    add_debug(parser)
    return guarded(run, parser.parse_args(argv))


def run(args: argparse.Namespace) -> int:
    """Upload as the arguments say: 0, or 1 where a file failed. Raises UserError where nothing can be begun."""
    bucket = s3.bucket_name(args.bucket)
    plan = plan_upload(args.experiment, args.cluster, everything=args.all)
    for sentence in plan.left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    total = sum(item.size for item in plan.items)
    if args.dry_run:
        for item in plan.items:
            print(f"would upload {item.path} ({human_bytes(item.size)}) to s3://{bucket}/{item.key}")
        print(f"would upload {_files(len(plan.items))}, {human_bytes(total)}")
        return 0
    s3.check_bucket(args.endpoint_url, args.region, bucket)
    client = s3.client(args.endpoint_url, args.region)
    on_terminal = sys.stderr.isatty()
    with tqdm(
        total=total, unit="B", unit_scale=True, desc="upload", disable=args.quiet or not on_terminal, leave=False
    ) as bar:
        failures = list(plan.unreadable)
        for item in plan.items:
            failure = send(client, bucket, item, bar.update)
            if failure is not None:
                failures.append(failure)
            elif not (args.quiet or on_terminal):
                print(f"s3://{bucket}/{item.key} ({human_bytes(item.size)})", flush=True)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    done = len(plan.items) + len(plan.unreadable) - len(failures)
    if failures:
        print(f"{_files(len(failures))} failed, {done} uploaded; run the same command again", file=sys.stderr)
    elif not args.quiet:
        folder = plan.items[0].key.split("/")[:3]
        print(f"uploaded {_files(done)}, {human_bytes(total)}, to s3://{bucket}/{'/'.join(folder)}/")
    return 1 if failures else 0


def plan_upload(folder: str, cluster: str, *, everything: bool = False) -> Plan:
    """The files of a run's folder and the keys they get: those ending in .txt and .log, or all that are not hidden.

    Links to folders, and links to files outside the folder, are left out. Raises UserError for a missing folder, a
    cluster that can be no part of a key, and where nothing is left to upload.
    """
    s3.check_name(cluster, "a cluster's name")
    if not is_local(folder):
        raise UserError(f"{folder}: only a local folder can be uploaded")
    top = normalise(folder)
    if not os.path.isdir(top):
        what = "is a file" if os.path.exists(top) else "no such folder"
        raise UserError(f"{folder}: {what}; give the folder that the trainer wrote to (its -o)")
    prefix = f"{s3.ROOT}/{cluster}/{s3.check_name(experiment_name(folder), 'the name of a run')}"
    items: list[Item] = []
    left_out: list[str] = []
    unreadable: list[str] = []
    inside = os.path.realpath(top) + os.sep
    passed_over = 0

    def cannot_list(error: OSError) -> None:
        unreadable.append(f"{error.filename}: cannot be listed: {cause(error)}")

    for current, folders, names in os.walk(top, onerror=cannot_list):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        left_out += [
            f"{path} (a link to a folder)" for name in folders if os.path.islink(path := os.path.join(current, name))
        ]
        for name in sorted(names):
            path = os.path.join(current, name)
            if name.startswith(".") or not (everything or name.endswith(s3.LOG_SUFFIXES)):
                passed_over += 1
            elif os.path.islink(path) and not os.path.realpath(path).startswith(inside):
                left_out.append(f"{path} (a link out of the folder)")
            else:
                _add(items, left_out, unreadable, path, prefix, os.path.relpath(path, top))
    if not (items or unreadable):
        others = "" if not passed_over else f" ({_files(passed_over)} of other kinds or hidden)"
        hint = "run the trainer first" if everything else "give the trainer's -o, or add --all for all kinds of files"
        raise UserError(f"{folder}: nothing to upload{others}; {hint}")
    return Plan(tuple(sorted(items, key=lambda item: item.key)), tuple(left_out), tuple(unreadable))


def experiment_name(folder: str) -> str:
    """The name of a folder as it was given, or its real one where `.` or `..` were given; no matter its last slash."""
    name = os.path.basename(folder.rstrip("/"))
    return os.path.basename(os.path.realpath(folder)) if name in ("", ".", "..", "~") else name


def send(client: Any, bucket: str, item: Item, on_bytes: Callable[[int], object]) -> str | None:
    """Upload one file; None, or a sentence that names it and why it failed. on_bytes: called with bytes sent.

    Raises UserError where no file can be uploaded any more: wrong credentials, no bucket.
    """
    try:
        with open(item.path, "rb") as file:
            before = _state(os.fstat(file.fileno()))
            # What is small is read first, so that a log which is emptied meanwhile cannot leave a request unfinished;
            # of a larger file the parts are.
            body = io.BytesIO(file.read()) if before[0] <= PART_BYTES else file
            client.upload_fileobj(body, bucket, item.key, Callback=on_bytes, Config=_transfer())
        if _state(os.stat(item.path)) != before:
            return f"{item.path}: changed while it was uploaded; upload it again when nothing writes to it"
    except OSError as error:
        return f"{item.path}: cannot be read: {cause(error)}"
    except (BotoCoreError, ClientError, Boto3Error, ValueError) as error:
        if s3.is_fatal(error):
            raise UserError(f"bucket {bucket}: {s3.explain(error)}") from error
        return f"{item.path}: {s3.explain(error)}"
    return None


def _add(items: list[Item], left_out: list[str], unreadable: list[str], path: str, prefix: str, relative: str) -> None:
    key = f"{prefix}/{relative.replace(os.sep, '/')}"
    try:
        key.encode("utf-8")
        found = os.stat(path)
    except UnicodeEncodeError:
        unreadable.append(f"{os.fsencode(path)!r}: its name is not UTF-8, as a key must be; rename it")
    except OSError as error:
        unreadable.append(f"{path}: cannot be read: {cause(error)}")
    else:
        if stat.S_ISREG(found.st_mode):
            items.append(Item(path, key, found.st_size))
        else:
            left_out.append(f"{path} (no ordinary file)")  # a pipe would be waited for without end


def _transfer() -> TransferConfig:
    return TransferConfig(multipart_threshold=PART_BYTES + 1, multipart_chunksize=PART_BYTES, max_concurrency=8)


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
