"""`train/upload_to_s3.py` and the way back, against a real server of S3's protocol."""

import os
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from made_runs import make_run

from sparkprep.errors import UserError
from sparkprep.io import s3
from trainer.commands import plot as plot_cli
from trainer.commands import upload as upload_cli
from trainer.runs import upload
from trainer.runs.bucket import RunStore

MB = 1 << 20


@pytest.fixture(autouse=True)
def _no_other_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's AWS settings nor a cloud machine's role may change what is tested."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def client(bucket: str) -> Any:
    """A client of the bucket, which is emptied first."""
    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket"):
        if found := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
            client.delete_objects(Bucket="bucket", Delete={"Objects": found})
    return client


def keys(client: Any) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def experiment(folder: Path) -> Path:
    make_run(folder)
    (folder / "model_00000060.bin").write_bytes(b"weights")
    (folder / ".lock").write_text("")
    (folder / ".main.log.partial-0a1b").write_text("")
    (folder / "notes").mkdir()
    (folder / "notes" / "a b ü.txt").write_text("text")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.log").write_text("")
    return folder


def test_logs_get_the_courses_keys_and_all_brings_the_weights_but_no_hidden_file(client: Any, tmp_path: Path) -> None:
    folder = experiment(tmp_path / "d12")
    logs = ["main.log", "notes/a b ü.txt", "run_parameters.txt"]
    assert upload_cli.main(["bucket", str(folder), "c1"]) == 0
    assert keys(client) == [f"experiments/c1/d12/{name}" for name in logs]
    body = client.get_object(Bucket="bucket", Key="experiments/c1/d12/main.log")["Body"].read()
    assert body == (folder / "main.log").read_bytes()
    assert upload_cli.main(["s3://bucket/", f"{folder}//", "c2", "--all", "--quiet"]) == 0
    wanted = sorted([*logs, "model_00000060.bin"])
    assert [key for key in keys(client) if "/c2/" in key] == [f"experiments/c2/d12/{name}" for name in wanted]


@pytest.mark.parametrize(("given", "where"), [(".", "d12"), ("..", "d12/notes"), ("d12/", "."), ("./d12/.", ".")])
def test_the_name_of_a_run_does_not_depend_on_how_its_folder_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, where: str
) -> None:
    experiment(tmp_path / "d12")
    monkeypatch.chdir(tmp_path / where)
    plan = upload.plan_upload(given, "c")
    assert plan.items[0].key == "experiments/c/d12/main.log"


