"""The embedded subsets as crawl archives: every page is extracted, and its words are those of the document."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkprep.errors import UserError
from sparkprep.extract.main_text import page_of
from sparkprep.extract.outcomes import outcomes
from sparkprep.extract.settings import ExtractSettings
from sparkprep.sample import Subset, compare_words, embedded, write_archives
from sparkprep.sample.__main__ import main


class Here:
    """Pages extracted in this process."""

    page_of = staticmethod(page_of)


@pytest.fixture(scope="module")
def subset() -> Subset:
    return embedded("1k")


@pytest.fixture(scope="module")
def archives(subset: Subset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [Path(path) for path in write_archives(subset, tmp_path_factory.mktemp("warc"), archives=2)]


@pytest.fixture(scope="module")
def pages(archives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What extraction makes of the archives, laid out as the job lays it out."""
    output = tmp_path_factory.mktemp("pages")
    found = [each for path in archives for each in outcomes(path.open("rb"), path.name, ExtractSettings(), Here())]
    documents = [each.document for each in found if each.document]
    save(output, [{name: row[name] for name in ("id", "url", "text")} for row in documents])
    reasons = Counter(each.reason for each in found)
    assert reasons[""] == 1_000
    assert {"not a page", "not status 200", "not HTML", "empty"} <= reasons.keys()
    return output


def save(output: Path, rows: list[dict[str, object]]) -> None:
    (output / "documents").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), output / "documents" / "part-00000.snappy.parquet")


def test_the_same_subset_gives_the_same_archives(subset: Subset, archives: list[Path], tmp_path: Path) -> None:
    again = write_archives(subset, tmp_path, archives=2)
    assert [Path(path).read_bytes() for path in again] == [path.read_bytes() for path in archives]


def test_at_most_one_word_of_a_thousand_differs_behind_the_way_through_html(pages: Path, subset: Subset) -> None:
    compared = compare_words(pages, subset)
    assert compared.documents == 1_000
    assert compared.share <= 0.001


def test_words_that_are_lost_added_or_moved_are_named(pages: Path, subset: Subset, tmp_path: Path) -> None:
    rows = pq.read_table(pages / "documents").to_pylist()
    changed, swapped, lost = rows[0], rows[1], rows.pop()
    changed["text"] += " and more"
    first, second, rest = swapped["text"].split(maxsplit=2)
    swapped["text"] = f"{second} {first} {rest}"
    save(tmp_path, [*rows, {"id": "new", "url": "u", "text": "not there before"}])
    told = {each.id: each for each in compare_words(tmp_path, subset).differences}
    assert told[changed["id"]].added == ("and more",)
    assert told[swapped["id"]].words == 2
    assert (told[lost["id"]].added, told["new"].lost) == ((), ())
    assert told["new"].added == ("not there before",)


def test_the_command_fails_where_too_many_words_differ(
    pages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, pq.read_table(pages / "documents").to_pylist()[10:])
    words = ["--size", "1k", "--json", str(tmp_path / "words.json"), "--compare"]
    assert main([*words, str(pages)]) == 0
    assert main([*words, str(tmp_path)]) == 1
    assert "beyond --max-differ 0.001" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "words.json").read_text())["differences"]) >= 10


def test_what_is_no_output_of_extract_is_refused(subset: Subset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name an output of `extract`"):
        compare_words(tmp_path, subset)
