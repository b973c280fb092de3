"""What a run that parts documents was made of, and what its metrics.json begins with."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sparkprep.documents.opening import Opened
from sparkprep.errors import flag
from sparkprep.options import changed
from sparkprep.spark.versions import versions

S = TypeVar("S")
"""The settings of a job, a dataclass of options."""


@dataclass(frozen=True)
class Surroundings(Generic[S]):
    """What a run was made of.

    job: the verb. spark: its version. paths: None for a table, which `table` names. parts: manifests by folder.
    resumed: what of the work an earlier run had done (`Stages.figures`). fingerprint: of what was asked for.
    """

    job: str
    spark: str
    settings: S
    opened: Opened
    output: str
    paths: list[str] | None
    table: str | None
    parts: dict[str, list[dict[str, Any]]]
    resumed: dict[str, Any] | None = None
    fingerprint: str | None = None

    def head(self, number: int, documents: int, **text_bytes: int) -> dict[str, Any]:
        """Return what metrics.json begins with. number: of its format. documents: that were read. text_bytes: of them,
        by name.
        """
        files = self.opened.listing.files
        return {
            "format": number,
            "job": self.job,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.command(),
            "output": self.output,
            "resumed": self.resumed,
            "fingerprint": self.fingerprint,
            "settings": {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self.settings).items()},  # type: ignore[call-overload]
            "versions": versions(self.spark, ("numpy", "numba", "pyarrow")),
            "input": {
                "paths": self.paths or [self.table or "a DataFrame"],
                "files": len(files),
                "documents": documents + self.opened.rejected,
                "file_bytes": sum(file.size for file in files),
                **text_bytes,
            },
        }

    def command(self) -> str:
        """Return the command line that makes this run anew; for an input without a path, the call."""
        settings = changed(self.settings)
        if self.paths is None:
            return f"{self.job}_documents({', '.join(['documents', *(f'{n}={v!r}' for n, v in settings.items())])})"
        words: list[str] = []
        for name, value in settings.items():
            words += [flag(name), *(value if isinstance(value, tuple) else [str(value)])]
        return shlex.join(["sparkprep", self.job, "--input", *self.paths, "--output", self.output, *words])
