"""What the tests on the cluster have in common: it is started, or they are skipped, and the last line says by what."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from cluster import Cluster
from cluster_start import started, way_to_hide

_TOLD = pytest.StashKey[str]()


@contextlib.contextmanager
def cluster_or_skip(
    access: Mapping[str, str], folders: pytest.TempPathFactory, config: pytest.Config
) -> Iterator[Cluster]:
    """Run a Spark master and two workers for the block; skip where their folders cannot be hidden from one another.

    access: the variables that tell an AWS client of the S3 server.
    """
    way = way_to_hide()
    config.stash[_TOLD] = f"kept apart by {way}" if way else "not started"
    if way is None:
        pytest.skip(
            "neither root nor a user namespace may mount here, so that workers would see the driver's folders: "
            "run as root (in a container with CAP_SYS_ADMIN), or allow user namespaces"
        )
    with started(folders.mktemp("cluster"), access, way) as running:
        yield running


def tell_of_nodes(reporter: pytest.TerminalReporter) -> None:
    """Say how the nodes were kept apart: a result means as much as that."""
    told = reporter.config.stash.get(_TOLD, None)
    if told:
        reporter.write_line(f"nodes of the test cluster: {told}")
        del reporter.config.stash[_TOLD]
