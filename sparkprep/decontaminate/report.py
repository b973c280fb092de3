"""report.html of a run of decontamination: what was found of which evaluation set, and the documents that hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from sparkprep.decontaminate.index import Index
from sparkprep.decontaminate.tally import Tally
from sparkprep.io.files import write_text
from sparkprep.pages.environment import environment, ratio

_QUESTION_WORDS = 60
"""Of a question, that are shown."""


def write(path: str, metrics: Mapping[str, Any], tally: Tally, index: Index) -> None:
    """Write the page; whoever opens it while it is written sees the old page or the whole new one."""
    write_text(path, render(metrics, examples(tally, index)))


def examples(tally: Tally, index: Index) -> list[dict[str, Any]]:
    """Return, for each benchmark of which something was found, the documents that hold most of it, and least.

    A document is shown once: among those that hold least, none that is shown among the others.
    """
    shown = []
    for number, name in enumerate(index.names):
        most = tally.examples.get((number, True), [])
        least = [row for row in tally.examples.get((number, False), []) if row["key"] not in {r["key"] for r in most}]
        if most:
            sides = (
                [{**row, "asked": index.text_of(row["question"], _QUESTION_WORDS)} for row in rows]
                for rows in (most, least)
            )
            shown.append(dict(zip(("most", "least"), sides, strict=True)) | {"benchmark": name})
    return shown


def render(metrics: Mapping[str, Any], examples: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of a run: metrics as metrics.json has them, examples as `examples` returns them.

    Every text in either may be hostile: all is escaped, and invisible characters are shown as their code point.
    """
    source = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    return environment(str(__package__)).from_string(source).render(m=metrics, examples=examples, ratio=ratio)
