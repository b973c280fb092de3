"""What a run of near-duplicate removal leaves behind, to be looked at: its figures, its tables, its report."""

from __future__ import annotations

import atexit
import html
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep.console import html_table, safe_text, say_line
from sparkprep.dedup.contents import KEPT, METRICS, REMOVED, REPORT
from sparkprep.dedup.inputs import DEFAULT_SOURCE
from sparkprep.documents.keys import id_column, text_digests
from sparkprep.documents.opening import Opened, Places, Source, open_listed, spool_table
from sparkprep.documents.parquet.footers import summarise
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.errors import UserError
from sparkprep.io.arrow import plain, plain_type, to_bytes
from sparkprep.io.files import open_input
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import list_input, list_written
from sparkprep.io.paths import is_local, join_path, normalise, spark_uri
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores, get_session
from sparkprep.spark.tables import read_parts, spark_schema
from sparkprep.spark.tasks import run_tasks

_NAME = "__name"
"""The bytes of an identifier, by which texts are joined whatever its type."""
_TEXT, _KEPT_TEXT = "text", "kept_text"
_BROADCAST_ROWS = 1_000_000
_FRAME = '<iframe srcdoc="{}" style="width:100%;height:800px;border:0" title="sparkprep report"></iframe>'


@dataclass
class Result:
    """What `deduplicate` returns. The DataFrames read what the run has written; nothing is computed again."""

    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with kept/, removed/, metrics.json and report.html"""
    spark: SparkSession
    source: Source | None = field(default=None, repr=False)
    """the documents, where they came as a table and not from files"""

    @classmethod
    def open(cls, output: str | os.PathLike[str], spark: SparkSession | None = None) -> Result:
        """Return the result that an earlier run has left in a folder. Raises UserError where there is none."""
        folder = normalise(output)
        keys = {"counts": dict, "settings": dict, "parts": dict}
        figures = read_json(join_path(folder, METRICS), "name the output folder of such a run", keys)
        return cls(figures, folder, spark or get_session("sparkprep dedup"))

    @cached_property
    def kept(self) -> DataFrame:
        """The input's rows and columns, without the removed rows."""
        return self._read(KEPT)

    @cached_property
    def removed(self) -> DataFrame:
        """id, kept_id, jaccard, rule: one row for each removed document."""
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

    def removed_with_text(self) -> DataFrame:
        """Return removed/ with texts: id, kept_id, jaccard, rule, text, its url or source, kept_text.

        Read when it is used: the removed documents' texts from the run's input, which must still be there as it was,
        those of their kept twins from kept/. A text is null where an identifier does not tell which one it is: where it
        is null, or several documents with different texts bear it. Raises UserError where the input is gone or another.
        """
        of_kept = _texts(self.spark, self._kept_documents(), self._id_column, ())
        opened = self._input()
        names = opened.summary.schema.names
        given = self.metrics["settings"].get("source_column")
        sources = [name for name in dict.fromkeys((given, DEFAULT_SOURCE)) if name in names and name != _TEXT]
        of_input = _texts(self.spark, plan(opened.summary, cores(self.spark)), self._id_column, sources)
        removed = _named_rows(self.spark, join_path(self.output, REMOVED), self.metrics["parts"][REMOVED])
        if self.metrics["counts"]["removed"] <= _BROADCAST_ROWS:  # then no text is shuffled that nobody wants
            of_input = of_input.join(F.broadcast(removed.select(_NAME).distinct()), _NAME)
            twins = removed.select(F.col(f"kept{_NAME}").alias(_NAME)).distinct()
            of_kept = of_kept.join(F.broadcast(twins), _NAME)
        theirs = _told_apart(of_input, _TEXT, sources)
        twins = _told_apart(of_kept, _KEPT_TEXT, ()).withColumnRenamed(_NAME, f"kept{_NAME}")
        joined = removed.join(theirs, _NAME, "left").join(twins, f"kept{_NAME}", "left")
        own = [name for name in removed.columns if not name.endswith(_NAME)]
        return joined.select(*own, _TEXT, *(f"`{name}`" for name in sources if name not in own), _KEPT_TEXT)

    @property
    def _text_column(self) -> str:
        return str(self.metrics["settings"]["text_column"])

    @cached_property
    def _id_column(self) -> str | None:
        names = summarise(self._files(KEPT), self._text_column).schema.names
        return id_column(self.metrics["settings"]["id_column"], names)

    def _files(self, name: str) -> list[Any]:
        return list_written(join_path(self.output, name))

    def _kept_documents(self) -> Documents:
        return plan(summarise(self._files(KEPT), self._text_column), cores(self.spark))

    def _input(self) -> Opened:
        """Open the run's input once more. Raises UserError where it is not what it was."""
        counts, settings = self.metrics["counts"], self.metrics["settings"]
        holder = tempfile.mkdtemp(prefix="sparkprep-")
        atexit.register(shutil.rmtree, holder, ignore_errors=True)  # it is read when the DataFrame is
        places, quiet = Places(os.path.join(holder, "bad"), holder), Progress(self.spark, None)
        why = "the removed documents' texts are read from the run's input, which must be there as it was"
        if self.source is not None and not isinstance(self.source, list):
            opened = spool_table(self.spark, self.source, places, quiet, self._text_column)
        else:
            paths = self.metrics["input"]["paths"]
            if self.source is None and not any(map(_is_path, paths)):
                raise UserError(
                    f"{why}: it was {paths[0]}; ask the result that `deduplicate` has returned, or run again"
                )
            try:
                listing = list_input(paths, self._text_column)
                opened = open_listed(self.spark, listing, places, quiet, settings["max_bad"])
            except UserError as error:
                raise UserError(f"{error} ({why})") from error
        rows = counts["kept"] + counts["removed"]
        if opened.summary.rows != rows:
            raise UserError(f"{why}: it held {rows:,} documents and holds {opened.summary.rows:,}; run again")
        return opened

    def show_report(self) -> str:
        """Show the report: in a notebook below the cell, elsewhere in the browser; return where it lies.

        A report on S3 is fetched first. Where there is no browser, its place is printed.
        """
        with open_input(self.report) as stream:
            page = stream.read().decode()
        shell = sys.modules.get("IPython")
        if shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell":
            from IPython.display import HTML, display

            display(HTML(_FRAME.format(html.escape(page, quote=True))))  # type: ignore[no-untyped-call]
            return self.report
        path = self.report
        if not is_local(path):
            path = os.path.join(tempfile.mkdtemp(prefix="sparkprep-"), REPORT)
            Path(path).write_text(page, encoding="utf-8")
        if not (_has_screen() and webbrowser.open(Path(path).as_uri())):
            say_line(f"open {path} in a browser")
        return path

    def __repr__(self) -> str:
        rows = self._rows()
        return "\n".join(f"{name:<10} {safe_text(value)}" for name, value in rows)

    def _repr_html_(self) -> str:
        """Return the same as a table, for a notebook."""
        rows = [(name, html.escape(safe_text(value))) for name, value in self._rows()]
        if is_local(self.output):
            rows[-1] = (rows[-1][0], f'<a href="{html.escape(_link(self.report))}" target="_blank">{rows[-1][1]}</a>')
        return html_table(rows)

    def _rows(self) -> list[tuple[str, str]]:
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


