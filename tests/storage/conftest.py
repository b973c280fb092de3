"""What these tests run against: Ceph's gateway, a proxy in front of it, and the cluster, each started once."""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import ceph as ceph_server
import pytest
from ceph import Ceph
from cluster import Cluster
from cluster_tests import cluster_or_skip, tell_of_nodes
from proxy import Proxy, in_front_of


@pytest.fixture(scope="session")
def ceph() -> Iterator[Ceph]:
    """A server of S3's protocol for the whole run; skips where Ceph is not installed."""
    if lacking := ceph_server.missing():
        pytest.skip(
            f"no {', '.join(lacking)} here: `apt-get install --no-install-recommends "
            f"{' '.join(ceph_server.PACKAGES)}` (Debian) brings them"
        )
    with ceph_server.running() as running:
        yield running


@pytest.fixture(scope="session")
def proxy(ceph: Ceph) -> Iterator[Proxy]:
    """What may meddle with the requests to Ceph."""
    with in_front_of(ceph.url) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A Spark master and two workers, which ask Ceph."""
    with cluster_or_skip(ceph.access(), tmp_path_factory, pytestconfig) as running:
        yield running


@pytest.fixture(scope="session")
def watched(cluster: Cluster, ceph: Ceph, proxy: Proxy) -> Cluster:
    """The cluster, asking Ceph through the proxy."""
    return cluster.asking(ceph.access(url=proxy.url))


@pytest.fixture(scope="module")
def s3(ceph: Ceph) -> Iterator[Any]:
    """The client of who owns all buckets; the variables of the environment lead there too, in these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in ceph.access().items():
            patch.setenv(name, value)
        # Arrow's own writer, by which tests put files there, sends sums that this Ceph does not know.
        patch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "WHEN_REQUIRED")
        yield boto3.client("s3")


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    """An empty bucket."""
    name = f"b-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(autouse=True)
def _nothing_astray(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test runs on the cluster writes nothing to the default file system, nor to folders of the driver's."""
    yield
    if "cluster" in request.fixturenames:
        assert request.getfixturevalue("cluster").strays() == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tell_of_nodes(terminalreporter)
