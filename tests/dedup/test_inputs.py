"""Which columns the settings mean: defaults where nothing is named, and a refusal where what is named will not do."""

from typing import Any

import pyarrow as pa
import pytest
from every_type import NESTED, ORDERED

from sparkprep.dedup.inputs import choose_columns
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns
from sparkprep.errors import UserError

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string()), ("url", pa.string()), ("score", pa.float32())])


@pytest.mark.parametrize(
    ("settings", "columns"),
    [
        ({}, Columns("text", "id", None, "url")),
        ({"keep": "first"}, Columns("text", "id", None, "url")),
        ({"keep": "-score"}, Columns("text", "id", "score", "url")),
        ({"id_column": "url", "source_column": "id"}, Columns("text", "url", None, "id")),
        ({"text_column": "url", "source_column": "text"}, Columns("url", "id", None, "text")),
    ],
)
def test_the_columns_are_those_named_or_the_usual_ones(settings: dict[str, Any], columns: Columns) -> None:
    assert choose_columns(SCHEMA, Settings(**settings)) == columns


def test_usual_columns_that_are_not_there_are_done_without() -> None:
    assert choose_columns(pa.schema([("text", pa.string())]), Settings()) == Columns("text", None, None, None)


def test_each_column_is_read_once() -> None:
    columns = choose_columns(SCHEMA, Settings(keep="id", source_column="id"))
    assert columns.names == ["text", "id"]


@pytest.mark.parametrize("name", NESTED)
def test_nested_columns_can_neither_name_nor_rank_nor_count(name: str) -> None:
    schema = SCHEMA.append(pa.field("x", NESTED[name].type))
    for setting in ("id_column", "keep", "source_column"):
        with pytest.raises(UserError, match=rf"^{setting}: column 'x' \(") as caught:
            choose_columns(schema, Settings(**{setting: "x"}))
        assert str(caught.value).endswith("name another")


def test_a_nested_url_that_nobody_named_is_no_source() -> None:
    schema = pa.schema([("text", pa.string()), ("url", pa.struct([("host", pa.string())]))])
    assert choose_columns(schema, Settings()).source is None


@pytest.mark.parametrize("name", ORDERED)
def test_columns_of_any_ordered_type_can_name_and_rank(name: str) -> None:
    schema = pa.schema([("text", pa.string()), ("x", ORDERED[name].type)])
    columns = choose_columns(schema, Settings(id_column="x", keep="-x"))
    assert (columns.id, columns.keep) == ("x", "x")
