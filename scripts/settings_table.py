#!/usr/bin/env python3
"""Write docs/settings.md from the classes of settings, so that the tables cannot disagree with the code."""

from pathlib import Path

from sparkprep.decontaminate.settings import DecontaminateSettings
from sparkprep.dedup.settings import Settings
from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.jobs import RunSettings
from sparkprep.estimate.settings import EstimateSettings
from sparkprep.extract.settings import ExtractSettings
from sparkprep.filter.settings import FilterSettings
from sparkprep.grade.settings import GradeSettings
from sparkprep.options import markdown_table, options_of
from sparkprep.tokens.settings import ShardSettings, TokenizeSettings, TokenRowsSettings

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
SECTIONS = {
    "Archives to documents: `sparkprep extract`": ExtractSettings,
    "Curation: `sparkprep filter`": FilterSettings,
    "Near-duplicate removal: `sparkprep dedup`": Settings,
    "Evaluation sets kept out: `sparkprep decontaminate`": DecontaminateSettings,
    "Tokens: `sparkprep tokenize`": TokenizeSettings,
    "Token rows from elsewhere: `sparkprep shards`": TokenRowsSettings,
    "Shards: `sparkprep shards`, and `sparkprep tokenize --shards`": ShardSettings,
    "Grading: `sparkprep grade`": GradeSettings,
    "Before you pay: `sparkprep estimate`, with those of dedup and of a cluster": EstimateSettings,
    "A cluster of EMR: `sparkprep emr plan` and `launch`": ClusterSettings,
    "The work that its estimate is for: `sparkprep emr plan` and `launch`": WorkSettings,
    "The jobs of a run on it: `sparkprep emr submit` and `launch`": RunSettings,
}


def table() -> str:
    """Return the whole page."""
    parts = ["# Settings\n\nMade by `scripts/settings_table.py`. All flags: `sparkprep VERB --help`.\n"]
    for title, settings in SECTIONS.items():
        parts.append(f"\n## {title}\n\n{markdown_table(options_of(settings))}")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(table())
