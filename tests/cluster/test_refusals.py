"""A folder of the driver's that no worker sees is refused: it would give an empty result, or one that is nowhere."""

import pyarrow as pa
import pytest
from cluster import Cluster
from dedup_runs import prose, save
from remote import names, put_folder

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def there(cluster: Cluster, bucket: str) -> str:
    """A folder on S3 with documents in `docs` and token rows in `rows`, as in the driver's folder."""
    driver = cluster.folders.driver
    save(driver / "few" / "docs" / "a.parquet", {"id": [1, 2], "text": [prose(1), prose(2)]})
    tokens = pa.array([[1, 2], [3, 4]], pa.list_(pa.uint16()))
    save(driver / "few" / "rows" / "a.parquet", {"id": [1, 2], "tokens": tokens})
    return put_folder(driver / "few", f"{bucket}/few")


@pytest.mark.parametrize(
    ("job", "side"), [("dedup", "input"), ("dedup", "output"), ("tokens", "input"), ("shards", "output")]
)
def test_a_folder_that_workers_do_not_see_is_refused_by_its_name(
    cluster: Cluster, bucket: str, there: str, job: str, side: str
) -> None:
    driver, what = cluster.folders.driver, "rows" if job == "shards" else "docs"
    if side == "input":
        paths = {"input": str(driver / "few" / what), "output": f"{bucket}/{job}"}
    else:
        paths = {"input": f"{there}/{what}", "output": str(driver / job)}
    before = names(str(driver))
    done = cluster.job(job, "--input", paths["input"], "--output", paths["output"], "--quiet")
    assert done.code == 2, done.said
    assert paths[side] in done.error
    assert "workers do not see" in done.error
    assert names(bucket) == {"few"}
    assert names(str(driver)) == before
