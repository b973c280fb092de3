"""The test cluster is one: what its nodes see, and what they share."""

import json
from pathlib import Path

import pytest
from checkout import ROOT
from cluster import NODES, Cluster

from sparkprep.spark.clusters import WORKER_DAEMON

pytestmark = pytest.mark.cluster


def test_nodes_run_the_wheel_and_see_no_folder_of_the_drivers(cluster: Cluster) -> None:
    of_driver = [ROOT, cluster.folders.driver]
    assert all(any(folder.iterdir()) for folder in of_driver)
    done = cluster.submit(ROOT / "tests" / "cluster" / "look.py", str(len(NODES)), *map(str, of_driver))
    assert done.code == 0, done.said
    nodes = [json.loads(line) for line in done.said.splitlines() if line.startswith("{")]
    assert len(nodes) == len(NODES)
    environment = cluster.folders.environment
    for node in nodes:
        assert node["folders"] == {str(folder): [] for folder in of_driver}
        assert node["python"] == str(environment / "bin" / "python")
        assert Path(node["package"]).is_relative_to(environment)
        assert node["daemon"] == WORKER_DAEMON
        assert not node["home_is_writable"]
    owners = {next(n for n in NODES if Path(node["cwd"]).is_relative_to(cluster.folders.node(n))) for node in nodes}
    assert owners == set(NODES)
    assert {node["home"] for node in nodes} == {str(cluster.folders.node(number) / "home") for number in NODES}
