"""The cluster that these tests run on: started once, with its nodes kept apart, and checked after each test."""

from collections.abc import Iterator

import pytest
from cluster import Cluster
from cluster_tests import cluster_or_skip, tell_of_nodes
from remote import access_to


@pytest.fixture(scope="session")
def cluster(s3_server: str, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A Spark master and two workers for the whole run; skips where their folders cannot be hidden from one another."""
    with cluster_or_skip(access_to(s3_server), tmp_path_factory, pytestconfig) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_astray(cluster: Cluster) -> Iterator[None]:
    """Whatever a test runs writes nothing to the default file system, nor, on a node, to the driver's folders."""
    yield
    assert cluster.strays() == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tell_of_nodes(terminalreporter)
