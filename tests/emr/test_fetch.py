"""What is brought from a cluster: each run into a folder of its own, and no file that is another than its object."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_buckets

from sparkprep.emr.running import fetch
from sparkprep.emr.running.brought import NOTES, Brought
from sparkprep.emr.running.clusters import Cluster, Step
from sparkprep.errors import UserError

CLUSTER = Cluster("j-1", "", "WAITING", "", "", (), None, None, "s3://bucket/logs")
FIRST, SECOND = "docs_train_000001.bin", "docs_train_000002.bin"


@pytest.fixture
def bucket_of_runs(bucket: str) -> Iterator[str]:
    s3_buckets.clear()
    yield bucket
    s3_buckets.clear()


def steps(*outputs: str) -> list[Step]:
    words = [("spark-submit", "jobs/x.py", "--input", "s3://bucket/docs", "--output", output) for output in outputs]
    return [Step("s-1", "", "COMPLETED", args, None, None, "", "") for args in words]


def put_shards(run: str, *shards: str) -> None:
    """Shards, and the manifest that tells of them."""
    told = []
    for file, content in zip((FIRST, SECOND), shards, strict=False):
        s3_buckets.put(f"{run}/shards/{file}", content)
        told.append({"file": file, "sha256": hashlib.sha256(content.encode()).hexdigest()})
    s3_buckets.put(f"{run}/shards/manifest.json", json.dumps({"shards": told}))


def bring(folder: Path, *outputs: str, chosen: str | None = None, parts: str = "shards") -> list[str]:
    """Bring what is not there, and return the paths of that."""
    brought = Brought(str(folder))
    runs = fetch.runs_of(steps(*outputs), chosen)
    wanted, _ = fetch.downloads(CLUSTER, runs, parts.split(","), str(folder), brought)
    missing = [each for each in wanted if not each.is_there(brought)]
    fetch.bring(missing, brought, lambda each: None)
    return sorted(Path(each.path).relative_to(folder).as_posix() for each in missing)


def test_each_run_of_a_cluster_has_a_folder_of_its_own(bucket_of_runs: str, tmp_path: Path) -> None:
    put_shards("tried", "a", "b")
    put_shards("run", "c")
    s3_buckets.put("run/clean/metrics.json", "{}")
    outputs = [f"{bucket_of_runs}/{name}" for name in ("tried/shards", "run/clean", "run/shards")]
    bring(tmp_path, *outputs, parts="reports,shards")
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.name != NOTES)
    assert there == [
        *("run/clean/metrics.json", f"run/shards/{FIRST}", "run/shards/manifest.json"),
        *(f"tried/shards/{FIRST}", f"tried/shards/{SECOND}", "tried/shards/manifest.json"),
    ]


def test_runs_of_one_name_are_brought_one_by_one_into_folders_that_do_not_mix(
    bucket_of_runs: str, tmp_path: Path
) -> None:
    put_shards("one/run", "a", "b")
    put_shards("two/run", "c", "d")
    both = [f"{bucket_of_runs}/{name}/run/shards" for name in ("one", "two")]
    with pytest.raises(UserError, match="s3://bucket/one/run and s3://bucket/two/run would both go to a folder run/"):
        bring(tmp_path, *both)
    bring(tmp_path, *both, chosen="s3://bucket/one/run/")
    with pytest.raises(
        UserError, match=r"was brought from s3://bucket/one/run/shards.*the folder would be of two runs"
    ):
        bring(tmp_path, *both, chosen="s3://bucket/two/run")
    assert (tmp_path / "run/shards" / FIRST).read_text() == "a"
    with pytest.raises(UserError, match=r"s3://bucket/three: is the --output of no run.*there are s3://bucket/one/run"):
        bring(tmp_path, *both, chosen="s3://bucket/three")


def test_a_run_made_anew_with_fewer_shards_does_not_stay_among_those_of_before(
    bucket_of_runs: str, tmp_path: Path
) -> None:
    put_shards("run", "a", "b")
    bring(tmp_path, "s3://bucket/run/shards")
    s3_buckets.clear()
    put_shards("run", "c")
    with pytest.raises(UserError, match=rf"{SECOND}: was brought from .*which s3://bucket/run/shards has not"):
        bring(tmp_path, "s3://bucket/run/shards")


@pytest.mark.parametrize("size", [3, 9 << 20])
def test_an_object_of_the_same_size_with_other_bytes_is_brought_anew(
    bucket_of_runs: str, tmp_path: Path, size: int
) -> None:
    put_shards("run", "a" * size, "b" * size)
    bring(tmp_path, "s3://bucket/run/shards")
    assert bring(tmp_path, "s3://bucket/run/shards") == []
    put_shards("run", "a" * size, "c" * size)
    assert bring(tmp_path, "s3://bucket/run/shards") == [f"run/shards/{SECOND}", "run/shards/manifest.json"]
    assert (tmp_path / "run/shards" / SECOND).read_text() == "c" * size


@pytest.mark.parametrize("part", ["shards", "logs"])
def test_a_file_that_was_changed_here_is_brought_anew(bucket_of_runs: str, tmp_path: Path, part: str) -> None:
    put_shards("run", "abc")
    s3_buckets.put("logs/j-1/steps/s-1/stderr.gz", "abc")
    bring(tmp_path, "s3://bucket/run/shards", parts=part)
    path = {"shards": f"run/shards/{FIRST}", "logs": "logs/steps/s-1/stderr.gz"}[part]
    (tmp_path / path).write_text("abd")
    assert bring(tmp_path, "s3://bucket/run/shards", parts=part) == [path]
    assert (tmp_path / path).read_text() == "abc"


@pytest.mark.parametrize(
    ("output", "name", "listed"),
    [
        ("shards", FIRST, ("manifest.json", {"shards": [{"file": FIRST, "sha256": "0"}]})),
        ("clean", "kept/a.parquet", ("metrics.json", {"parts": {"kept": [{"name": "a.parquet", "sha256": "0"}]}})),
        ("tokens", "a.parquet", ("_metrics.json", {"parts": [{"name": "a.parquet", "sha256": "0"}]})),
    ],
)
def test_an_object_that_is_not_what_its_run_tells_of_does_not_replace_a_file(
    bucket_of_runs: str, tmp_path: Path, output: str, name: str, listed: tuple[str, dict]
) -> None:
    s3_buckets.put(f"run/{output}/{name}", "damaged")
    s3_buckets.put(f"run/{output}/{listed[0]}", json.dumps(listed[1]))
    file = tmp_path / "run" / output / name
    file.parent.mkdir(parents=True)
    file.write_text("as it was")
    with pytest.raises(UserError, match=rf"s3://bucket/run/{output}/{name}: is not what the run's own list tells of"):
        bring(tmp_path, f"s3://bucket/run/{output}", parts="rows")
    assert [path.read_text() for path in file.parent.iterdir() if path.name.startswith((".a", ".d", "a.", "doc"))] == [
        "as it was"
    ]


def test_an_object_that_changes_after_it_was_listed_is_not_taken(bucket_of_runs: str, tmp_path: Path) -> None:
    s3_buckets.put("run/shards/x.bin", "abc")
    brought = Brought(str(tmp_path))
    runs = fetch.runs_of(steps("s3://bucket/run/shards"))
    wanted, _ = fetch.downloads(CLUSTER, runs, ["shards"], str(tmp_path), brought)
    s3_buckets.put("run/shards/x.bin", "abd")
    with pytest.raises(UserError, match=r"s3://bucket/run/shards/x.bin: has changed meanwhile"):
        fetch.bring(wanted, brought, lambda each: None)
    assert list((tmp_path / "run/shards").iterdir()) == []


def test_what_the_runs_own_list_proves_is_not_paid_for_again_though_no_note_tells_of_it(
    bucket_of_runs: str, tmp_path: Path
) -> None:
    put_shards("run", "abc", "def")
    bring(tmp_path, "s3://bucket/run/shards")
    (tmp_path / NOTES).write_text('{"path": "run/sha')  # a killed run's
    assert bring(tmp_path, "s3://bucket/run/shards") == ["run/shards/manifest.json"]
    assert bring(tmp_path, "s3://bucket/run/shards") == []


def test_steps_of_others_bring_nothing(bucket_of_runs: str, tmp_path: Path) -> None:
    put_shards("run", "abc")
    assert fetch.runs_of(steps("hdfs:///out", "s3://bucket", "out")) == {}
    assert bring(tmp_path, "s3a://bucket/run/shards/", "hdfs:///out") != []


@pytest.mark.parametrize("folder", ["s3://bucket/foo", "s3a://bucket/foo", "s3:/bucket/foo", "hdfs:///foo"])
def test_a_place_elsewhere_is_no_folder(folder: str) -> None:
    with pytest.raises(UserError, match=rf"FOLDER {folder}: is no folder of this machine"):
        fetch.check_folder(folder)


def test_a_file_is_no_folder_and_a_uri_of_one_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: is a file; name a folder"):
        fetch.check_folder(str(tmp_path / "file"))
    assert fetch.check_folder(f"file://{tmp_path}/run") == f"{tmp_path}/run"
