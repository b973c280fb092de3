"""Tell what each node of the test cluster sees, one line of JSON a node: spark-submit look.py NODES FOLDER...

The folders are listed there as they are on that node.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from sparkprep.spark.session import get_session


def looking(folders: list[str]) -> Callable[[Iterable[int]], Iterator[dict[str, object]]]:
    """Return what a task runs; nested, so that it travels by value: this file is the driver's alone."""

    def look(_: Iterable[int]) -> Iterator[dict[str, object]]:
        import sparkprep

        try:
            with open(os.path.expanduser("~/written"), "w"):
                home_is_writable = True
        except OSError:
            home_is_writable = False
        yield {
            "python": sys.executable,
            "package": sparkprep.__file__,
            "daemon": sys.modules["__main__"].__spec__.name,
            "cwd": os.getcwd(),
            "home": os.path.expanduser("~"),
            "home_is_writable": home_is_writable,
            "folders": {folder: sorted(os.listdir(folder)) for folder in folders},
        }

    return look


if __name__ == "__main__":
    nodes = int(sys.argv[1])
    spark = get_session("look", {"spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "3s"})
    # A barrier: all tasks run at once, so each on a node of its own, as a node has one core.
    for seen in (
        spark.sparkContext.parallelize(range(nodes), nodes).barrier().mapPartitions(looking(sys.argv[2:])).collect()
    ):
        print(json.dumps(seen))
