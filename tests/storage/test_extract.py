"""Extraction from and to Ceph, with what may go while archives are read: the rows are those of a local run."""

from pathlib import Path

import pyarrow as pa
import pytest
from ceph import Ceph
from cluster import Cluster
from proxy import Proxy, Request, once
from remote import names, put_folder, table
from strikes import Strike

from sparkprep.sample import embedded, write_archives

pytestmark = [pytest.mark.storage, pytest.mark.cluster]


@pytest.fixture(scope="module")
def folder(cluster: Cluster) -> Path:
    """Archives in the driver's folder."""
    folder = cluster.folders.driver / "warc"
    write_archives(embedded("1k"), folder)
    return folder


@pytest.fixture(scope="module")
def documents(cluster: Cluster, folder: Path) -> pa.Table:
    """What a local run makes of them."""
    words = ["--input", folder.name, "--output", "pages", "--quiet"]
    done = cluster.local_job("extract", *words, settings={"spark.master": "local[2]"})
    assert done.code == 0, done.said
    return documents_of(str(folder.with_name("pages")))


def documents_of(place: str) -> pa.Table:
    return table(f"{place}/documents").drop(["archive"])


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "/documents/part-" in request.path


@pytest.mark.parametrize("victim", ["server", "executor"])
def test_what_goes_while_documents_are_written_costs_a_run_nothing_but_time(
    watched: Cluster, ceph: Ceph, proxy: Proxy, bucket: str, folder: Path, documents: pa.Table, victim: str
) -> None:
    source = put_folder(folder, f"{bucket}/warc-{victim}")
    strike = Strike(victim, watched, ceph)
    with proxy.meddling(once(is_part, strike)):
        done = watched.job("extract", "--input", source, "--output", f"{bucket}/pages-{victim}", "--quiet")
    strike.wait()
    assert strike.has_struck
    assert done.code == 0, done.said
    assert documents_of(f"{bucket}/pages-{victim}") == documents
    assert {name for name in names(bucket) if victim in name} == {f"warc-{victim}", f"pages-{victim}"}
