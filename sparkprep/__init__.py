"""Near-duplicate removal and token shards on Spark.

>>> from sparkprep import deduplicate
>>> deduplicate("documents/", output="deduplicated").metrics["counts"]    # doctest: +SKIP
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Settings", "deduplicate"]


def __getattr__(name: str) -> Any:
    # Looked up when first used: a worker that needs one kernel does not import the rest.
    if name == "deduplicate":
        from sparkprep.dedup.pipeline import deduplicate

        return deduplicate
    if name == "Settings":
        from sparkprep.dedup.settings import Settings

        return Settings
    raise AttributeError(f"module 'sparkprep' has no attribute {name!r}")
