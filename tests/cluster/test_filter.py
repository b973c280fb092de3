"""Curation where driver and workers share nothing but S3: the rows are those of a local run."""

import json
import shutil

import pytest
from cluster import Cluster
from remote import names, put_folder, table, text

from sparkprep.sample import embedded

pytestmark = pytest.mark.cluster

FIGURES = ("counts", "rules", "personal")


def test_workers_that_share_no_folder_with_the_driver_give_the_rows_of_a_local_run(
    cluster: Cluster, bucket: str
) -> None:
    source, local = cluster.folders.driver / "to-filter", cluster.folders.driver / "filtered"
    source.mkdir()
    shutil.copy(embedded("1k").documents, source)
    rules = ["--rules", "gopher-quality", "c4", "--quiet"]
    done = cluster.local_job(
        "filter", "--input", str(source), "--output", str(local), *rules, settings={"spark.master": "local[2]"}
    )
    assert done.code == 0, done.said
    done = cluster.job("filter", "--input", put_folder(source, f"{bucket}/docs"), "--output", f"{bucket}/good", *rules)
    assert done.code == 0, done.said
    for part in ("kept", "removed"):
        assert table(f"{bucket}/good/{part}") == table(f"{local}/{part}")
    here, there = json.loads((local / "metrics.json").read_text()), json.loads(text(f"{bucket}/good/metrics.json"))
    assert {name: there[name] for name in FIGURES} == {name: here[name] for name in FIGURES}
    assert there["counts"]["removed"] > 0
    assert names(bucket) == {"docs", "good"}, "something was left beside them"
