"""The whole pipeline through Ceph, on nodes that share nothing else, ends with what it ends with on local files."""

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from ceph import Ceph
from cluster import NODES, Cluster, Done
from cluster_tests import cluster_or_skip
from proxy import Proxy, once
from remote import names, put_folder
from strikes import VICTIMS, Strike
from whole_runs import RESULTS, End, Step, end_of, steps

from sparkprep.sample import Subset, embedded

pytestmark = [pytest.mark.storage, pytest.mark.cluster]

SEEDS = range(int(os.environ.get("STORAGE_SEEDS", "4")))
"""As many moments are tried: of each of four seeds, one for every victim."""
CLEAR = ("overloaded", "no connection", "lost an executor", "was killed")
"""Words of the one line that a run ends with which does not survive."""


@dataclass(frozen=True)
class Reference:
    """What a run on local files ends with, and its grade."""

    end: End
    grade: dict[str, Any]


@dataclass(frozen=True)
class Undisturbed:
    """A run on the cluster that nothing happened to. requests: how often it has asked Ceph."""

    place: str
    requests: int


@pytest.fixture(scope="module")
def subset() -> Subset:
    return embedded("10k")


@pytest.fixture(scope="module")
def source(cluster: Cluster, bucket: str, subset: Subset) -> tuple[str, str]:
    """The documents in the driver's folder, where no worker sees them, and on Ceph."""
    folder = cluster.folders.driver / "documents"
    folder.mkdir()
    shutil.copy(subset.documents, folder)
    return str(folder), put_folder(folder, f"{bucket}/documents")


def graded(cluster: Cluster, folder: str, subset: Subset) -> dict[str, Any]:
    figures = cluster.folders.driver / "figures.json"
    done = cluster.alone("grade", folder, "--truth", str(subset.pairs), "--json", str(figures))
    assert done.code == 0, done.said
    return dict(json.loads(figures.read_text()))


@pytest.fixture(scope="module")
def reference(cluster: Cluster, source: tuple[str, str], subset: Subset) -> Reference:
    place = str(cluster.folders.driver / "local")
    for job, words in steps(source[0], place):
        done = cluster.local_job(job, *words, settings={"spark.master": "local[2]"})
        assert done.code == 0, done.said
    return Reference(end_of(place), graded(cluster, f"{place}/clean", subset))


@pytest.fixture(scope="module")
def undisturbed(watched: Cluster, proxy: Proxy, bucket: str, source: tuple[str, str]) -> Undisturbed:
    place = f"{bucket}/undisturbed"
    with proxy.meddling(lambda request: False):
        done = run(watched, steps(source[1], place))
        requests = proxy.requests
    assert [each.code for each in done] == [0, 0], done[-1].said
    return Undisturbed(place, requests)


def run(cluster: Cluster, jobs: Sequence[Step]) -> list[Done]:
    """Run jobs one after another, to the first that does not end well; return how each ended."""
    ended: list[Done] = []
    for job, words in jobs:
        ended.append(cluster.job(job, *words))
        if ended[-1].code:
            break
    return ended


def test_rows_shards_and_grade_are_those_of_local_files(
    watched: Cluster, undisturbed: Undisturbed, reference: Reference, subset: Subset
) -> None:
    assert end_of(undisturbed.place) == reference.end
    assert len(reference.end.shards) > 2
    assert graded(watched, f"{undisturbed.place}/clean", subset) == reference.grade
    assert names(undisturbed.place) == RESULTS, "something was left beside the results"
    assert min(watched.tasks()) > 0, "a node was idle"


@pytest.fixture
def own_cluster(
    ceph: Ceph, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Cluster]:
    """A cluster of the test's own: a worker that is killed does not come again."""
    with cluster_or_skip(ceph.access(url=proxy.url), tmp_path_factory, pytestconfig) as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_a_random_moment_the_next_run_ends_with_the_same(
    own_cluster: Cluster,
    ceph: Ceph,
    proxy: Proxy,
    bucket: str,
    source: tuple[str, str],
    undisturbed: Undisturbed,
    reference: Reference,
    seed: int,
) -> None:
    numbers = random.Random(seed)
    moment = numbers.randrange(undisturbed.requests)
    strike = Strike(VICTIMS[seed % len(VICTIMS)], own_cluster, ceph, numbers.choice(NODES), numbers.uniform(1, 20))
    place = f"{bucket}/seed-{seed}"
    jobs = steps(source[1], place)
    with proxy.meddling(once(lambda request: request.number > moment, strike)):
        ended = run(own_cluster, jobs)
    strike.wait()
    assert strike.has_struck
    print(f"seed {seed}: {strike.victim} at request {moment}, codes {[each.code for each in ended]}")
    if ended[-1].code:
        assert strike.victim == "driver" or any(words in ended[-1].error for words in CLEAR), ended[-1].said
        again = run(own_cluster, jobs[len(ended) - 1 :])
        assert again[-1].code == 0, again[-1].said
    assert end_of(place) == reference.end
