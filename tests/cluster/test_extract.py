"""Extraction where driver and workers share nothing but S3: the rows are those of a local run."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from cluster import Cluster
from remote import names, put_folder, table, text

from sparkprep.sample import embedded, write_archives

pytestmark = pytest.mark.cluster

FIGURES = ("records", "documents", "without_document", "kinds", "languages", "charsets", "lengths", "hosts")
Source = tuple[Path, str]


@pytest.fixture(scope="module")
def source(cluster: Cluster, bucket: str) -> Source:
    """Archives in the driver's folder, where no worker sees them, and on S3, with a list of them."""
    folder = cluster.folders.driver / "warc"
    paths = write_archives(embedded("1k"), folder)
    (folder / "warc.paths").write_text("".join(f"{Path(path).name}\n" for path in paths))
    return folder, put_folder(folder, f"{bucket}/warc")


def documents(folder: str | Path) -> pa.Table:
    return table(f"{folder}/documents").drop(["archive"])


def test_workers_that_share_no_folder_with_the_driver_give_the_rows_of_a_local_run(
    cluster: Cluster, bucket: str, source: Source
) -> None:
    local = cluster.folders.driver / "extracted"  # the folder is that of all tests
    done = cluster.local_job(
        "extract", "--input", str(source[0]), "--output", str(local), "--quiet", settings={"spark.master": "local[2]"}
    )
    assert done.code == 0, done.said
    done = cluster.job("extract", "--input", f"{source[1]}/warc.paths", "--output", f"{bucket}/pages", "--quiet")
    assert done.code == 0, done.said
    assert documents(f"{bucket}/pages") == documents(local)
    assert names(f"{bucket}/pages") == {"documents", "skipped", "rejected", "metrics.json", "report.html"}
    here, there = json.loads((local / "metrics.json").read_text()), json.loads(text(f"{bucket}/pages/metrics.json"))
    assert {name: there[name] for name in FIGURES} == {name: here[name] for name in FIGURES}
    assert names(bucket) == {"warc", "pages"}, "something was left beside them"
    assert min(cluster.tasks()) > 0, "a node was idle"


@pytest.mark.parametrize(
    ("to_read", "to_write", "said"),
    [
        ("local", "remote", "workers do not see this file; take s3:// paths, or a folder that all nodes share"),
        ("remote", "local", "workers do not see this folder of the driver's"),
    ],
)
def test_a_place_that_the_driver_alone_sees_is_refused_before_any_work(
    cluster: Cluster, bucket: str, source: Source, to_read: str, to_write: str, said: str
) -> None:
    archives = str(source[0]) if to_read == "local" else source[1]
    output = f"{bucket}/refused" if to_write == "remote" else str(cluster.folders.driver / "refused")
    done = cluster.job("extract", "--input", archives, "--output", output, "--quiet")
    assert (done.code, said in done.error) == (2, True), done.said
    assert not names(f"{bucket}/refused")
    assert not (cluster.folders.driver / "refused").exists()
