"""Tables that Spark itself reads and writes by S3A, between our jobs, which go another way to the same bucket."""

import os
from pathlib import Path

import corpus
import pytest
from ceph import Ceph
from checkout import ROOT
from cluster import Cluster
from remote import put_folder, table

from sparkprep.tokens.manifest import verify

pytestmark = [pytest.mark.storage, pytest.mark.cluster]

JARS = os.environ.get("S3A_JARS", "")
NAMES = ("hadoop-aws-3.3.1.jar", "aws-java-sdk-bundle-1.11.901.jar")
SHARDS = ["--name", "t", "--shard-tokens", "20000", "--val-tokens", "5000"]


def settings(ceph: Ceph) -> dict[str, str]:
    """What Spark needs to ask Ceph; the keys come from the environment."""
    s3a = {
        "endpoint": ceph.url,
        "path.style.access": "true",
        "connection.ssl.enabled": "false",
        "signing-algorithm": "S3SignerType",  # this Ceph finds no other in requests without a body
        "aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    }
    return {
        "spark.jars": ",".join(str(Path(JARS) / name) for name in NAMES),
        **{f"spark.hadoop.fs.s3a.{name}": value for name, value in s3a.items()},
    }


@pytest.mark.skipif(
    not all((Path(JARS) / name).is_file() for name in NAMES),
    reason="S3A_JARS names no folder with Hadoop's S3A: `python scripts/s3a_jars.py FOLDER` fetches it (180 MB)",
)
def test_tables_that_spark_writes_by_s3a_between_the_jobs_end_with_the_same_shards(
    cluster: Cluster, ceph: Ceph, bucket: str
) -> None:
    folder = cluster.folders.driver / "for-s3a"
    corpus.write(folder, corpus.documents(seed=31, families=60), files=3)
    put_folder(folder, f"{bucket}/documents")
    name = bucket.removeprefix("s3://")
    done = cluster.submit(ROOT / "tests" / "storage" / "by_s3a.py", name, *SHARDS[1::2], settings=settings(ceph))
    assert done.code == 0, done.said

    here = {"spark.master": "local[2]"}
    for job, words in (
        ("dedup", ["--input", folder.name, "--output", "s3a-clean"]),
        ("tokens", ["--input", "s3a-clean", "--output", "s3a-tokens", "--shards", "s3a-shards", *SHARDS]),
    ):
        local = cluster.local_job(job, *words, "--quiet", settings=here)
        assert local.code == 0, local.said
    driver = cluster.folders.driver
    assert table(f"{bucket}/kept-by-spark").equals(table(driver / "s3a-clean" / "kept"))
    assert verify(f"{bucket}/shards")["shards"] == verify(str(driver / "s3a-shards"))["shards"]
