"""The contract between the stages: no two tables share a place, and the signature rows are what is written."""

from dataclasses import is_dataclass
from functools import cached_property

from pyspark.sql import types as T

from sparkprep.dedup.columns import removed_schema, signature_schema
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.workspace import Search
from sparkprep.documents.keys import KEY
from sparkprep.spark.tables import Table


def tables_of(thing: object) -> list[Table]:
    """All tables that the properties of a group of tables give, those of groups inside it too."""
    tables = []
    for name, member in vars(type(thing)).items():
        if isinstance(member, property | cached_property):
            value = getattr(thing, name)
            values = value if isinstance(value, tuple) else (value,)
            tables += [
                t for v in values for t in ([v] if isinstance(v, Table) else tables_of(v) if is_dataclass(v) else [])
            ]
    return tables


def test_no_table_lies_in_another() -> None:
    searches = [Search(f"/scratch/search-{number}", T.StringType()) for number in range(3)]
    tables = {t.path for search in searches for t in [*tables_of(search), search.star_round(0), search.star_round(11)]}
    assert len(tables) >= 3 * 18
    assert not [(a, b) for a in tables for b in tables if a != b and f"{b}/".startswith(f"{a}/")]


def test_the_columns_follow_the_input_and_the_settings() -> None:
    columns = [(KEY, T.LongType()), ("text", T.StringType()), ("my id", T.IntegerType()), ("score", T.FloatType())]
    documents = T.StructType([T.StructField(name, kind) for name, kind in columns])
    plain = signature_schema(documents, Settings())
    assert plain["id"].dataType == T.StringType(), "the text's SHA-256 where there is no identifier"
    assert not {"keep", "source"} & set(plain.names)
    chosen = signature_schema(documents, Settings(id_column="my id", keep="-score", source_column="text"))
    assert [chosen[name].dataType for name in ("id", "keep", "source")] == [
        T.IntegerType(),
        T.FloatType(),
        T.StringType(),
    ]
    assert removed_schema(T.IntegerType())["kept_id"].dataType == T.IntegerType()
