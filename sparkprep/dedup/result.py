"""What a run of near-duplicate removal leaves behind, to be looked at: its figures, its tables, its report."""

from __future__ import annotations

import html
import os
import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparkprep.console import Shown, has_screen, safe_text, say_line
from sparkprep.dedup.audit.removed import removed_with_text
from sparkprep.dedup.contents import KEPT, METRICS, REMOVED, REPORT
from sparkprep.errors import UserError
from sparkprep.io.files import exists, open_input
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import is_local, join_path, normalise, spark_uri
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import read_parts

_FRAME = '<iframe srcdoc="{}" style="width:100%;height:800px;border:0" title="sparkprep report"></iframe>'


@dataclass(frozen=True)
class _Framed:
    """A page in a frame of a notebook. IPython's own HTML warns of frames, and wants the page at an address."""

    page: str
    place: str

    def __repr__(self) -> str:
        return f"report at {safe_text(self.place)}"

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.page, quote=True))


@dataclass(repr=False)
class KeptAndRemoved(Shown):
    """A result folder of kept and removed documents. The DataFrames read what the run has written."""

    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with kept/, removed/, metrics.json and report.html"""
    spark: SparkSession

    @cached_property
    def kept(self) -> DataFrame:
        """The input's rows and columns, without the removed rows."""
        return self._read(KEPT)

    @cached_property
    def removed(self) -> DataFrame:
        """The removed documents, a row for each."""
        return self._read(REMOVED)

    def _read(self, name: str) -> DataFrame:
        """Read a folder of the result by Spark, or, where it may have no way to S3, by PyArrow in tasks."""
        folder = join_path(self.output, name)
        if is_local(folder):
            return self.spark.read.parquet(spark_uri(folder))
        return read_parts(self.spark, folder, self.metrics["parts"][name])

    @property
    def report(self) -> str:
        """Where the report lies, a page to be looked at."""
        return join_path(self.output, REPORT)

    def show_report(self) -> str | None:
        """Show the report: in a notebook below the cell, elsewhere in the browser, and then return where it lies.

        A report on S3 is fetched first. Where there is no browser, its place is printed. In a notebook None is
        returned, which would show the place once more as the value of the cell.
        """
        with open_input(self.report) as stream:
            page = stream.read().decode()
        shell = sys.modules.get("IPython")
        if shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell":
            from IPython.display import display

            display(_Framed(page, self.report))  # type: ignore[no-untyped-call]
            return None
        path = self.report
        if not is_local(path):
            path = os.path.join(tempfile.mkdtemp(prefix="sparkprep-"), REPORT)
            Path(path).write_text(page, encoding="utf-8")
        if not (has_screen() and webbrowser.open(Path(path).as_uri())):
            say_line(f"open {path} in a browser")
        return path

    def cells(self) -> list[tuple[str, str]]:
        """Return what is shown as HTML, with a link to a report that a browser can open."""
        rows = super().cells()
        if is_local(self.output):
            rows[-1] = (rows[-1][0], f'<a href="{html.escape(_link(self.report))}" target="_blank">{rows[-1][1]}</a>')
        return rows


@dataclass(repr=False)
class Result(KeptAndRemoved):
    """What `deduplicate` returns. The DataFrames read what the run has written; nothing is computed again.

    removed: id, kept_id, jaccard, rule: one row for each removed document.
    """

    @classmethod
    def open(cls, output: str | os.PathLike[str], spark: SparkSession | None = None) -> Result:
        """Return the result that an earlier run has left in a folder. Raises UserError where there is none."""
        folder = normalise(output)
        if not exists(join_path(folder, METRICS)):
            raise UserError(f"{folder}: holds no {METRICS}: name the output folder of such a run")
        keys = {"counts": dict, "settings": dict, "parts": dict, "candidates": dict}
        figures = read_json(join_path(folder, METRICS), "name the output folder of such a run", keys)
        return cls(figures, folder, spark or get_session("sparkprep dedup"))

    def removed_with_text(self) -> DataFrame:
        """Return removed/ with texts: id, kept_id, jaccard, rule, text, its url or source, kept_text.

        Read by their places from what the run has kept in the result, when it is used: identifiers may be of any type,
        repeated or absent, and the input may be gone. Raises UserError for a result of a version that kept no removed
        rows.
        """
        return removed_with_text(self.spark, self.output, self.metrics)

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it, five lines."""
        counts, settings, recall = self.metrics["counts"], self.metrics["settings"], self.metrics["recall"]
        share = f"{100 * counts['removed'] / counts['input']:.1f} %" if counts["input"] else "-"
        rejected = f", {counts['rejected']:,} rejected" if counts["rejected"] else ""
        found = "no pair was found"
        if recall["estimate"] is not None:
            found = f"{recall['estimate']:.4f} estimated ({recall['low']:.4f} to {recall['high']:.4f})"
        return [
            (
                "documents",
                f"{counts['input']:,}: {counts['kept']:,} kept, {counts['removed']:,} removed ({share}; "
                f"{counts['exact']:,} exact, {counts['near']:,} near){rejected}",
            ),
            ("threshold", f"{settings['threshold']:g}, rule {settings['rule']}, keep {settings['keep']}"),
            ("recall", found),
            ("output", f"{self.output} (.kept, .removed, .removed_with_text())"),
            ("report", f"{self.report} (.show_report())"),
        ]


def _link(path: str) -> str:
    """Return a page's address: relative to the folder that a notebook's server shows, where it lies below that."""
    relative = os.path.relpath(path)
    return Path(path).as_uri() if relative.startswith(os.pardir) else relative
