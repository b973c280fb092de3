"""What happens when a paid run is over: its files go into a bucket and are compared there, then the machine goes off.

A machine that stays on costs money, and one that goes off too early may take the weights with it. So none is shut down
before every object has the size and the SHA-256 of its file, or before the hours that were given for that have passed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparkprep.console import Exit
from sparkprep.errors import UserError
from sparkprep.io import aws, s3
from sparkprep.units import human_bytes
from trainer.runs import upload

RETRY_SECONDS = 600.0
"""Between two attempts of an upload that failed."""

_EXAMPLE = "upload=my-bucket/experiments/full_gpt,shutdown"
_PROBE = "upload_check.txt"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """bucket, prefix: where the run's folder goes, under its own name; no upload where the bucket is empty.

    shutdown: the command, as words; empty for none. anyway_after: hours after which it is run although the run or the
    upload failed, None for never.
    """

    bucket: str
    prefix: str
    shutdown: tuple[str, ...]
    anyway_after: float | None = None

    def place(self, folder: str) -> str:
        """Return the key under which the files of a run's folder go."""
        return f"{self.prefix}/{s3.check_name(upload.experiment_name(folder), 'the name of a run')}"


def parse(then: str, shutdown_command: str, anyway_after: float | None) -> Ending:
    """Return what `upload=BUCKET/FOLDER`, `shutdown` or both, with a comma between, ask for. Raises UserError."""
    bucket = prefix = ""
    shutdown: tuple[str, ...] = ()
    for word in then.split(","):
        name, _, value = word.strip().partition("=")
        if name == "upload":
            bucket, prefix = _destination(value)
        elif (name, value) == ("shutdown", ""):
            shutdown = tuple(shlex.split(shutdown_command))
        else:
            raise UserError(f"--then {then}: {word!r} is neither upload=BUCKET/FOLDER nor shutdown; as in {_EXAMPLE}")
    if anyway_after is not None and not shutdown:
        raise UserError("--shutdown-anyway-after means nothing without a shutdown; give --then upload=...,shutdown")
    return Ending(bucket, prefix, shutdown, anyway_after)


def check(ending: Ending, folder: str) -> None:
    """Try, before the run, what will be done after it: that the bucket can be written and read, the command be run.

    A small object, upload_check.txt, stays in the bucket. Raises UserError for what would fail.
    """
    if ending.shutdown:
        program = ending.shutdown[0]
        if shutil.which(program) is None:
            raise UserError(f"--shutdown-command: {program} is no program here; give the one that ends this machine")
        if program == "shutdown" and os.geteuid() != 0:
            raise UserError("--then shutdown: only root may; give --shutdown-command 'sudo -n shutdown -h now'")
    if ending.bucket:
        aws.check_bucket(None, None, ending.bucket)
        key = f"{ending.place(folder)}/{_PROBE}"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("Written before the run, to see that what it leaves can be.\n")
            file.flush()
            failure = s3.upload_and_compare(aws.client(None, None), ending.bucket, key, file.name)
        if failure is not None:
            raise UserError(f"--then upload: {failure.replace(file.name, f's3://{ending.bucket}/{key}')}")


def told(ending: Ending, folder: str) -> list[str]:
    """Return a line for each thing that will be done."""
    lines = []
    if ending.bucket:
        lines.append(f"upload {folder} to s3://{ending.bucket}/{ending.place(folder)}/, and compare each object there")
    if ending.shutdown:
        lines.append(f"{'after that, if all is well, ' if ending.bucket else ''}run: {shlex.join(ending.shutdown)}")
    if ending.anyway_after is not None:
        lines.append(f"where run or upload fail, run it {ending.anyway_after:g} hours later all the same")
    return lines


def carry_out(
    ending: Ending,
    folder: str,
    say: Say,
    *,
    run_failed: bool = False,
    shut_down: bool = True,
    wait: Callable[[float], None] = time.sleep,
) -> Exit:
    """Upload the folder's files, compare, then shut down; CHECK_FAILED where a file could not be brought there.

    run_failed: what there is goes up, and the machine goes off after `anyway_after` hours or not at all. shut_down:
    False tells of the command only. wait: sleeps so many seconds. A failed upload is tried again until the hours are
    over, and once only where none were given. Raises UserError where the command fails.
    """
    begun = time.monotonic()
    failures = _upload(ending, folder, say)
    hours = ending.anyway_after
    while hours is not None and (failures or run_failed):
        left = 3600 * hours - (time.monotonic() - begun)
        if left <= 0:
            break
        wait(min(left, RETRY_SECONDS))
        if failures:
            failures = _upload(ending, folder, say)
    if ending.shutdown and (failures or run_failed) and hours is None:
        say("shutdown     NOT done: the machine stays on; see above, and shut it down yourself")
    elif ending.shutdown:
        say(f"shutdown     {shlex.join(ending.shutdown)}{'' if shut_down else ' (only told here, not done)'}")
        if shut_down:
            _run(ending.shutdown)
    return Exit.CHECK_FAILED if failures else Exit.DONE


def _destination(value: str) -> tuple[str, str]:
    """Return bucket and prefix in `BUCKET/FOLDER`, also with s3:// before them."""
    bucket, _, prefix = value.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not prefix:
        raise UserError(f"--then upload={value}: give a bucket and a folder in it, as in {_EXAMPLE}")
    for part in prefix.split("/"):
        s3.check_name(part, "a part of a folder in a bucket")
    return s3.bucket_name(bucket), prefix


def _upload(ending: Ending, folder: str, say: Say) -> list[str]:
    """Upload and compare all files of the folder; return a sentence for each that failed, which are told too."""
    if not ending.bucket:
        return []
    try:
        plan = upload.plan_files(folder, ending.place(folder), everything=True)
        for sentence in plan.left_out:
            say(f"upload       left out: {sentence}")
        failures = [*plan.unreadable, *_send(aws.client(None, None), ending.bucket, plan)]
    except UserError as error:  # no network, credentials that have run out: the next attempt may go better
        failures = [str(error)]
    for failure in failures:
        say(f"upload       failed: {failure}")
    if not failures:
        say(
            f"upload       {upload.count_files(len(plan.items))}, {human_bytes(plan.bytes)}, are in "
            f"s3://{ending.bucket}/{ending.place(folder)}/ with the sizes and SHA-256 that they have here"
        )
    return failures


def _send(client: Any, bucket: str, plan: upload.UploadPlan) -> list[str]:
    """Upload and compare the files of a plan; return a sentence for each that failed."""
    compared = [s3.upload_and_compare(client, bucket, item.key, item.path) for item in plan.items]
    return [failure for failure in compared if failure is not None]


def _run(command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        raise UserError(f"{command[0]}: cannot be run ({error.strerror}); the machine stays on") from error
    if done.returncode:
        raise UserError(f"{shlex.join(command)}: ended with code {done.returncode}; the machine stays on")
