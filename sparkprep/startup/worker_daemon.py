"""The process that Spark forks its Python workers from (`spark.python.daemon.module`), with dedup's kernels loaded.

PySpark's own daemon forks workers that know nothing: each of them imports NumPy, PyArrow and Numba and reads the
compiled kernels from disk, 1 to 2 s of CPU. Here that happens once. And at the start of every task a worker of Spark
reads the tables of contents of PySpark's archives again, which takes 90 ms and cannot find anything new.
"""

from __future__ import annotations

import gc
import os
import sys
from zipimport import zipimporter

# A process that is forked must have one thread: importing NumPy would start those of OpenBLAS, importing PyArrow one of
# jemalloc's (which Arrow has beside the allocator that it uses).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")


def preload() -> None:
    """Import what the tasks use; nothing here may start a thread."""
    # PyArrow imports Pandas for the first array that it makes of one of NumPy's.
    import pandas  # type: ignore[import-untyped]  # noqa: F401
    import pyspark.worker  # noqa: F401

    from sparkprep.dedup import candidates, signatures, verify  # noqa: F401

    for finder in sys.path_importer_cache.values():
        if isinstance(finder, zipimporter):
            finder.invalidate_caches = lambda: None  # type: ignore[method-assign]  # on this archive only
    gc.freeze()  # the collector of a worker need not touch, and so copy, the pages it shares with this process


if __name__ == "__main__":
    from pyspark import daemon

    preload()
    daemon.manager()  # type: ignore[no-untyped-call]
