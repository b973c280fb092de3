"""Tokens and shards where driver and workers share nothing but S3: every shard has the bytes of a local run's."""

import gzip
import json
from pathlib import Path
from typing import Any

import corpus
import pytest
from cluster import DEAD_FILE_SYSTEM, Cluster
from remote import names, put_folder

from sparkprep.tokens.manifest import verify

pytestmark = pytest.mark.cluster

SHARDS = ["--name", "t", "--shard-tokens", "20000", "--val-tokens", "5000"]
Source = tuple[Path, str]


@pytest.fixture(scope="module")
def source(cluster: Cluster, bucket: str) -> Source:
    """Documents as compressed JSON Lines in the driver's folder, where no worker sees them, and on S3."""
    folder = cluster.folders.driver / "lines"
    folder.mkdir()
    rows = corpus.documents(seed=21, families=60)
    for number in range(3):
        lines = "".join(json.dumps(row) + "\n" for row in rows[number::3])
        (folder / f"part-{number}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return folder, put_folder(folder, f"{bucket}/lines")


@pytest.fixture(scope="module")
def reference(cluster: Cluster, source: Source) -> dict[str, Any]:
    """The manifest of a local run, whose shards have been looked through: it has the SHA-256 of each."""
    words = ["--input", source[0].name, "--output", "tokens", "--shards", "shards", *SHARDS, "--quiet"]
    done = cluster.local_job("tokens", *words, settings={"spark.master": "local[2]"})
    assert done.code == 0, done.said
    manifest = verify(str(cluster.folders.driver / "shards"))
    assert len(manifest["shards"]) > 2
    return manifest


def test_tokens_and_then_shards_of_workers_that_share_no_folder_have_the_bytes_of_a_local_run(
    cluster: Cluster, bucket: str, source: Source, reference: dict[str, Any]
) -> None:
    done = cluster.job("tokens", "--input", source[1], "--output", f"{bucket}/tokens", "--quiet")
    assert done.code == 0, done.said
    done = cluster.job("shards", "--input", f"{bucket}/tokens", "--output", f"{bucket}/shards", *SHARDS, "--quiet")
    assert done.code == 0, done.said
    assert verify(f"{bucket}/shards")["shards"] == reference["shards"]
    assert names(bucket) == {"lines", "tokens", "shards"}, "something was left beside them"
    assert min(cluster.tasks()) > 0, "a node was idle"


def test_a_default_file_system_that_does_not_answer_changes_nothing(
    cluster: Cluster, bucket: str, source: Source, reference: dict[str, Any]
) -> None:
    folders = ["--output", f"{bucket}/at-once", "--shards", f"{bucket}/shards-at-once"]
    done = cluster.local_job("tokens", "--input", source[1], *folders, *SHARDS, "--quiet", settings=DEAD_FILE_SYSTEM)
    assert done.code == 0, done.said
    assert verify(f"{bucket}/shards-at-once")["shards"] == reference["shards"]


def test_a_default_file_system_other_than_the_local_one_changes_nothing_for_local_folders(
    cluster: Cluster, source: Source, reference: dict[str, Any]
) -> None:
    words = ["--input", source[0].name, "--output", "tokens-here", "--shards", "shards-here", *SHARDS, "--quiet"]
    done = cluster.local_job("tokens", *words, settings=cluster.other_file_system)
    assert done.code == 0, done.said
    assert verify(str(cluster.folders.driver / "shards-here"))["shards"] == reference["shards"]
