"""What a run of decontamination leaves behind, to be looked at: its figures, its tables, its report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from pyspark.sql import DataFrame

from sparkprep.decontaminate.contents import AUDIT, REMOVED
from sparkprep.decontaminate.settings import REPORT_ONLY
from sparkprep.dedup.result import KeptAndRemoved


@dataclass(repr=False)
class DecontaminateResult(KeptAndRemoved):
    """What `decontaminate_documents` returns. The DataFrames read what the run has written; nothing is computed again.

    kept: the input's rows and columns, without the removed rows. removed: the others, with what of which question each
    holds, and where (matched_benchmark, matched_line, matched_id, matched_words, matched_start, matched_end,
    matched_ngrams, matched_questions).
    """

    _own = MappingProxyType({"benchmarks": list})

    @cached_property
    def contaminated(self) -> DataFrame:
        """The documents that hold n-grams, with which: `removed`, or what would be, where the run was only to tell."""
        return self._read(AUDIT if self.metrics["settings"]["mode"] == REPORT_ONLY else REMOVED)

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it."""
        counts = self.metrics["counts"]
        share = f"{100 * counts['contaminated'] / counts['input']:.2g} %" if counts["input"] else "-"
        found = ", ".join(
            f"{each['name']} {each['questions_found']:,} of {each['questions']:,}"
            for each in self.metrics["benchmarks"]
        )
        return [
            (
                "documents",
                f"{counts['input']:,}: {counts['contaminated']:,} contaminated ({share}), {counts['kept']:,} kept",
            ),
            ("questions", found),
            ("output", f"{self.output} (.kept, .removed, .contaminated)"),
            ("report", f"{self.report} (.show_report())"),
        ]
