"""Odd texts, odd identifiers, odd numbers of documents: each gets its answer, and no document gets lost."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import corpus
import pyarrow as pa
import pytest
from dedup_runs import Done, prose, refused, run, save, with_changed
from pyspark.sql import SparkSession

from sparkprep import Settings
from sparkprep.dedup.cli import summary
from sparkprep.errors import UserError

COPIES = 1500
CROWD = 300
MANY = 250  # more than a bucket holds before it is split
WORDLESS = ["...", " \t\n ", "— !!! …", "🎉🎉", "́", "\x00"]


def odd_documents() -> Iterator[tuple[str, str | None]]:
    """(id, text) of every oddity at once, so that one run shows that none of them disturbs the others."""
    for number in range(MANY):
        yield f"null-{number}", None
        yield f"empty-{number}", ""
        yield f"wordless-{number}", WORDLESS[number % len(WORDLESS)]
    yield from (("four-a", "alpha beta gamma delta"), ("four-b", "Alpha BETA: gamma, delta!"))
    yield from (("four-c", "alpha beta gamma delta"), ("four-other", "alpha beta gamma omega"))
    yield from (("one-a", "hello"), ("one-b", "Hello!!"), ("one-other", "world"))
    for number in range(COPIES):
        yield f"copy-{number:04d}", prose(1)
    yield from (("same", prose(2)), ("same", prose(3)))
    yield from (("twin", prose(4)), ("twin", prose(4)))
    yield from (("near twin", prose(5, 100)), ("near twin", with_changed(prose(5, 100), 99)))
    for number in range(CROWD):
        yield "crowd", prose(1000 + number, 12)


@pytest.fixture(scope="module")
def odd(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Done:
    ids, texts = zip(*odd_documents(), strict=True)
    folder = tmp_path_factory.mktemp("odd")
    source = save(folder / "in" / "odd.parquet", {"id": ids, "text": pa.array(texts, pa.string())}, row_group_size=700)
    return run(spark, source, folder / "out")


def test_texts_without_a_word_are_kept_and_counted_however_many_there_are(odd: Done) -> None:
    assert [odd.counts[name] for name in ("null_text", "empty_text", "no_words")] == [MANY, MANY, MANY]
    kept = set(odd.kept["id"].to_pylist())
    for kind in ("null", "empty", "wordless"):
        assert {f"{kind}-{number}" for number in range(MANY)} <= kept
    texts = dict(zip(odd.kept["id"].to_pylist(), odd.kept["text"].to_pylist(), strict=True))
    assert texts["null-7"] is None
    assert texts["empty-7"] == ""
    assert all(texts[f"wordless-{n}"] == text for n, text in enumerate(WORDLESS))


def test_a_text_of_fewer_than_five_words_is_one_shingle(odd: Done) -> None:
    assert odd.reasons()["four-a"] == odd.reasons()["four-c"] == ("four-b", "exact")
    assert odd.reasons()["one-a"] == ("one-b", "exact")
    assert {"four-other", "one-other"} <= set(odd.kept_ids())


def test_of_1500_identical_documents_one_survives(odd: Done) -> None:
    assert "copy-0000" in odd.kept_ids()
    copies = {removed: why for removed, why in odd.reasons().items() if removed.startswith("copy")}
    assert copies == {f"copy-{number:04d}": ("copy-0000", "exact") for number in range(1, COPIES)}


def test_equal_ids_are_reported_and_merge_no_documents(odd: Done) -> None:
    kept = odd.kept_ids()
    assert kept.count("same") == 2
    assert kept.count("crowd") == CROWD
    assert odd.counts["duplicate_ids"] == 1 + 1 + 1 + CROWD - 1


def test_documents_with_equal_ids_and_equal_or_near_texts_leave_one(odd: Done) -> None:
    kept, reasons = odd.kept_ids(), odd.reasons()
    assert (kept.count("twin"), reasons["twin"]) == (1, ("twin", "exact"))
    assert (kept.count("near twin"), reasons["near twin"]) == (1, ("near twin", "near"))


def test_the_oddities_do_not_get_each_other_removed(odd: Done) -> None:
    assert odd.counts["removed"] == 2 + 1 + COPIES - 1 + 1 + 1
    assert odd.counts["near"] == 1


def test_the_summary_tells_what_is_odd(odd: Done) -> None:
    told = {line[2:16].strip(): line[17:] for line in summary(odd.metrics, "out").splitlines()}
    assert told["documents"] == f"{odd.counts['input']:,}"
    assert told["without words"] == f"{3 * MANY:,}"
    assert told["repeated ids"] == f"{odd.counts['duplicate_ids']:,}"
    assert told["removed"].endswith("1,503 exact, 1 near")


def test_metrics_hold_all_that_a_run_has_to_tell(odd: Done) -> None:
    metrics = odd.metrics
    assert {"settings", "versions", "input", "counts", "candidates", "banding", "recall"} <= set(metrics)
    assert [stage["name"] for stage in metrics["stages"]] == [
        *("sketch", "candidates", "verify", "decide", "write", "report")
    ]
    assert all(stage["seconds"] >= 0 for stage in metrics["stages"])
    assert metrics["seconds"] >= sum(stage["seconds"] for stage in metrics["stages"]) - 0.1
    assert metrics["input"]["text_bytes"] == sum(len((text or "").encode()) for _, text in odd_documents())
    assert metrics["settings"]["threshold"] == 0.8
    assert {"spark", "python", "numpy", "numba", "pyarrow", "sparkprep"} == set(metrics["versions"])


def test_all_documents_identical_leave_one(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(number, prose(1)) for number in range(40)], "id long, text string")
    done = run(spark, frame, tmp_path / "out")
    assert done.kept_ids() == [0]
    assert done.reasons() == dict.fromkeys(range(1, 40), (0, "exact"))


@pytest.mark.parametrize("max_bad", ["100", "100%"])
def test_files_without_documents_are_an_error_whatever_is_allowed(
    spark: SparkSession, tmp_path: Path, max_bad: str
) -> None:
    empty = pa.schema([("id", pa.string()), ("text", pa.string())]).empty_table()
    paths = [save(tmp_path / "in" / f"{name}.parquet", empty) for name in "ab"]
    message = refused(spark, tmp_path / "in", tmp_path / "out", max_bad=max_bad)
    assert message.startswith(f"the input holds no document: 2 files without rows left out: {paths[0]}, {paths[1]}")


def test_a_file_without_documents_among_others_is_told(spark: SparkSession, tmp_path: Path) -> None:
    empty = pa.schema([("id", pa.string()), ("text", pa.string())]).empty_table()
    path = save(tmp_path / "in" / "a.parquet", empty)
    save(tmp_path / "in" / "b.parquet", {"id": ["x"], "text": ["some words"]})
    metrics = run(spark, tmp_path / "in", tmp_path / "out").metrics
    assert metrics["warnings"] == [f"1 file without rows left out: {path}"]
    assert metrics["left_out"] == {"files": 1, "first": [{"path": str(path), "reason": "without rows"}]}
    assert "left out       1 of the input's files, named in metrics.json" in summary(metrics, "out")


def test_a_dataframe_without_rows_gives_an_empty_result(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([], "id string, text string, n int")
    done = run(spark, frame, tmp_path / "out")
    assert done.kept.schema.types == [pa.string(), pa.string(), pa.int32()]
    assert done.counts["input"] == 0
    assert done.metrics["recall"]["estimate"] is None
    assert "documents      0" in summary(done.metrics, "out")


def test_documents_without_an_id_are_named_by_the_hash_of_their_text(spark: SparkSession, tmp_path: Path) -> None:
    long, short = f"{prose(1, 60)} more", prose(1, 60)
    texts = [short, prose(2), long, None, prose(2).upper(), None]
    done = run(spark, save(tmp_path / "in.parquet", {"text": texts, "n": range(6)}), tmp_path / "out")

    def name(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    upper, lower = sorted([prose(2).upper(), prose(2)], key=name)
    assert done.reasons() == {name(short): (name(long), "near"), name(lower): (name(upper), "exact")}
    assert done.kept.schema.names == ["text", "n"]
    assert done.kept["text"].to_pylist().count(None) == 2
    assert done.counts["duplicate_ids"] == 0


@pytest.fixture(scope="module")
def null_ids(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("null_ids")
    ids = pa.array([None, 7, None, None, -3], pa.int32())
    texts = [prose(1), prose(1), prose(2), prose(3), prose(1)]
    return run(spark, save(folder / "in.parquet", {"id": ids, "text": texts}), folder / "out")


def test_documents_whose_id_is_null_come_last_and_stay_on_their_own_merits(null_ids: Done) -> None:
    assert null_ids.removed.schema.field("id").type == pa.int32()
    assert null_ids.reasons() == {7: (-3, "exact"), None: (-3, "exact")}
    assert sorted(null_ids.kept["text"].to_pylist()) == sorted([prose(1), prose(2), prose(3)])


def test_a_missing_id_is_no_repeated_id(null_ids: Done) -> None:
    assert null_ids.counts["duplicate_ids"] == 0


def chain(seed: int) -> list[str]:
    """Texts A~B~C at 0.8 and more whose ends A and C differ."""
    base = prose(seed, 100)
    return [with_changed(base, *range(9)), base, with_changed(base, *range(91, 100))]


def chains() -> list[dict[str, object]]:
    """Two chains; by id, the first one begins at an end, the second one in the middle."""
    ends_first = zip(["a1", "a2", "a3"], chain(1), strict=True)
    middle_first = zip(["b2", "b1", "b3"], chain(2), strict=True)
    return [{"id": name, "text": text} for name, text in [*ends_first, *middle_first]]


def test_the_chains_are_chains() -> None:
    assert set(corpus.true_pairs(chains(), 0.8)) == {("a1", "a2"), ("a2", "a3"), ("b1", "b2"), ("b1", "b3")}


def test_a_leader_removes_only_what_is_near_to_itself(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", pa.Table.from_pylist(chains()))
    done = run(spark, source, tmp_path / "out", keep="first")
    assert done.kept_ids() == ["a1", "a3", "b1"]
    assert done.reasons() == {"a2": ("a1", "near"), "b2": ("b1", "near"), "b3": ("b1", "near")}
    assert min(done.removed["jaccard"].to_pylist()) >= 0.8


def test_a_component_keeps_one_and_tells_how_far_the_removed_are_from_it(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", pa.Table.from_pylist(chains()))
    done = run(spark, source, tmp_path / "out", keep="first", rule="component")
    assert done.kept_ids() == ["a1", "b1"]
    truth = corpus.true_pairs(chains(), 0.1)
    for row in done.removed.to_pylist():
        assert row["jaccard"] == pytest.approx(truth[row["kept_id"], row["id"]])
    assert min(done.removed["jaccard"].to_pylist()) < 0.8


@pytest.mark.parametrize("threshold", [0, -0.1, 1.0001, 80])
def test_a_threshold_outside_its_range_is_refused_with_the_end_that_it_passed(threshold: float) -> None:
    with pytest.raises(UserError, match=r"^threshold: \S+ is (above 1|not above 0)$"):
        Settings(threshold=threshold)


def test_a_threshold_too_low_for_the_slots_is_refused_with_the_least_one() -> None:
    with pytest.raises(
        UserError, match=r"too low: with 128 slots .* below 0.995; the least threshold .* is (0\.\d+)"
    ) as e:
        Settings(threshold=0.02)
    least = float(str(e.value).rsplit(" ", 1)[1])
    assert Settings(threshold=least).banding.rows == 1
    with pytest.raises(UserError, match="too low"):
        Settings(threshold=least - 0.002)


def long_texts(spark: SparkSession, tmp_path: Path, size: int) -> None:
    """Two near-identical texts of `size` bytes among small ones, in one row group."""
    words = prose(1, size // 4).split(" ")
    long = " ".join(f"{word}{n % 977}" for n, word in enumerate(words))[:size]
    texts = [prose(2), long, *(prose(n) for n in range(3, 50)), f"{long} and a little more", prose(2)]
    source = save(tmp_path / "in.parquet", {"id": range(len(texts)), "text": texts})
    done = run(spark, source, tmp_path / "out")
    last = len(texts) - 1
    assert done.reasons() == {1: (last - 1, "near"), last: (0, "exact")}
    assert min(done.removed["jaccard"].to_pylist()) > 0.999
    assert max(len(text) for text in done.kept["text"].to_pylist()) == size + len(" and a little more")


def test_long_texts_among_small_ones_are_compared_too(spark: SparkSession, tmp_path: Path) -> None:
    long_texts(spark, tmp_path, 5_000_000)


@pytest.mark.slow
def test_a_document_of_50_mb_is_one_among_others(spark: SparkSession, tmp_path: Path) -> None:
    long_texts(spark, tmp_path, 50_000_000)
