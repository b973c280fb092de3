"""What a run on the cluster meets of Ceph, and of its own nodes: it survives, or says in one line why it does not."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import corpus
import pyarrow as pa
import pytest
from ceph import Ceph
from cluster import Cluster, Done
from proxy import Proxy, Request, once
from remote import names, put_folder, table
from strikes import Strike

pytestmark = [pytest.mark.storage, pytest.mark.cluster]

Rows = tuple[pa.Table, pa.Table]
MINUTE = 60.0


@pytest.fixture(scope="module")
def folder(cluster: Cluster) -> Path:
    """A few documents, in the driver's folder."""
    folder = cluster.folders.driver / "few"
    corpus.write(folder, corpus.documents(seed=11, families=50), files=3)
    return folder


@pytest.fixture(scope="module")
def source(bucket: str, folder: Path) -> str:
    """The same on Ceph."""
    return put_folder(folder, f"{bucket}/few")


@pytest.fixture(scope="module")
def rows(cluster: Cluster, folder: Path) -> Rows:
    """What a local run keeps and removes of them."""
    words = ["--input", folder.name, "--output", "few-clean", "--quiet"]
    done = cluster.local_job("dedup", *words, settings={"spark.master": "local[2]"})
    assert done.code == 0, done.said
    return rows_of(str(folder.with_name("few-clean")))


def rows_of(place: str) -> Rows:
    return table(f"{place}/kept"), table(f"{place}/removed")


def dedup(cluster: Cluster, source: str, place: str, *words: str) -> Done:
    return cluster.job("dedup", "--input", source, "--output", place, "--quiet", *words)


def of(method: str, *parts: str) -> Callable[[Request], bool]:
    """Return what tells requests of a method whose path holds all these parts."""
    return lambda request: request.method == method and all(part in request.path for part in parts)


def leftovers(bucket: str, name: str) -> set[str]:
    """Return what lies beside a result: names of folders that begin as its own does."""
    return {each for each in names(bucket) if each.startswith(name)} - {name}


def test_a_server_that_is_killed_and_comes_again_costs_a_run_nothing_but_time(
    watched: Cluster, ceph: Ceph, proxy: Proxy, bucket: str, source: str, rows: Rows
) -> None:
    strike = Strike("server", watched, ceph, away=8)
    with proxy.meddling(once(of("PUT", "/signatures/"), strike)):
        done = dedup(watched, source, f"{bucket}/server")
    strike.wait()
    assert strike.has_struck
    assert done.code == 0, done.said
    assert rows_of(f"{bucket}/server") == rows


@pytest.mark.parametrize("share", [0.8, 1.0])
def test_a_minute_of_throttling_is_waited_out(
    watched: Cluster, proxy: Proxy, bucket: str, source: str, rows: Rows, share: float
) -> None:
    begun: list[float] = []
    numbers = random.Random(5)

    def busy(request: Request) -> bool:
        if not begun and of("PUT", "/signatures/")(request):
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() < begun[0] + MINUTE and numbers.random() < share

    place = f"{bucket}/throttled-{share}"
    with proxy.meddling(busy):
        done = dedup(watched, source, place)
    assert begun
    assert done.code == 0, done.said
    assert rows_of(place) == rows


def test_a_document_file_that_is_deleted_under_way_is_named_and_nothing_is_left(
    watched: Cluster, proxy: Proxy, s3: Any, bucket: str, folder: Path
) -> None:
    source, key = put_folder(folder, f"{bucket}/doomed"), "doomed/part-001.parquet"
    delete = once(of("PUT", "/kept/"), lambda: s3.delete_object(Bucket=urlsplit(bucket).netloc, Key=key))
    with proxy.meddling(delete):
        done = dedup(watched, source, f"{bucket}/of-doomed")
    assert done.code == 2, done.said
    assert f"{bucket}/{key}: is not there any more" in done.error
    assert leftovers(bucket, "of-doomed") == set()


def test_a_part_of_an_intermediate_table_that_is_deleted_under_way_is_named_and_nothing_is_left(
    watched: Cluster, proxy: Proxy, s3: Any, bucket: str, source: str
) -> None:
    deleted: list[str] = []

    def meddle(request: Request) -> bool:
        if not deleted and of("GET", "/signatures/part-")(request):
            name, key = urlsplit(request.path).path.lstrip("/").split("/", 1)
            s3.delete_object(Bucket=name, Key=key)
            deleted.append(key)
        return False

    with proxy.meddling(meddle):
        done = dedup(watched, source, f"{bucket}/part")
    assert done.code == 2, done.said
    assert "an intermediate table was lost or changed while the job ran" in done.error
    assert deleted[0] in done.error
    assert leftovers(bucket, "part") == set()


def test_an_executor_that_is_killed_is_replaced(
    watched: Cluster, ceph: Ceph, proxy: Proxy, bucket: str, source: str, rows: Rows
) -> None:
    strike = Strike("executor", watched, ceph)
    with proxy.meddling(once(of("PUT", "/signatures/"), strike)):
        done = dedup(watched, source, f"{bucket}/executor")
    assert strike.has_struck
    assert done.code == 0, done.said
    assert rows_of(f"{bucket}/executor") == rows


def test_what_a_killed_driver_has_left_is_told_of_by_the_next_run_which_ends_well(
    watched: Cluster, ceph: Ceph, proxy: Proxy, bucket: str, source: str, rows: Rows
) -> None:
    strike = Strike("driver", watched, ceph)
    with proxy.meddling(once(of("PUT", "/kept/"), strike)):
        assert dedup(watched, source, f"{bucket}/driver").code < 0
    (left,) = leftovers(bucket, "driver")
    assert "driver" not in names(bucket)
    refused = watched.alone("tokenize", "--input", f"{bucket}/{left}/kept", "--output", f"{bucket}/of-left")
    assert (refused.code, "where a run works that has not finished" in refused.error) == (2, True), refused.said
    done = dedup(watched, source, f"{bucket}/driver")
    assert done.code == 0, done.said
    assert f"{bucket}/{left} was left by a killed run" in done.said
    cleaned = watched.alone("clean", f"{bucket}/driver", "--even-if-running")
    assert cleaned.code == 0, cleaned.said
    assert leftovers(bucket, "driver") == set()
    assert rows_of(f"{bucket}/driver") == rows


def test_a_result_that_a_killed_driver_has_put_in_place_by_half_is_no_input_and_is_replaced(
    watched: Cluster, ceph: Ceph, proxy: Proxy, bucket: str, source: str, rows: Rows
) -> None:
    place = f"{bucket}/half"
    strike = Strike("driver", watched, ceph)
    with proxy.meddling(once(of("PUT", "/half/kept/"), strike)):
        assert dedup(watched, source, place).code < 0
    refused = watched.alone("tokenize", "--input", place, "--output", f"{bucket}/of-half")
    assert refused.code == 2, refused.said
    assert "the result of a run that has not finished" in refused.error
    done = dedup(watched, source, place, "--overwrite")
    assert done.code == 0, done.said
    assert rows_of(place) == rows