def _texts(
    spark: SparkSession, documents: Documents, identifier: str | None, others: list[str] | tuple[()]
) -> DataFrame:
    """Return the name's bytes, the text and other columns of each document, read in tasks."""
    text = documents.summary.text_column
    columns = list(dict.fromkeys([text, *([identifier] if identifier else []), *others]))
    kinds = [_spark_type(documents.schema.field(name).type) for name in others]
    schema = pa.schema([(_NAME, pa.binary()), (_TEXT, pa.string()), *zip(others, kinds, strict=True)])

    def task(number: int) -> Iterator[pa.RecordBatch]:
        for batch in documents.batches(number, columns):
            texts = plain(batch.column(text))
            texts = texts.cast(pa.string()) if pa.types.is_null(texts.type) else texts
            names = text_digests(texts) if identifier is None else plain(batch.column(identifier))
            rest = [plain(batch.column(name)).cast(kind) for name, kind in zip(others, kinds, strict=True)]
            yield pa.RecordBatch.from_arrays(
                [to_bytes(names).cast(pa.binary()), texts.cast(pa.string()), *rest], schema=schema
            )

    return run_tasks(spark, range(len(documents.pieces)), task, spark_schema(schema))


def _named_rows(spark: SparkSession, folder: str, manifest: list[Mapping[str, Any]]) -> DataFrame:
    """Return removed/, with the bytes of both identifiers beside them."""
    summary = summarise(list_written(folder), "rule")
    documents = plan(summary, cores(spark))
    kind = _spark_type(summary.schema.field("id").type)
    own = [("id", kind), ("kept_id", kind), ("jaccard", pa.float64()), ("rule", pa.string())]
    schema = pa.schema([*own, (_NAME, pa.binary()), (f"kept{_NAME}", pa.binary())])

    def task(number: int) -> Iterator[pa.RecordBatch]:
        for batch in documents.batches(number, [name for name, _ in own]):
            ids = [plain(batch.column(name)) for name in ("id", "kept_id")]
            rest = [batch.column("jaccard"), batch.column("rule")]
            names = [to_bytes(each).cast(pa.binary()) for each in ids]
            yield pa.RecordBatch.from_arrays([*(each.cast(kind) for each in ids), *rest, *names], schema=schema)

    return run_tasks(spark, range(len(documents.pieces)), task, spark_schema(schema))


def _told_apart(texts: DataFrame, name: str, others: Sequence[str]) -> DataFrame:
    """Return one row for each name: its text, or null where it stands for several."""

    def only(column: str) -> Column:
        value = F.col(f"`{column}`")
        return F.when(F.min(value) == F.max(value), F.min(value))

    columns = [only(_TEXT).alias(name), *(only(other).alias(other) for other in others)]
    return texts.groupBy(_NAME).agg(*columns)


def _spark_type(kind: pa.DataType) -> pa.DataType:
    """Return a type that Spark knows for values of a type: their own, or text."""
    kind = plain_type(kind)
    try:
        spark_schema(pa.schema([("value", kind)]))
    except TypeError:
        return pa.string()
    return kind


def _is_path(name: str) -> bool:
    return not is_local(name) or os.path.isabs(name) or os.path.lexists(name)


def _link(path: str) -> str:
    """Return a page's address: relative to the folder that a notebook's server shows, where it lies below that."""
    relative = os.path.relpath(path)
    return Path(path).as_uri() if relative.startswith(os.pardir) else relative


def _has_screen() -> bool:
    """Whether a browser would come up in a window: one in the terminal would take it from the program."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
