"""The face of `sparkprep clean`: what killed runs left at a place, told and removed, and nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from sparkprep.console import add_debug, if_interrupted, say_line
from sparkprep.errors import UserError
from sparkprep.io.cleaning import Choice, find, remove
from sparkprep.io.leftovers import Leftover, State
from sparkprep.io.liveness import IDLE_SECONDS
from sparkprep.units import counted, human_bytes, human_duration

_IDLE_MINUTES = f"{IDLE_SECONDS / 60:.0f} minutes"
EPILOG = f"""\
examples:
  %(prog)s s3://bucket/clean --dry-run        what killed runs of `dedup --output s3://bucket/clean` left
  %(prog)s s3://bucket/clean                  remove it
  %(prog)s s3://bucket                        all that killed runs left in a bucket
  %(prog)s data/                              in a local folder

Removed are folders of our own runs (NAME.partial-ID, sparkprep-ID of --work), tables in an index of crawls that its
manifest does not name and, on S3, uploads in parts that such a run began and never ended: they are billed and not
listed. A result stays, also one that is finished and not in place;
so do finished shards, and whatever else there is. A run that is still at work is refused: on a disk its lock tells, on
S3 whether it has written there in the last {_IDLE_MINUTES}.

exit code: 0; 2 where a run is still at work, or something cannot be listed or deleted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "place", metavar="PREFIX", help="output, --work place, or anything above them: a folder or an s3:// URI"
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
    parser.add_argument("--kept-work", action="store_true", help="remove also what --keep-work kept of failed runs")
    parser.add_argument(
        "--even-if-running",
        action="store_true",
        help=f"remove also what was written to in the last {_IDLE_MINUTES}; a run that is still at work there fails",
    )
    add_debug(parser)


def run(args: argparse.Namespace) -> int:
    """Tell and remove. Raises UserError where a run is still at work, when all else is done."""
    now = datetime.now(UTC)
    found = find(args.place, Choice(now, args.kept_work, args.even_if_running))
    dead = [each for each in found if each.state is State.DEAD]
    for each in found:
        if each.state in (State.STAYS, State.KEPT):
            say_line(f"stays: {each.path}: {_what(each, now)}{_of_kept(each)}")
    with if_interrupted("what is not told of yet is still there; the same command goes on"):
        for each in dead:
            say_line(f"{'would remove' if args.dry_run else 'removing'} {each.path}: {_what(each, now)}")
            if not args.dry_run:
                remove(each)
    running = [each for each in found if each.state is State.RUNNING]
    if dead or not running:
        say_line(_summary(dead, args.place, dry=args.dry_run))
    _refuse(running, now)
    return 0


def _what(leftover: Leftover, now: datetime) -> str:
    """Return what a leftover is: how much, how old, why it stays."""
    parts = []
    if leftover.files:
        parts.append(f"{counted(leftover.files, 'file')} of {human_bytes(leftover.size)}")
    if leftover.uploads:
        parts.append(f"{counted(leftover.uploads, 'unfinished upload')} of {human_bytes(leftover.uploaded)}")
    if leftover.written is not None:
        parts.append(f"last written {human_duration(max(0.0, (now - leftover.written).total_seconds()))} ago")
    return ": ".join(filter(None, [", ".join(parts), leftover.why]))


def _of_kept(leftover: Leftover) -> str:
    return f": {leftover.state.value}; --kept-work removes it" if leftover.state is State.KEPT else ""


def _summary(dead: Sequence[Leftover], place: str, *, dry: bool) -> str:
    if not dead:
        return f"{place}: nothing there that a killed run has left"
    size = sum(each.size + each.uploaded for each in dead)
    files, uploads = sum(each.files for each in dead), sum(each.uploads for each in dead)
    also = f" and {counted(uploads, 'unfinished upload')}" if uploads else ""
    begin = "to be removed" if dry else "removed"
    return f"{begin}: {counted(files, 'file')}{also}, {human_bytes(size)} in all"


def _refuse(running: Sequence[Leftover], now: datetime) -> None:
    """Raise UserError that names the first place at which a run is at work."""
    if not running:
        return
    first, more = running[0], f", and {counted(len(running) - 1, 'other place')} are too" if running[1:] else ""
    raise UserError(
        f"{first.path}: in use by a run that is still at work ({_what(first, now)}){more}: left as it is; wait for its "
        "end, or end it; where no run is, --even-if-running removes it"
    )
