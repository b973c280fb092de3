"""Whether the workers of a cluster see the folders that the driver was told of, before anything is read or written."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence

from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import is_local
from sparkprep.spark.session import cores
from sparkprep.spark.session import is_local as all_on_one_machine
from sparkprep.spark.tasks import run

_MOST_FILES = 100
_MOST_TASKS = 64


def refuse_unseen(spark: SparkSession, files: Sequence[DataFile], folders: Sequence[str] = ()) -> None:
    """Refuse local files that workers do not see, and local folders that they do not share with the driver.

    Tried by a few tasks, on a cluster only: they look at the first and last files and write into each folder. Raises
    UserError that names the first place that will not do.
    """
    local = [file for file in files if is_local(file.path)]
    local = local if len(local) <= _MOST_FILES else [*local[: _MOST_FILES // 2], *local[-_MOST_FILES // 2 :]]
    shared = [folder for folder in folders if is_local(folder)]
    if all_on_one_machine(spark) or not (local or shared):
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
