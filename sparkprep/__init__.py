"""From crawl archives to token shards on Spark: documents extracted, curated, freed of near-duplicates; tokens written.

>>> from sparkprep import deduplicate, extract_documents, tokenize, write_shards
>>> pages = extract_documents("crawl/*.warc.gz")                        # doctest: +SKIP
>>> result = deduplicate(pages, threshold=0.8)                          # doctest: +SKIP
>>> write_shards(tokenize(result), output="shards")                     # doctest: +SKIP
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 11):  # noqa: UP036  # a checkout is run without pip, which would say so
    raise ImportError("sparkprep wants Python 3.11 or newer")

if TYPE_CHECKING:
    from sparkprep.decontaminate.pipeline import decontaminate_documents
    from sparkprep.decontaminate.result import DecontaminateResult
    from sparkprep.decontaminate.settings import DecontaminateSettings
    from sparkprep.dedup.pipeline import deduplicate
    from sparkprep.dedup.result import Result, ThresholdResults
    from sparkprep.dedup.settings import Settings
    from sparkprep.errors import UserError
    from sparkprep.extract.library import ExtractResult, extract_documents
    from sparkprep.extract.settings import ExtractSettings
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
    "DecontaminateResult",
    "DecontaminateSettings",
    "ExtractResult",
    "ExtractSettings",
    "FilterResult",
    "FilterSettings",
    "Grade",
    "Result",
    "Settings",
    "ShardSettings",
    "ShardsResult",
    "ThresholdResults",
    "TokenizeSettings",
    "TokensResult",
    "UserError",
    "decontaminate_documents",
    "deduplicate",
    "extract_documents",
    "filter_documents",
    "get_session",
    "grade_result",
    "tokenize",
    "write_shards",
]

# Looked up when first used: a worker that needs one kernel does not import the rest. None bears the name of a module or
# package below this one, which would take its place once it is imported.
_HOMES = {
    "DecontaminateResult": "sparkprep.decontaminate.result",
    "DecontaminateSettings": "sparkprep.decontaminate.settings",
    "ExtractResult": "sparkprep.extract.library",
    "ExtractSettings": "sparkprep.extract.settings",
    "FilterResult": "sparkprep.filter.result",
    "FilterSettings": "sparkprep.filter.settings",
    "Grade": "sparkprep.grade.grading",
    "Result": "sparkprep.dedup.result",
    "Settings": "sparkprep.dedup.settings",
    "ShardSettings": "sparkprep.tokens.settings",
    "ShardsResult": "sparkprep.tokens.library",
    "ThresholdResults": "sparkprep.dedup.result",
    "TokenizeSettings": "sparkprep.tokens.settings",
    "TokensResult": "sparkprep.tokens.library",
    "UserError": "sparkprep.errors",
    "decontaminate_documents": "sparkprep.decontaminate.pipeline",
    "deduplicate": "sparkprep.dedup.pipeline",
    "extract_documents": "sparkprep.extract.library",
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
