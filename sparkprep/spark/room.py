"""Whether the disks of the workers hold what a job shuffles, by its input's size: before it, rather than hours in."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping

from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import is_local
from sparkprep.units import human_bytes

HOPELESS = 0.1
"""Of the estimate: with less the job is refused. The estimate is a rough one, so that above it a warning must do."""


def room_warnings(spark: SparkSession, worker: Mapping[str, str], size: int, share: float) -> list[str]:
    """Return a warning where the job may find no room for what it shuffles; UserError where there is next to none.

    worker: what `preflight` returned. size: bytes of the input as encoded in Parquet. share: bytes shuffled of each.
    """
    need, hosts = size * share, 1
    if is_local(spark):
        folders = os.environ.get("SPARK_LOCAL_DIRS") or spark.sparkContext.getConf().get("spark.local.dir") or ""
        here = [name for name in folders.split(",") if os.path.isdir(name)] or [tempfile.gettempdir()]
        disks = {os.stat(name).st_dev: shutil.disk_usage(name).free for name in here}
        free, place = sum(disks.values()), f"{' and '.join(here)} on {socket.gethostname()}"
    elif worker.get("free"):
        hosts = _hosts(spark)
        free, place = hosts * int(worker["free"]), f"spark.local.dir of {hosts:,} machines like {worker['host']}"
    else:
        return []
    if free >= need:
        return []
    told = f"about {human_bytes(need)} are shuffled, and {human_bytes(free)} are free in {place}"
    way_out = "free some, or name a larger disk (--conf spark.local.dir=/big/disk, SPARK_LOCAL_DIRS)"
    if free < HOPELESS * need:
        raise UserError(f"no room for the shuffle: {told}: {way_out}")
    return [f"the disk may become full: {told}: {way_out}"]


def tell_of_room(spark: SparkSession, progress: Progress, worker: Mapping[str, str], size: int, share: float) -> None:
    """Tell of `room_warnings` at once, while there is time to do something."""
    progress.alert(room_warnings(spark, worker, size, share))


def _hosts(spark: SparkSession) -> int:
    """Return on how many machines there are executors, as far as they have come up."""
    places = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().keySet().toSeq()
    names = [str(places.apply(number)).rpartition(":")[0] for number in range(places.size())]
    driver = spark.sparkContext.getConf().get("spark.driver.host", "")
    return max(1, len({name for name in names if name != driver}))
