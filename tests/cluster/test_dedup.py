"""Near-duplicate removal where driver and workers share nothing but S3: the rows are those of a local run."""

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster import DEAD_FILE_SYSTEM, Cluster
from cluster import Done as Command
from dedup_runs import DONE_PARTS, FIGURES, Done, prose, run, with_changed
from pyspark.sql import SparkSession
from remote import names, put_folder, table, text

pytestmark = pytest.mark.cluster

CAP = 5
Source = tuple[Path, str]


def documents() -> list[dict[str, object]]:
    """Families of every closeness, and one so large that its buckets are over the cap many times."""
    rows = corpus.documents(seed=11, families=50)
    numbers = random.Random(12)
    for copy in range(60):
        changed = with_changed(prose(13, words=120), *numbers.sample(range(120), numbers.randrange(4)))
        rows.append({"id": f"large-{copy:02d}", "url": f"https://large.example/{copy}", "text": changed, "score": copy})
    numbers.shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    return documents()


@pytest.fixture(scope="module")
def source(cluster: Cluster, bucket: str, rows: list[dict[str, object]]) -> Source:
    """The documents in the driver's folder, where no worker sees them, and on S3."""
    folder = cluster.folders.driver / "docs"
    corpus.write(folder, rows, files=3)
    return folder, put_folder(folder, f"{bucket}/docs")


@pytest.fixture(scope="module")
def reference(spark: SparkSession, source: Source, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Done]:
    """What a local run on two cores gives under a rule."""
    return cache(
        lambda rule: run(spark, source[0], tmp_path_factory.mktemp("reference") / rule, rule=rule, bucket_cap=CAP)
    )


def same_result(command: Command, folder: str, local: Done) -> None:
    """Hold that a run ended well, and that its result has the rows, the types and the figures of the local one."""
    assert command.code == 0, command.said
    assert names(folder) == DONE_PARTS
    assert table(f"{folder}/kept") == local.kept.sort_by("id")
    assert table(f"{folder}/removed") == local.removed.sort_by("id")
    metrics = json.loads(text(f"{folder}/metrics.json"))
    for figure in FIGURES:
        assert metrics[figure] == local.metrics[figure]


def test_the_corpus_has_what_the_other_tests_are_about(reference: Callable[[str], Done]) -> None:
    leader, component = reference("leader"), reference("component")
    assert leader.metrics["candidates"]["hot_buckets"] > 0
    assert min(leader.counts["exact"], leader.counts["near"]) > 0
    assert leader.kept_ids() != component.kept_ids()


@pytest.mark.parametrize("budget", ["10000000", "0"], ids=["on-the-driver", "on-the-cluster"])
@pytest.mark.parametrize("rule", ["leader", "component"])
def test_workers_that_share_no_folder_with_the_driver_give_the_rows_of_a_local_run(
    cluster: Cluster, bucket: str, source: Source, reference: Callable[[str], Done], rule: str, budget: str
) -> None:
    folder, before, done_before = f"{bucket}/{rule}-{budget}", names(bucket), cluster.tasks()
    words = ["--input", source[1], "--output", folder, "--work", f"{bucket}/work", "--quiet"]
    settings = ["--rule", rule, "--driver-budget", budget, "--bucket-cap", str(CAP)]
    same_result(cluster.job("dedup", *words, *settings), folder, reference(rule))
    assert names(bucket) - {"work"} == before | {folder.removeprefix(f"{bucket}/")}, "something was left beside it"
    assert names(f"{bucket}/work", recursive=True) == set()
    assert all(after > earlier for after, earlier in zip(cluster.tasks(), done_before, strict=True)), "a node was idle"


def test_without_a_folder_for_its_work_it_works_beside_the_output(
    cluster: Cluster, bucket: str, source: Source, reference: Callable[[str], Done]
) -> None:
    folder, before = f"{bucket}/beside", names(bucket)
    words = ["--input", source[1], "--output", folder, "--bucket-cap", str(CAP), "--quiet"]
    same_result(cluster.job("dedup", *words), folder, reference("leader"))
    assert names(bucket) == before | {"beside"}


def test_a_result_on_s3_is_graded_there(
    cluster: Cluster, bucket: str, source: Source, rows: list[dict[str, object]]
) -> None:
    folder, pairs = f"{bucket}/graded", corpus.true_pairs(rows, 0.8)
    truth = cluster.folders.driver / "truth"
    truth.mkdir()
    a, b = zip(*pairs, strict=True)
    pq.write_table(pa.table({"id_a": a, "id_b": b, "jaccard": list(pairs.values())}), truth / "truth.parquet")
    there = put_folder(truth, f"{bucket}/truth")
    done = cluster.job("dedup", "--input", source[1], "--output", folder, "--quiet")
    assert done.code == 0, done.said
    figures = cluster.folders.driver / "figures.json"
    limits = ["--min-precision", "1", "--min-recall", "0.99"]
    done = cluster.alone("grade", folder, "--truth", f"{there}/truth.parquet", *limits, "--json", str(figures))
    assert done.code == 0, done.said
    removed = table(f"{folder}/removed").num_rows
    assert json.loads(figures.read_text())["counts"]["removed"] == removed > 0


def test_a_default_file_system_other_than_the_local_one_changes_nothing_for_local_folders(
    cluster: Cluster, source: Source, reference: Callable[[str], Done]
) -> None:
    folder = cluster.folders.driver / "local"
    words = ["--input", source[0].name, "--output", folder.name, "--bucket-cap", str(CAP), "--quiet"]
    done = cluster.local_job("dedup", *words, settings=cluster.other_file_system)
    same_result(done, str(folder), reference("leader"))


def test_a_default_file_system_that_does_not_answer_changes_nothing_for_s3(
    cluster: Cluster, bucket: str, source: Source, reference: Callable[[str], Done]
) -> None:
    folder = f"{bucket}/no-default"
    words = ["--input", source[1], "--output", folder, "--bucket-cap", str(CAP), "--driver-budget", "0", "--quiet"]
    done = cluster.local_job("dedup", *words, settings=DEAD_FILE_SYSTEM)
    same_result(done, folder, reference("leader"))
