"""Runs on the cluster that lose a worker, an executor or their driver: the same rows, at once or by `--resume`."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import corpus
import psutil
import pyarrow as pa
import pytest
from checkout import ROOT
from cluster import Cluster
from dedup_runs import DONE_PARTS
from processes import descendants, kill
from proxy import Proxy, Request, in_front_of, once
from pyspark.sql import SparkSession
from remote import access_to, names, put_folder, table, text

from sparkprep import deduplicate

pytestmark = pytest.mark.cluster
Rows = tuple[pa.Table, pa.Table]


@pytest.fixture(scope="module")
def proxy(s3_server: str) -> Iterator[Proxy]:
    """What sees each request, so that a fault comes at a moment that has a meaning."""
    with in_front_of(s3_server) as running:
        yield running


@pytest.fixture(scope="module")
def watched(cluster: Cluster, proxy: Proxy) -> Cluster:
    return cluster.asking(access_to(proxy.url))


@pytest.fixture(scope="module")
def source(watched: Cluster, bucket: str) -> tuple[Path, str]:
    folder = watched.folders.driver / "few"
    corpus.write(folder, corpus.documents(seed=11, families=50), files=3)
    return folder, put_folder(folder, f"{bucket}/few")


@pytest.fixture(scope="module")
def rows(spark: SparkSession, source: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What an undisturbed run on this machine gives."""
    out = tmp_path_factory.mktemp("whole") / "out"
    deduplicate(source[0], output=out, spark=spark)
    return rows_of(out)


def rows_of(place: str | Path) -> Rows:
    return table(f"{place}/kept"), table(f"{place}/removed")


def of(method: str, part: str) -> Callable[[Request], bool]:
    return lambda request: request.method == method and part in request.path


def kill_of_nodes(cluster: Cluster, what: str) -> bool:
    """Kill the processes of a kind on the first node that has any; return whether there were some."""
    for node in cluster.pids:
        found = [each.pid for each in descendants(node) if what in " ".join(each.command)]
        if found:
            kill(*found)
            return True
    return False


def kill_driver() -> bool:
    """Kill the command that this process has started by `Cluster.job`, with all that it runs here."""
    children = psutil.Process(os.getpid()).children()  # one of which may be the JVM of this process's own session
    started = [each for each in children if str(ROOT / "jobs") in " ".join(each.cmdline())]
    for each in started:
        kill(each.pid, *(below.pid for below in descendants(each.pid)))
    return bool(started)


@pytest.mark.parametrize(
    ("victim", "moment"),
    [
        ("sparkprep.startup.worker_daemon", "/signatures/"),
        ("CoarseGrainedExecutorBackend", "/candidates/buckets/"),
    ],
    ids=["workers", "executor"],
)
def test_a_run_that_loses_workers_or_an_executor_gives_the_same_rows(
    watched: Cluster, proxy: Proxy, bucket: str, source: tuple[Path, str], rows: Rows, victim: str, moment: str
) -> None:
    struck: list[bool] = []

    def strike() -> bool:
        struck.append(kill_of_nodes(watched, victim))
        return struck[-1]

    place = f"{bucket}/without-{victim[-6:].lower()}"
    with proxy.meddling(once(of("PUT", moment), strike)):
        done = watched.job("dedup", "--input", source[1], "--output", place, "--quiet")
    assert any(struck)
    assert done.code == 0, done.said
    assert rows_of(place) == rows


def test_a_run_whose_driver_is_killed_is_gone_on_from_on_s3(
    watched: Cluster, proxy: Proxy, bucket: str, source: tuple[Path, str], rows: Rows
) -> None:
    words = ("dedup", "--input", source[1], "--output", f"{bucket}/resumed", "--resume")
    with proxy.meddling(once(of("PUT", "/kept/"), kill_driver)):
        assert watched.job(*words).code < 0
    (left,) = {name for name in names(bucket) if name.startswith("resumed")}
    assert "_resume" in names(f"{bucket}/{left}")
    done = watched.job(*words)
    assert done.code == 0, done.said
    assert "going on from" in done.said
    assert "finished by the earlier run" in done.said
    assert rows_of(f"{bucket}/resumed") == rows
    assert names(f"{bucket}/resumed") == DONE_PARTS
    metrics = json.loads(text(f"{bucket}/resumed/metrics.json"))
    assert [stage["name"] for stage in metrics["resumed"]["stages"]] == ["sketch", "candidates", "verify", "decide"]
    assert {name for name in names(bucket) if name.startswith("resumed")} == {"resumed"}
