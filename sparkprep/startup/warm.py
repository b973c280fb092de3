"""Compile the kernels once and leave them in Numba's cache, so that no worker compiles: `make setup` runs it.

What a job imports is imported too, so that Python leaves its compiled modules beside the packages.
"""

import importlib
import time

from sparkprep.startup.kernels import call_all

IMPORTED = (
    "pyspark.worker",
    "sparkprep.dedup.cli",
    "sparkprep.dedup.pipeline",
    "sparkprep.dedup.report.plots",
    "sparkprep.grade.cli",
    "sparkprep.tokens.shards",
)


def main() -> None:
    """Call the kernels once and import what jobs import; say how long it took."""
    start = time.monotonic()
    for module in IMPORTED:
        importlib.import_module(module)
    call_all()
    print(f"kernels ready in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
