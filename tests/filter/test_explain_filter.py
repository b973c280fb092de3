"""`sparkprep explain` of a result of curation: the rule and what it measured, or the thresholds that came nearest."""

import re
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from dedup_runs import save
from pyspark.sql import SparkSession
from remote import put_folder

from sparkprep import UserError, filter_documents
from sparkprep.cli import main
from sparkprep.filter.explain import FilteredRun, explain
from sparkprep.filter.kernels.judge import judge
from sparkprep.filter.questions import questions_of
from sparkprep.filter.rules import RULES
from sparkprep.filter.settings import FilterSettings

GOOD = """\
The harbour of the old town lies behind a wall that was built to keep the winter storms away.
Fishermen mend nets there in the morning, and by noon their boats have gone out again with the tide.
A narrow street leads up to a square, where on Saturdays farmers sell apples, cheese and honey.
If you climb further you will be rewarded: from the chapel one sees the islands, and beyond them open water."""
SHORT = "Too short \x1b[31m a text\nwith \u202e no end"
RULES_ASKED = ("gopher-quality", "gopher-repetition", "fineweb")
TWICE = "https://a.org/twice"


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("explained")
    urls = ["https://a.org/0", TWICE, "https://a.org/2", TWICE, "https://a.org/4"]
    texts = pa.array([GOOD, SHORT, None, GOOD + "\n" + GOOD, GOOD + " One more."], pa.string())
    save(place / "in.parquet", pa.table({"id": range(5), "url": urls, "text": texts}), row_group_size=2)
    filter_documents(place / "in.parquet", output=place / "out", spark=spark, progress=False, rules=RULES_ASKED)
    return place / "out"


def lines(text: str) -> dict[str, str]:
    return {words[0]: " ".join(words[1:]) for line in text.splitlines() if (words := line.split())}


def test_a_removed_document_tells_its_rule_what_it_measured_the_threshold_and_how_its_text_begins(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(folder), "--id", "1"]) == 0
    said = capsys.readouterr().out
    told = lines(said)
    assert told["removed"] == f"1 {TWICE} ({len(SHORT)} characters)"
    assert told["why"] == "gopher-min-words: words that are no mere symbols: 10, below the threshold 50"
    assert told["text"].startswith("Too short \\x1b[31m a text with")
    assert not {"\x1b", "\u202e"} & set(said)


def test_it_tells_which_other_rules_it_would_fail_each_asked_by_itself(folder: Path) -> None:
    run = FilteredRun(str(folder))
    told = explain(run, "3")
    first, *others = re.findall(r"((?:gopher|fineweb)-\S+):", told)
    assert first == "gopher-duplicate-lines"
    assert {"gopher-duplicate-line-chars", "gopher-duplicate-5-grams"} < set(others)
    assert told.count("above the threshold") == len(others) + 1
    more = re.search(r"and (\d+) more", told)
    alone = FilterSettings(rules=RULES_ASKED, skip=(first, *others))
    (gone,) = judge(pa.array([GOOD + "\n" + GOOD]), questions_of(alone)).rule
    assert more is not None
    assert RULES[gone].name not in {first, *others}


def test_a_kept_document_tells_the_thresholds_that_it_came_nearest_to_nearest_first(folder: Path) -> None:
    run = FilteredRun(str(folder))
    told = explain(run, "0")
    named = re.findall(r"((?:gopher|fineweb)-\S+):", told)
    questions = questions_of(run.settings)
    far = judge(pa.array([GOOD]), questions).distances(questions)[0]
    order = sorted((distance, place) for place, distance in enumerate(far) if distance == distance)
    assert named == [RULES[place].name for _, place in order[:5]]
    assert "it would go " in told
    assert "now fails" not in told


def test_a_page_is_found_by_its_address_and_all_of_one_are_told(folder: Path) -> None:
    told = explain(FilteredRun(str(folder)), TWICE, "url")
    assert told.startswith("2 documents are named so:")
    assert told.count("  removed    ") == 2


def test_whole_texts_are_given_on_request_and_a_result_on_s3_answers_too(folder: Path, bucket: str) -> None:
    local = explain(FilteredRun(str(folder)), "0", whole=True)
    assert GOOD in local
    assert explain(FilteredRun(put_folder(folder, f"{bucket}/good")), "0", whole=True) == local


def test_documents_without_an_identifier_are_found_by_the_hash_of_their_text(
    spark: SparkSession, tmp_path: Path
) -> None:
    save(tmp_path / "in.parquet", pa.table({"text": [GOOD, SHORT]}))
    filter_documents(tmp_path / "in.parquet", output=tmp_path / "out", spark=spark, progress=False)
    told = explain(FilteredRun(str(tmp_path / "out")), sha256(SHORT.encode()).hexdigest())
    assert lines(told)["why"].startswith("gopher-top-2-gram")


def test_texts_that_the_run_has_changed_are_told_as_such(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "in.parquet", pa.table({"id": [1], "text": [f"{GOOD}\nBy J. Doe. Write to jo@example.net today."]}))
    filter_documents(tmp_path / "in.parquet", output=tmp_path / "out", spark=spark, progress=False, personal="replace")
    assert "  note       measured of the text as it was kept" in explain(FilteredRun(str(tmp_path / "out")), "1")


def test_what_is_not_there_is_refused_in_a_line(folder: Path) -> None:
    run = FilteredRun(str(folder))
    with pytest.raises(UserError, match=r"no document there is named '9' \(documents are named by column 'id'\)"):
        explain(run, "9")
    with pytest.raises(UserError, match="there is no column 'host'; columns there are: id, url, text"):
        explain(run, "9", "host")
