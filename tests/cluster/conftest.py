"""The cluster that these tests run on: started once, with its nodes kept apart, and checked after each test."""

from collections.abc import Iterator

import pytest
from cluster import Cluster
from cluster_start import started, way_to_hide

_TOLD = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def cluster(s3_server: str, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A Spark master and two workers for the whole run; skips where their folders cannot be hidden from one another."""
    way = way_to_hide()
    pytestconfig.stash[_TOLD] = f"kept apart by {way}" if way else "not started"
    if way is None:
        pytest.skip(
            "neither root nor a user namespace may mount here, so that workers would see the driver's folders: "
            "run as root (in a container with CAP_SYS_ADMIN), or allow user namespaces"
        )
    with started(tmp_path_factory.mktemp("cluster"), s3_server, way) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_astray(cluster: Cluster) -> Iterator[None]:
    """Whatever a test runs writes nothing to the default file system, nor, on a node, to the driver's folders."""
    yield
    assert cluster.strays() == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how the nodes were kept apart: a result means as much as that."""
    told = terminalreporter.config.stash.get(_TOLD, None)
    if told:
        terminalreporter.write_line(f"nodes of the test cluster: {told}")