def test_a_dry_run_tells_what_would_go_where_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert upload_cli.main(["bucket", str(experiment(tmp_path / "d12")), "c", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("to s3://bucket/experiments/c/d12/main.log")
    assert lines[3].startswith("would upload 3 files, ")


def test_runs_that_a_new_one_has_set_aside_are_left_out_and_said(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "d12")
    experiment(folder / "earlier-1")
    experiment(folder / "notes" / "earlier-2")  # not of the trainer's making
    plan = upload.plan_upload(str(folder), "c", everything=True)
    assert plan.left_out == (f"{folder}/earlier-1 (an earlier run; give this folder to upload it)",)
    assert any("notes/earlier-2/main.log" in item.key for item in plan.items)
    assert upload.plan_upload(f"{folder}/earlier-1", "c").items[0].key == "experiments/c/earlier-1/main.log"


def test_links_out_of_the_folder_pipes_and_linked_folders_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = experiment(tmp_path / "d12")
    (tmp_path / "secret.txt").write_text("x")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inside.txt").symlink_to("main.log")
    (folder / "loop").symlink_to(folder)
    (folder / "lost.log").symlink_to("nothing")
    os.mkfifo(folder / "pipe.log")
    plan = upload.plan_upload(str(folder), "c")
    assert [item.key.removeprefix("experiments/c/d12/") for item in plan.items] == [
        *("inside.txt", "main.log", "notes/a b ü.txt", "run_parameters.txt")
    ]
    assert sorted(text.removeprefix(f"{folder}/") for text in plan.left_out) == [
        *("loop (a link to a folder)", "out.txt (a link out of the folder)", "pipe.log (no ordinary file)")
    ]
    assert [text.removeprefix(f"{folder}/") for text in plan.unreadable] == [
        "lost.log: cannot be read: No such file or directory"
    ]


def test_a_large_file_goes_up_in_parts_and_comes_back_the_same(client: Any, tmp_path: Path) -> None:
    folder = tmp_path / "d12"
    folder.mkdir()
    content = os.urandom(9 * MB + 7)
    (folder / "model.bin").write_bytes(content)
    assert upload_cli.main(["bucket", str(folder), "c", "--all"]) == 0
    found = client.get_object(Bucket="bucket", Key="experiments/c/d12/model.bin")
    assert found["Body"].read() == content
    assert found["ETag"].strip('"').endswith("-2")  # how S3 marks an object of two parts


def test_a_file_that_fails_is_named_and_the_others_are_uploaded(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = experiment(tmp_path / "d12")
    (folder / "a-lost.log").symlink_to("nothing")
    (folder / "vanishing.txt").write_text("x")
    planned = upload.plan_upload

    def plan_then_delete(*args: Any, **flags: Any) -> upload.UploadPlan:
        plan = planned(*args, **flags)
        (folder / "vanishing.txt").unlink()
        return plan

    monkeypatch.setattr(upload, "plan_upload", plan_then_delete)
    assert upload_cli.main(["bucket", str(folder), "c"]) == 1
    assert len(keys(client)) == 3
    told = capsys.readouterr().err
    assert f"failed: {folder}/a-lost.log: cannot be read: No such file or directory\n" in told
    assert f"failed: {folder}/vanishing.txt: cannot be read: No such file or directory\n" in told
    assert "2 files failed, 3 uploaded; run the same command again\n" in told


def test_a_file_that_changes_while_it_is_uploaded_is_a_failure(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "main.log"
    path.write_text("s:0 tel:11.0\n")

    def grow(sent: int) -> None:
        with path.open("a") as file:
            file.write("s:1 tel:10.0\n")

    failure = s3.upload(client, "bucket", "experiments/c/d/main.log", str(path), grow)
    assert failure == f"{path}: changed while it was uploaded; upload it again when nothing writes to it"


def test_an_answer_that_ends_all_hope_is_an_error_and_another_a_failure(tmp_path: Path) -> None:
    class Refusing:
        def __init__(self, code: str) -> None:
            self.code = code

        def upload_fileobj(self, *args: Any, **settings: Any) -> None:
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "PutObject")

    (tmp_path / "x.txt").write_text("x")
    path = str(tmp_path / "x.txt")
    assert "access denied" in str(s3.upload(Refusing("AccessDenied"), "bucket", "k", path, id))
    with pytest.raises(UserError, match="does not accept the AWS credentials"):
        s3.upload(Refusing("ExpiredToken"), "bucket", "k", path, id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bucket", "nowhere", "c"], "nowhere: no such folder"),
        (["bucket", "d12/main.log", "c"], "main.log: is a file"),
        (["bucket", "empty", "c"], "empty: nothing to upload; give the trainer's -o"),
        (["bucket", "weights", "c"], "nothing to upload (1 file of other kinds or hidden)"),
        (["bucket", "s3://x/y", "c"], "only a local folder can be uploaded"),
        (["Bad_Bucket", "d12", "c"], "'Bad_Bucket' is no bucket"),
        (["s3://bucket/path", "d12", "c"], "'s3://bucket/path' is no bucket"),
        (["bucket", "d12", ""], "CLUSTER: an empty value was given"),
        (["bucket", "d12", ".."], "'..' cannot be a cluster's name"),
        (["bucket", "d12", "/c"], "'/c' cannot be a cluster's name"),
        (["bucket", "d12", "a/../b"], "'a/../b' cannot be a cluster's name"),
        (["nobody-has-this", "d12", "c"], "bucket nobody-has-this: no such bucket"),
        (["bucket", "d12", "c", "--endpoint-url", "http://127.0.0.1:1"], "no connection to S3 at http://127.0.0.1:1"),
        (["bucket", "d12", "c", "--endpoint-url", "nonsense"], "Invalid endpoint: nonsense"),
        (["bucket", "d12", "c", "--region", "no where"], "'no where' doesn't match a supported format; give one such"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment(tmp_path / "d12")
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "m.bin").write_text("")
    assert upload_cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert message in told
    assert keys(client) == []


def test_missing_credentials_are_told_and_present_ones_never_are(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(experiment(tmp_path / "d12"))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "very-secret\nsecond-line")
    assert upload_cli.main(["bucket", folder, "c", "--debug"]) == 2
    told = capsys.readouterr().err
    assert "error: bucket bucket: the AWS credentials hold a character that no request may carry" in told
    assert "very-secret" not in told
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert upload_cli.main(["bucket", folder, "c"]) == 2
    assert "no complete AWS credentials found; run `aws configure`" in capsys.readouterr().err


def test_a_server_that_closes_every_connection_is_told(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        assert upload_cli.main(["bucket", str(experiment(tmp_path / "d12")), "c", "--endpoint-url", url]) == 2
    assert "no connection to S3" in capsys.readouterr().err


def test_what_was_uploaded_is_listed_and_downloaded_again(client: Any, tmp_path: Path) -> None:
    for name, cluster in (("d12", "c1"), ("d12_b", "c1"), ("d24", "c2")):
        upload_cli.main(["bucket", str(experiment(tmp_path / name)), cluster, "--all", "--quiet"])
    client.put_object(Bucket="bucket", Key="experiments/c1/no-run/notes.txt", Body=b"")
    source = RunStore("s3://bucket", downloads=str(tmp_path / "down"))
    assert source.clusters() == ["c1", "c2"]
    assert source.experiments("c1") == ["d12", "d12_b"]
    assert source.fetch("c1", ["d12"]) == [str(tmp_path / "down" / "c1" / "d12")]
    files = {str(path.relative_to(tmp_path / "down")) for path in (tmp_path / "down").rglob("*") if path.is_file()}
    assert files == {f"c1/d12/{name}" for name in ("main.log", "run_parameters.txt", "notes/a b ü.txt")}
    assert (tmp_path / "down/c1/d12/main.log").read_bytes() == (tmp_path / "d12/main.log").read_bytes()
    assert len(RunStore("s3://bucket/experiments/", downloads=str(tmp_path / "down")).fetch("c1")) == 2
    with pytest.raises(UserError, match="has no run d13; it has d12, d12_b"):
        source.fetch("c1", ["d13"])
    with pytest.raises(UserError, match="no run in cluster 'c3'; there are: c1, c2"):
        source.fetch("c3")


def test_hostile_keys_write_nothing_outside_the_folder(client: Any, tmp_path: Path) -> None:
    hostile = [
        *("experiments/c/../../../evil.txt", "experiments/c/d/../../evil.log", "experiments/c//evil.txt"),
        *("experiments/c/d/a\\b.txt", "experiments/c/d/de\x7fl.txt", "experiments/c/d//etc/evil.txt"),
        *("experiments/../x/main.log", "experiments/c/../main.log"),
    ]
    good = "experiments/c/d/main.log"
    for key in [*hostile, good]:
        client.put_object(Bucket="bucket", Key=key, Body=b"s:0 tel:1.0\n")
    inner = tmp_path / "a" / "b" / "down"
    source = RunStore("s3://bucket", downloads=str(inner))
    assert source.clusters() == ["c"]
    assert source.fetch("c") == [str(inner / "c" / "d")]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [inner / "c" / "d" / "main.log"]
    assert len(source.passed_over) == len(hostile)
    for cluster in ("..", "", "a/b"):
        with pytest.raises(UserError, match="cannot be a cluster"):
            source.fetch(cluster)


def test_more_runs_than_one_page_of_a_listing_holds_are_all_found(client: Any) -> None:
    for i in range(60):
        client.put_object(Bucket="bucket", Key=f"experiments/c/run{i:04d}/main.log", Body=b"")
        client.put_object(Bucket="bucket", Key=f"experiments/d{i:04d}/run/main.log", Body=b"")
    assert client.list_objects_v2(Bucket="bucket")["IsTruncated"]
    source = RunStore("s3://bucket")
    assert len(source.experiments("c")) == 60
    assert len(source.clusters()) == 61


def test_a_cluster_on_s3_is_plotted(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    upload_cli.main(["bucket", str(experiment(tmp_path / "d12")), "c", "--quiet"])
    monkeypatch.chdir(tmp_path)
    assert plot_cli.main(["s3://bucket/experiments/c", "--panel", "lr"]) == 0
    assert (tmp_path / "plot.png").exists()
    assert plot_cli.main(["s3://bucket/experiments/c/d13"]) == 2
    assert plot_cli.main(["s3://not-there/experiments/c"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: s3://bucket: cluster 'c' has no run d13; it has d12",
        "error: bucket not-there: no such bucket; check its name, or make it with `aws s3 mb s3://NAME`",
    ]


def test_a_local_folder_in_the_same_layout_is_a_source_too(tmp_path: Path) -> None:
    make_run(tmp_path / "experiments" / "c1" / "d12")
    (tmp_path / "experiments" / "c2").mkdir()
    for location in (tmp_path, tmp_path / "experiments"):
        source = RunStore(str(location))
        assert (source.clusters(), source.experiments("c1")) == (["c1"], ["d12"])
        assert source.fetch("c1") == [str(tmp_path / "experiments" / "c1" / "d12")]
    flat = RunStore(str(tmp_path / "experiments" / "c1"))
    assert flat.clusters() == ["."]
    assert len(flat.fetch(".")) == 1
    with pytest.raises(UserError, match="no such folder; give a folder with runs, or s3://BUCKET"):
        RunStore(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="runs are looked for in s3://bucket/experiments"):
        RunStore("s3://bucket/elsewhere")


@pytest.mark.parametrize("text", ["bucket", "s3://bucket", "s3://bucket/", "my.bucket-1"])
def test_a_bucket_may_be_given_as_a_name_or_a_uri(text: str) -> None:
    assert s3.bucket_name(text) in ("bucket", "my.bucket-1")
