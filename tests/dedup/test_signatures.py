"""Documents -> signature rows: the same for the same texts, however their column is stored."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from dedup_runs import prose
from every_type import ORDERED

from sparkprep.dedup.columns import SIGNATURES, TextState
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns, signature_rows, source_of
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import python_values

TEXTS = [prose(1), None, "", "?!", "zwei Wörter 😀", prose(1).upper()]
ONLY_TEXT = Columns("text", None, None, None)


def rows(texts: pa.Array, columns: Columns = ONLY_TEXT, more: dict[str, Any] | None = None, **settings: Any) -> Any:
    batch = pa.RecordBatch.from_pydict({"text": texts} | (more or {}))
    return signature_rows(batch, 7, columns, Settings(**settings))


def test_a_row_says_what_the_text_is() -> None:
    table = rows(pa.array(TEXTS))
    assert table.schema == SIGNATURES
    assert table[KEY].to_pylist() == list(range(7, 13))
    assert table["state"].to_pylist() == [
        *(TextState.WITH_WORDS, TextState.NULL, TextState.EMPTY, TextState.WITHOUT_WORDS),
        *(TextState.WITH_WORDS, TextState.WITH_WORDS),
    ]
    assert table["bytes"].to_pylist() == [len((text or "").encode()) for text in TEXTS]
    assert table["chars"].to_pylist() == [len(text or "") for text in TEXTS]
    assert table["shingles"].to_pylist() == [36, 0, 0, 0, 1, 36]
    digests = [hashlib.sha256((text or "").encode()).hexdigest().encode() for text in TEXTS]
    assert table["id"].to_pylist() == digests
    assert table["id_hash"].null_count == table["source"].null_count == len(TEXTS)
    same = [table[name][0] == table[name][5] for name in ("text_hash", "bands", "tiny", "id")]
    assert same == [True, True, True, False]


@pytest.mark.parametrize(
    "store",
    [
        lambda texts: texts.cast(pa.large_string()),
        lambda texts: texts.cast(pa.string_view()),
        lambda texts: texts.dictionary_encode(),
        lambda texts: pa.concat_arrays([pa.array(["before"]), texts]).slice(1),
    ],
    ids=["large", "view", "dictionary", "slice"],
)
def test_the_storage_of_texts_changes_nothing(store: Any) -> None:
    assert rows(store(pa.array(TEXTS))).equals(rows(pa.array(TEXTS)))


def test_a_column_of_nulls_alone_holds_null_texts() -> None:
    assert rows(pa.nulls(2)).equals(rows(pa.array([None, None], pa.string())))
    assert len(rows(pa.array([], pa.string()))) == 0


@pytest.mark.parametrize(
    ("keep", "order"), [("longest", [3, 1, 0, 2]), ("first", [0, 1, 2, 3]), ("n", [2, 0, 3, 1]), ("-n", [3, 0, 2, 1])]
)
def test_ranks_sort_by_the_setting_then_by_id(keep: str, order: list[int]) -> None:
    texts = pa.array(["bb", "ccc", "", "ééé"])
    more = {
        "id": [4, 5, 6, 7] if keep != "longest" else [4, 5, 6, 3],
        "n": pa.array([0, None, -1, 2 if keep == "-n" else 0]),
    }
    column = "n" if keep.endswith("n") else None
    table = rows(texts, Columns("text", "id", column, None), more, keep=keep)
    assert np.argsort(np.array(table["rank"].to_pylist(), object), kind="stable").tolist() == order


def test_the_source_is_the_host_or_what_there_is() -> None:
    urls = ["https://User:pw@WWW.Example.org:8080/x?y", "ftp://h/", "no url", "", None, "//x/y", "http://[::1]/"]
    hosts = ["www.example.org", "h", "no url", "", None, "//x/y"]
    assert source_of(pa.array(urls)).to_pylist()[:6] == hosts
    named = rows(pa.array(TEXTS[:2]), Columns("text", None, None, "n"), {"n": pa.array([5, None], pa.int8())})
    assert named["source"].to_pylist() == ["5", None]


@pytest.mark.parametrize("name", ORDERED)
def test_a_column_of_any_ordered_type_can_be_named_as_source(name: str) -> None:
    table = rows(pa.array(["a", "b", "c", "d"]), Columns("text", None, None, "x"), {"x": ORDERED[name]})
    shown = python_values(table["source"])
    assert [each is None for each in shown] == [not valid for valid in ORDERED[name].is_valid().to_pylist()]


def test_a_url_that_is_no_utf_8_has_a_source() -> None:
    urls = pa.array([b"http://A\xff.org/", b"\xff"]).cast(pa.string(), safe=False)
    assert len(source_of(urls)) == 2
