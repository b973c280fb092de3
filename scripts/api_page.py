#!/usr/bin/env python3
"""Write docs/api.md from the docstrings of what is meant to be imported, so that it cannot disagree with the code."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "docs" / "api.md"
# Title -> what it is about, and the names, as module:name.
SECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Near-duplicates": (
        "What most callers want is in `sparkprep` itself.",
        ("sparkprep:deduplicate", "sparkprep.dedup.pipeline:Result", "sparkprep:Settings", "sparkprep.grade:grade"),
    ),
    "Tokens and shards": (
        "The same functions that the jobs call.",
        (
            "sparkprep.tokens.pipeline:tokenize",
            "sparkprep.tokens.settings:TokenizeSettings",
            "sparkprep.tokens.shards:make_shards",
            "sparkprep.tokens.settings:ShardSettings",
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
            "sparkprep.spark.session:get_session",
            "sparkprep.sample:embedded",
            "sparkprep.errors:UserError",
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
    parts = ["# As a library\n\nMade by `scripts/api_page.py` from the docstrings.\n"]
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
