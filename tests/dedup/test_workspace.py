"""The contract between the stages: no two tables share a place, and results have the input's columns and types."""

from dataclasses import is_dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from parquet_files import documents_at, save
from pyspark.sql import SparkSession

from sparkprep.dedup.columns import removed_schema
from sparkprep.dedup.contents import MADE
from sparkprep.dedup.inputs import choose_columns
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.workspace import Workspace
from sparkprep.io.listing import list_files
from sparkprep.io.output import OutputFolder
from sparkprep.spark.progress import Progress
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import Table


def tables_of(thing: object) -> list[Table]:
    """All tables that the properties of a group of tables give, those of groups inside it too."""
    tables = []
    for name, member in vars(type(thing)).items():
        if isinstance(member, property | cached_property):
            value = getattr(thing, name)
            values = (
                tuple(value.values()) if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
            )
            tables += [
                t for v in values for t in ([v] if isinstance(v, Table) else tables_of(v) if is_dataclass(v) else [])
            ]
    return tables


def workspace(spark: SparkSession, folder: OutputFolder, source: Path, settings: Settings) -> Workspace:
    documents = documents_at(source)
    columns = choose_columns(documents.schema, settings)
    progress, files = Progress(spark, None), list_files([source])
    stages = Stages(folder, progress, "dedup", {}, None, 2)
    return Workspace(spark, settings, folder, progress, [str(source)], files, documents, columns, stages)


def test_no_table_lies_in_another_and_only_results_lie_in_the_result(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet")
    with OutputFolder(str(tmp_path / "out"), False, [str(source)], MADE) as folder:
        work = workspace(spark, folder, source, Settings())
        searches = [work.search(place, number) for place in ("driver", "cluster") for number in range(3)]
        comparisons = [work.comparison(place, number) for place in ("driver", "cluster") for number in range(3)]
        graphs = [*(search.graph for search in searches), work.levels]
        tables = {table.path for group in (*searches, *comparisons) for table in tables_of(group)}
        tables |= {each.answer(number).path for each in comparisons for number in range(3)}
        tables |= {graph.star_round(number).path for graph in graphs for number in (0, 11)}
        assert len(tables) >= 6 * 18
        tables |= {table.path for table in tables_of(work)}
        results = {table.path for table in work.results.values()}
        assert results < tables
        assert {path for path in tables if not path.startswith(f"{folder.scratch}/")} == results
        assert not [(a, b) for a in tables for b in tables if a != b and f"{b}/".startswith(f"{a}/")]
        assert work.search("driver", 1) is searches[1], "a table knows its parts only where it is the same one"


def test_the_thresholds_of_a_run_share_its_signature_rows_and_nothing_that_they_write(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = save(tmp_path / "in.parquet")
    with OutputFolder(str(tmp_path / "out"), False, [str(source)], MADE) as folder:
        work = replace(workspace(spark, folder, source, Settings(threshold=0.7)), thresholds=(0.7, 0.8))
        low, high = work.each
        assert low.signatures is high.signatures is work.signatures
        assert {low.bands, high.bands} == set(work.bandings) < set(work.signatures.schema.names)
        of_low, of_high = (
            {table.path for table in [*tables_of(view), *tables_of(view.search("driver", 0))]} for view in work.each
        )
        assert of_low & of_high == {work.signatures.path}
        assert work.scans is low.scans is high.scans


def test_the_results_have_the_types_of_the_input(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"text": ["a"], "my id": pa.array([1], pa.uint16()), "n": [[1]]})
    with OutputFolder(str(tmp_path / "out"), False, [str(source)], MADE) as folder:
        named = workspace(spark, folder, source, Settings(id_column="my id"))
        assert named.kept.schema == named.removed_rows.schema == named.documents.schema
        assert named.removed.schema == removed_schema(pa.uint16())
        assert named.removed.schema.field("kept_id").type == pa.uint16()
        unnamed = workspace(spark, folder, source, Settings())
        assert unnamed.removed.schema.field("id").type == pa.string(), "the text's SHA-256 where there is no identifier"
