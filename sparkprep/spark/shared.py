"""Whether the workers of a cluster can read and write the places that the driver was told of, before any work."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence

from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.io.files import cause, delete_file, open_input, write_text
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import is_local, join_path
from sparkprep.spark.session import cores
from sparkprep.spark.session import is_local as all_on_one_machine
from sparkprep.spark.tasks import run

_MOST_FILES = 100
_MOST_TASKS = 64


def refuse_unseen(spark: SparkSession, files: Sequence[DataFile], folders: Sequence[str] = ()) -> None:
    """Refuse files that workers do not see or may not read, and folders that they do not share or may not write.

    Tried on a cluster only: a few tasks look at the first and last local files and write into each local folder; one
    reads of the first file on S3, and writes an object into each folder there and deletes it. Raises UserError that
    names the first place that will not do.
    """
    if all_on_one_machine(spark):
        return
    _refuse_unseen(spark, files, [folder for folder in folders if is_local(folder)])
    _refuse_unreachable(
        spark,
        next((file.path for file in files if not is_local(file.path)), None),
        [folder for folder in folders if not is_local(folder)],
    )


def _refuse_unreachable(spark: SparkSession, file: str | None, folders: Sequence[str]) -> None:
    """Refuse what the driver reaches on S3 and a worker does not: it may ask as another, or at another server."""
    if file is None and not folders:
        return
    mark = f"_probe-{uuid.uuid4().hex[:8]}"

    def look(_: int) -> list[str]:
        try:
            if file is not None:
                with open_input(file) as stream:
                    stream.read(1)
            for folder in folders:
                write_text(join_path(folder, mark), "")
                delete_file(join_path(folder, mark))
        except UserError as error:
            return [f"a worker ({socket.gethostname()}) cannot use what the driver can: {error}"]
        return []

    if problems := run(spark, [0], look):
        raise UserError(
            f"{problems[0]}; give the workers what the driver has: a role of their machines, or AWS's variables by "
            "--conf spark.executorEnv.AWS_ENDPOINT_URL_S3=... and the like"
        )


def _refuse_unseen(spark: SparkSession, files: Sequence[DataFile], shared: Sequence[str]) -> None:
    local = [file for file in files if is_local(file.path)]
    local = local if len(local) <= _MOST_FILES else [*local[: _MOST_FILES // 2], *local[-_MOST_FILES // 2 :]]
    if not (local or shared):
        return
    mark = f".probe-{uuid.uuid4().hex[:8]}"

    def look(number: int) -> list[str]:
        for file in local:
            if not os.path.isfile(file.path) or os.path.getsize(file.path) != file.size:
                return [f"{file.path}: workers do not see this file"]
        for folder in shared:
            if not os.path.isfile(os.path.join(folder, mark)):
                return [f"{folder}: workers do not see this folder of the driver's"]
            try:
                with open(os.path.join(folder, f"{mark}-{number}"), "wb"):
                    pass
            except OSError as error:
                return [f"{folder}: workers cannot write there ({cause(error)})"]
        return []

    numbers = range(min(_MOST_TASKS, 2 * cores(spark)))
    try:
        for folder in shared:
            with open(os.path.join(folder, mark), "wb"):
                pass
        problems = run(spark, numbers, look)
    finally:
        for folder in shared:
            for name in (mark, *(f"{mark}-{number}" for number in numbers)):
                if os.path.lexists(os.path.join(folder, name)):
                    os.remove(os.path.join(folder, name))
    if problems:
        raise UserError(f"{problems[0]}; take s3:// paths, or a folder that all nodes share")
