#!/usr/bin/env python3
"""Write docs/api.md from the docstrings of what is meant to be imported, so that it cannot disagree with the code."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "docs" / "api.md"
INTRODUCTION = """\
# As a library

Made by `scripts/api_page.py` from the docstrings. From a DataFrame to shards:

```python
import pandas
from sparkprep import deduplicate, extract_documents, tokenize, write_shards

documents = pandas.read_parquet("documents.parquet")  # a column `text`; `id` and `url` where there are any
documents = extract_documents("crawl/*.warc.gz")  # or out of crawl archives: documents.documents, .show_report()
result = deduplicate(documents, threshold=0.8)  # shows itself; result.kept, .removed_with_text()
shards = write_shards(tokenize(result), output="shards")  # llm.c's files; shards.files, shards.verify()
```

Documents are paths (Parquet, JSON Lines, `s3://`), a DataFrame of pandas or Spark, a PyArrow table, a dataset of
Hugging Face, or any table that hands out Arrow, as one of Polars. A table of the program's own is written to Parquet
once, a thousand rows at a time. Of pandas, an index with a name becomes a column, and missing values are nulls.
Settings are keywords, or a `Settings` object, or both: the keywords win. `notebooks/preprocessing.ipynb` walks through
all of it.

Progress is a bar in a notebook (`tqdm.auto`), elsewhere lines of the log `sparkprep` at level INFO, which
`logging.basicConfig(level="INFO")` shows; `progress=True` draws a bar, `progress=False` tells nothing. Warnings of a
run go to the same log. What the user can mend is a `UserError` of one line, which names the argument.

Without a Spark session the first call makes one, which later calls share. A session of your own must run its workers
on this Python: set `os.environ["PYSPARK_PYTHON"] = sys.executable` before you make it, or take
`sparkprep.get_session()`.
"""
# Title -> what it is about, and the names, as module:name.
SECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Crawl archives": (
        "The job needs Spark, the others do not.",
        (
            "sparkprep:extract_documents",
            "sparkprep:ExtractResult",
            "sparkprep:ExtractSettings",
            "sparkprep.extract.records:read_records",
            "sparkprep.extract.main_text:page_of",
            "sparkprep.extract.charset:decode",
        ),
    ),
    "Curation": (
        "The first is all that most callers want; the others need no Spark.",
        (
            "sparkprep:filter_documents",
            "sparkprep:FilterSettings",
            "sparkprep:FilterResult",
            "sparkprep.filter.kernels.judge:judge",
            "sparkprep.filter.questions:questions_of",
            "sparkprep.filter.kernels.words:split_words",
            "sparkprep.filter.kernels.words:sentence_spans",
            "sparkprep.filter.personal:personal_data",
        ),
    ),
    "Near-duplicates": (
        "All that most callers want is in `sparkprep` itself.",
        (
            "sparkprep:deduplicate",
            "sparkprep:Result",
            "sparkprep:Settings",
            "sparkprep:grade_result",
            "sparkprep:Grade",
        ),
    ),
    "Evaluation sets": (
        "Documents that hold questions of an evaluation set, found and removed.",
        (
            "sparkprep:decontaminate_documents",
            "sparkprep:DecontaminateSettings",
            "sparkprep:DecontaminateResult",
        ),
    ),
    "Tokens and shards": (
        "Each takes what the step before it has returned.",
        (
            "sparkprep:tokenize",
            "sparkprep:TokensResult",
            "sparkprep:TokenizeSettings",
            "sparkprep:write_shards",
            "sparkprep:ShardsResult",
            "sparkprep:ShardSettings",
            "sparkprep.tokens.manifest:verify",
            "sparkprep.tokenizer.tokenizer:Tokenizer",
            "sparkprep.llmc.shard:open_shard",
        ),
    ),
    "Sketches without Spark": (
        "Arrays in, arrays out; they need Numba, and no Spark.",
        (
            "sparkprep.dedup.kernels.sketch:sketch",
            "sparkprep.dedup.kernels.shingles:shingle_set",
            "sparkprep.dedup.kernels.shingles:jaccard",
            "sparkprep.dedup.kernels.bands:choose",
            "sparkprep.dedup.kernels.bands:probability",
        ),
    ),
    "Surroundings": (
        "A session as the jobs have it, and documents with a known truth to try things on.",
        (
            "sparkprep:get_session",
            "sparkprep.sample:embedded",
            "sparkprep.sample:write_archives",
            "sparkprep.sample:compare_words",
            "sparkprep:UserError",
        ),
    ),
    "The trainer": (
        "`pip install ./train`, or `make setup-train`; the scripts in `train/` are thin faces of these.",
        (
            "trainer.settings:defaults",
            "trainer.loop.loop:train",
            "trainer.checkpoints.model_file:open_model",
            "trainer.evaluate.hellaswag:evaluate",
            "trainer.generate.generate:generate",
            "trainer.runs.history:load_runs",
            "trainer.runs.plots:overview_figure",
            "trainer.convert.huggingface:export",
        ),
    ),
}


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for title, (about, names) in SECTIONS.items():
        parts.append(f"\n## {title}\n\n{about}\n")
        parts += [_entry(name) for name in names]
    return "".join(parts)


def _entry(place: str) -> str:
    module, name = place.split(":")
    thing = getattr(importlib.import_module(module), name)
    text = inspect.getdoc(thing) or ""
    return f"\n### `from {module} import {name}`\n\n```python\n{name}{_signature(thing)}\n```\n\n```\n{text}\n```\n"


def _signature(thing: Callable[..., Any]) -> str:
    """The signature of a function or class, a parameter a line where it is long."""
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return "(message)"
    signature = inspect.signature(thing)
    parameters, keywords = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            parameters.append(f"**{parameter.name}: {_name(parameter.annotation)}")
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            parameters.append("*")
            keywords = True
        annotation = "" if parameter.annotation is parameter.empty else f": {_name(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parameters.append(f"{parameter.name}{annotation}{default}")
    returns = "" if isinstance(thing, type) else f" -> {_name(signature.return_annotation)}"
    line = f"({', '.join(parameters)}){returns}"
    return line if len(line) <= 100 else "(\n" + "".join(f"    {each},\n" for each in parameters) + f"){returns}"


def _name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
