"""What a run of curation leaves behind, to be looked at: its figures, its tables, its report."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from sparkprep.dedup.result import KeptAndRemoved


@dataclass(repr=False)
class FilterResult(KeptAndRemoved):
    """What `filter_documents` returns. The DataFrames read what the run has written; nothing is computed again.

    kept: the input's rows and columns, without the removed rows. removed: the others, with filter_rule, filter_value
    and filter_limit: which rule decided, what it measured, and its threshold.
    """

    _own = MappingProxyType({"rules": list})

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it."""
        counts = self.metrics["counts"]
        share = f"{100 * counts['removed'] / counts['input']:.1f} %" if counts["input"] else "-"
        worst = sorted(self.metrics["rules"], key=lambda rule: -rule["documents"])[:3]
        rules = ", ".join(f"{rule['rule']} {rule['documents']:,}" for rule in worst if rule["documents"])
        return [
            ("documents", f"{counts['input']:,}: {counts['kept']:,} kept, {counts['removed']:,} removed ({share})"),
            ("rules", rules or "no document was removed"),
            ("output", f"{self.output} (.kept, .removed)"),
            ("report", f"{self.report} (.show_report())"),
        ]
