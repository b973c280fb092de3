"""Curation, near-duplicate removal and token shards on Spark.

>>> from sparkprep import deduplicate, tokenize, write_shards
>>> result = deduplicate("documents/", threshold=0.8)                   # doctest: +SKIP
>>> write_shards(tokenize(result), output="shards")                     # doctest: +SKIP
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 11):  # noqa: UP036  # a checkout is run without pip, which would say so
    raise ImportError("sparkprep wants Python 3.11 or newer")

if TYPE_CHECKING:
    from sparkprep.dedup.pipeline import deduplicate
    from sparkprep.dedup.result import Result
    from sparkprep.dedup.settings import Settings
    from sparkprep.errors import UserError
    from sparkprep.filter.pipeline import filter_documents
    from sparkprep.filter.result import FilterResult
    from sparkprep.filter.settings import FilterSettings
    from sparkprep.grade.grading import Grade
    from sparkprep.grade.library import grade_result
    from sparkprep.spark.session import get_session
    from sparkprep.tokens.library import ShardsResult, TokensResult, tokenize, write_shards
    from sparkprep.tokens.settings import ShardSettings, TokenizeSettings

__version__ = "0.1.0"
__all__ = [
    "FilterResult",
    "FilterSettings",
    "Grade",
    "Result",
    "Settings",
    "ShardSettings",
    "ShardsResult",
    "TokenizeSettings",
    "TokensResult",
    "UserError",
    "deduplicate",
    "filter_documents",
    "get_session",
    "grade_result",
    "tokenize",
    "write_shards",
]

# Looked up when first used: a worker that needs one kernel does not import the rest. None bears the name of a module or
# package below this one, which would take its place once it is imported.
_HOMES = {
    "FilterResult": "sparkprep.filter.result",
    "FilterSettings": "sparkprep.filter.settings",
    "Grade": "sparkprep.grade.grading",
    "Result": "sparkprep.dedup.result",
    "Settings": "sparkprep.dedup.settings",
    "ShardSettings": "sparkprep.tokens.settings",
    "ShardsResult": "sparkprep.tokens.library",
    "TokenizeSettings": "sparkprep.tokens.settings",
    "TokensResult": "sparkprep.tokens.library",
    "UserError": "sparkprep.errors",
    "deduplicate": "sparkprep.dedup.pipeline",
    "filter_documents": "sparkprep.filter.pipeline",
    "get_session": "sparkprep.spark.session",
    "grade_result": "sparkprep.grade.library",
    "tokenize": "sparkprep.tokens.library",
    "write_shards": "sparkprep.tokens.library",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparkprep' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
