"""What a run of near-duplicate removal leaves behind, to be looked at: its figures, its tables, its report."""

from __future__ import annotations

import html
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from sparkprep.console import Shown, has_screen, safe_text, say_line
from sparkprep.dedup.columns import MISS, REMOVED_COLUMNS
from sparkprep.dedup.contents import AUDIT_PAIRS, AUDIT_ROWS, KEPT, METRICS, REMOVED, REPORT
from sparkprep.dedup.inputs import DEFAULT_SOURCE
from sparkprep.errors import UserError
from sparkprep.io.arrow import filtered, plain, plain_type
from sparkprep.io.files import exists, open_input
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import list_written
from sparkprep.io.parquet import open_parquet
from sparkprep.io.paths import is_local, join_path, normalise, spark_uri
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import read_parts, spark_schema
from sparkprep.spark.tasks import run_tasks

_ROW = "row"
"""Of audit/pairs: a document's place in the input."""
_TEXT, _KEPT_TEXT = "text", "kept_text"
_TWIN = "twin"
_ROWS = 512
"""Rows with texts that a task holds."""
_FEW = 1_000_000
Ints = npt.NDArray[np.int64]
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
class Result(Shown):
    """What `deduplicate` returns. The DataFrames read what the run has written; nothing is computed again."""

    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with kept/, removed/, metrics.json and report.html"""
    spark: SparkSession

    @classmethod
    def open(cls, output: str | os.PathLike[str], spark: SparkSession | None = None) -> Result:
        """Return the result that an earlier run has left in a folder. Raises UserError where there is none."""
        folder = normalise(output)
        if not exists(join_path(folder, METRICS)):
            raise UserError(f"{folder}: holds no {METRICS}: name the output folder of such a run")
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

        Read by their places from what the run has kept in the result, when it is used: identifiers may be of any type,
        repeated or absent, and the input may be gone. Raises UserError for a result of a version that kept no removed
        rows.
        """
        parts = self.metrics["parts"]
        if AUDIT_PAIRS not in parts:
            raise UserError(f"{self.output}: holds no {AUDIT_ROWS}, being of an earlier version: run again")
        pairs = [join_path(self.output, AUDIT_PAIRS, part["name"]) for part in parts[AUDIT_PAIRS]]
        rows, twins = _places(pairs)
        kept = twins - np.searchsorted(rows, twins)  # of the rows before a kept one, those are gone that were removed
        removed = _pairs(self.spark, pairs)
        if len(rows) <= _FEW:  # then no text is shuffled for it
            removed = F.broadcast(removed)
        theirs = self._texts(AUDIT_ROWS, np.arange(len(rows)), {_ROW: rows, _TWIN: kept}, _TEXT, self._sources)
        places = np.unique(kept)
        joined = theirs.join(removed, _ROW).join(self._texts(KEPT, places, {_TWIN: places}, _KEPT_TEXT, []), _TWIN)
        return joined.select(*REMOVED_COLUMNS, _TEXT, *(f"`{name}`" for name in self._sources), _KEPT_TEXT)

    @cached_property
    def _sources(self) -> list[str]:
        """The columns that tell where a document is from, as far as there are any."""
        names = self._schema.names
        given = self.metrics["settings"].get("source_column")
        taken = (*REMOVED_COLUMNS, _TEXT, _KEPT_TEXT)
        return [name for name in dict.fromkeys((given, DEFAULT_SOURCE)) if name in names and name not in taken]

    @cached_property
    def _schema(self) -> pa.Schema:
        """The documents' own."""
        with open_parquet(list_written(join_path(self.output, KEPT))[0].path) as file:
            return file.schema_arrow

    def _texts(self, name: str, wanted: Ints, numbers: dict[str, Ints], to: str, others: Sequence[str]) -> DataFrame:
        """Return text and other columns of the rows of a folder at these places in it, ascending, and their numbers."""
        parts = self.metrics["parts"][name]
        paths = [join_path(self.output, name, part["name"]) for part in parts]
        starts = list(accumulate((part["rows"] for part in parts), initial=0))
        columns = [self.metrics["settings"]["text_column"], *others]
        kinds = [pa.string(), *(_spark_type(self._schema.field(other).type) for other in others)]
        fields = [*((each, pa.int64()) for each in numbers), *zip((to, *others), kinds, strict=True)]
        schema = pa.schema(fields)
        shared = self.spark.sparkContext.broadcast((wanted, list(numbers.values())))

        def task(number: int) -> Iterator[pa.RecordBatch]:
            place, (places, values) = starts[number], shared.value
            with open_parquet(paths[number]) as file:
                for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                    low, high = np.searchsorted(places, [place, place + batch.num_rows])
                    is_wanted = np.zeros(batch.num_rows, np.bool_)
                    is_wanted[places[low:high] - place] = True
                    place += batch.num_rows
                    rows = filtered(batch, is_wanted)
                    cast = [_cast(rows[column], kind) for column, kind in zip(columns, kinds, strict=True)]
                    mine = [pa.array(each[low:high]) for each in values]
                    yield pa.RecordBatch.from_arrays([*mine, *cast], schema=schema)

        return run_tasks(self.spark, range(len(paths)), task, spark_schema(schema))

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


def _places(paths: Sequence[str]) -> tuple[Ints, Ints]:
    """Return the places in the input of the removed rows, ascending, and of their kept twins, int64 (rows,) each."""
    found = [np.empty((0, 2), np.int64)]
    for path in paths:
        with open_parquet(path) as file:
            for batch in file.iter_batches(columns=[_ROW, "kept_row", "rule"]):
                gone = batch.filter(pc.not_equal(batch["rule"], MISS))
                found.append(np.column_stack([np.asarray(gone[_ROW]), np.asarray(gone["kept_row"])]))
    places = np.concatenate(found)
    rows, twins = places[np.argsort(places[:, 0])].T
    return rows, twins


def _pairs(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Return REMOVED_COLUMNS of the removed documents, behind their places in the input."""
    with open_parquet(paths[0]) as file:
        kind = _spark_type(file.schema_arrow.field("id").type)
    types = {"id": kind, "kept_id": kind, "jaccard": pa.float64(), "rule": pa.string()}
    schema = pa.schema([(_ROW, pa.int64()), *types.items()])

    def task(number: int) -> Iterator[pa.RecordBatch]:
        with open_parquet(paths[number]) as file:
            for batch in file.iter_batches(columns=schema.names, use_threads=False):
                gone = filtered(batch, np.asarray(pc.not_equal(batch["rule"], MISS)))
                arrays = [_cast(gone[field.name], field.type) for field in schema]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return run_tasks(spark, range(len(paths)), task, spark_schema(schema))


def _spark_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of Arrow by which Spark takes values of a type: text where it has none for them."""
    try:
        return to_arrow_schema(from_arrow_schema(pa.schema([("value", plain_type(kind))]))).field(0).type
    except TypeError:
        return pa.string()


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column in a type of `_spark_type`, of instants to the microsecond."""
    return plain(column).cast(kind, safe=False)


def _link(path: str) -> str:
    """Return a page's address: relative to the folder that a notebook's server shows, where it lies below that."""
    relative = os.path.relpath(path)
    return Path(path).as_uri() if relative.startswith(os.pardir) else relative
