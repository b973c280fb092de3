"""The verbs against a server of AWS's protocols: each ends with a command that works, and none tells a secret."""

import io
import json
import os
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3_buckets
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from emr_stubs import ARN, CLUSTER, add_look, add_run, add_runs, step, stubbed

from sparkprep import __version__
from sparkprep.cli import main, parse
from sparkprep.emr.aws import control
from sparkprep.emr.running import status
from sparkprep.emr.running.brought import NOTES
from sparkprep.emr.serverless import applications
from sparkprep.emr.verbs import on_cluster, on_serverless

PREFIX = "s3://bucket/sparkprep"
MARKED = "MARKEDSECRETKEY"
RUN = ["--input", "s3://bucket/docs", "--output", "s3://bucket/run"]


def parquet(**columns: list[str]) -> bytes:
    """A Parquet file of one row group."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


DOCUMENTS = parquet(id=["a", "b"], text=["one text", "another one"])


@pytest.fixture
def staged(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with what staging leaves, at the least: its manifest. Clusters are ended afterwards."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARKED)
    manifest = {"sparkprep": __version__, "python": "3.11", "machine": "x86_64", "files": []}
    s3_buckets.put("sparkprep/staged.json", json.dumps(manifest))
    for key in ("docs/0.parquet", "sparkprep/samples/10k/documents.parquet"):
        s3_buckets.client().put_object(Bucket="bucket", Key=key, Body=DOCUMENTS)
    yield PREFIX
    s3_buckets.clear()
    emr = boto3.client("emr", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for each in emr.list_clusters()["Clusters"]:
        emr.terminate_job_flows(JobFlowIds=[each["Id"]])


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What `sparkprep emr WORDS` says; the command that it ends with is one."""
    assert main(["emr", *words]) == code
    said = capsys.readouterr()
    assert MARKED not in said.out + said.err
    for line in re.findall(r"^next: (.+)$", said.out, re.MULTILINE):
        parse(shlex.split(line)[1:])
    return said.out if code == 0 else said.err


def cluster_in(text: str) -> str:
    found = re.search(r"j-\w+", text)
    assert found is not None, text
    return found[0]


def next_words(text: str) -> list[str]:
    return shlex.split(text.splitlines()[-1].removeprefix("next: sparkprep emr "))


def test_from_launch_to_the_end_each_command_leads_to_the_next(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    launched = told(capsys, "launch", staged)
    cluster = cluster_in(launched)
    assert f"{cluster} is launched; it stops itself after 8 hours" in launched
    listed = told(capsys, "status")
    assert re.search(rf"{cluster} sparkprep: \w+, for .*, about \$\d+\.\d\d \(\$2\.56 an hour\)", listed)
    submitted = told(capsys, *next_words(launched))
    assert re.search(r"3 steps given: s-\w+, s-\w+, s-\w+", submitted)
    assert next_words(submitted) == ["status", cluster, "--follow"]
    assert "sparkprep dedup: RUNNING" in told(capsys, "status", cluster)
    assert re.search(rf"{cluster} is TERMINAT", told(capsys, "terminate", cluster))
    assert "TERMINATED" in told(capsys, "status", cluster)


def test_the_cluster_that_is_made_is_the_one_that_was_planned(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = cluster_in(told(capsys, "launch", staged, "--name", "other", "--core-nodes", "2", "--max-hours", "3"))
    emr = boto3.client("emr", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    made = emr.describe_cluster(ClusterId=cluster)["Cluster"]
    assert (made["Name"], made["ReleaseLabel"], made["EbsRootVolumeSize"]) == ("other", "emr-7.7.0", 100)
    groups = emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]
    assert {each["InstanceGroupType"]: each["RequestedInstanceCount"] for each in groups} == {"MASTER": 1, "CORE": 2}
    actions = emr.list_bootstrap_actions(ClusterId=cluster)["BootstrapActions"]
    assert actions[0]["Args"] == [staged, "--stop-after-hours", "3"]


def test_a_program_is_told_of_a_launch_in_json_alone(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    dry = json.loads(told(capsys, "launch", staged, "--core-nodes", "2", "--dry-run", "--json"))
    assert dry.pop("cluster") is None
    assert "no cluster is billed" in told(capsys, "status")
    made = json.loads(told(capsys, "launch", staged, "--core-nodes", "2", "--json"))
    assert made.pop("cluster") in told(capsys, "status")
    assert made == dry == json.loads(told(capsys, "plan", staged, "--core-nodes", "2", "--json"))
    said = told(capsys, "launch", staged, "--json", "--follow", code=2)
    assert "--follow is of a launch that is told line by line, without --json: leave it out" in said


def test_a_staging_looks_for_its_bucket_in_the_region_that_is_named(
    staged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(capsys, "stage", staged, "--region", "eu-west-1", code=2)
    assert f"{staged}: the bucket lies in us-east-1, and the cluster would be in eu-west-1; give --region us-e" in said
    assert "did you mean eu-west-1" in told(capsys, "stage", staged, "--region", "eu-wset-1", code=2)


def test_a_second_launch_and_a_second_submission_do_nothing_twice(
    staged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = cluster_in(told(capsys, "launch", staged))
    assert f"{cluster} is named sparkprep, too" in told(capsys, "launch", staged, code=2)
    told(capsys, "submit", cluster, *RUN)
    again = told(capsys, "submit", cluster, *RUN)
    assert again.count("is there already") == 3
    assert "0 steps given: none" in again


@pytest.mark.parametrize("place", ["s3://bucket/nothing", "s3://bucket/doc", "s3://bucket/docs/0"])
def test_nothing_is_launched_or_given_that_reads_what_is_not_there(
    staged: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--input", place, "--output", "s3://bucket/run"]
    words = f"--input {place}: nothing lies there"
    assert words in told(capsys, "launch", staged, *run, code=2)
    assert "no cluster is billed" in told(capsys, "status")
    cluster = cluster_in(told(capsys, "launch", staged))
    said = told(capsys, "submit", cluster, *run, code=2)
    assert words in said
    assert f"{cluster} runs and is billed" in said


@pytest.mark.parametrize(
    ("flag", "column"), [("--keep", "-score"), ("--id-column", "name"), ("--source-column", "host")]
)
def test_no_job_is_given_that_names_a_column_which_its_documents_lack(
    staged: str, flag: str, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, further = cluster_in(told(capsys, "launch", staged)), f"--dedup={flag}={column}"
    said = told(capsys, "submit", cluster, *RUN, further, code=2)
    name = column.removeprefix("-")
    assert f"error: --dedup: s3://bucket/docs/0.parquet: {flag} {column}: there is no column {name!r};" in said
    assert f"{cluster} runs and is billed" in said
    with_it = parquet(text=["one text"], **{name: ["x"]})
    s3_buckets.client().put_object(Bucket="bucket", Key="docs/0.parquet", Body=with_it)
    assert "3 steps given" in told(capsys, "submit", cluster, *RUN, further)


def test_what_an_earlier_step_still_writes_may_be_read(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = cluster_in(told(capsys, "launch", staged))
    shards = ["submit", cluster, *RUN, "--jobs", "tokens,shards"]
    assert "--input s3://bucket/run/clean: nothing lies there" in told(capsys, *shards, code=2)
    told(capsys, "submit", cluster, *RUN, "--jobs", "dedup")
    assert "2 steps given" in told(capsys, *shards)


def test_a_cluster_with_its_jobs_ends_with_them(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    launched = told(capsys, "launch", staged, *RUN)
    assert next_words(launched) == ["status", cluster_in(launched), "--follow"]
    assert told(capsys, "status", cluster_in(launched)).count("sparkprep ") >= 3


def test_logs_reports_and_shards_are_brought_once(
    staged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = cluster_in(told(capsys, "launch", staged))
    told(capsys, "submit", cluster, *RUN)
    files = (f"sparkprep/logs/{cluster}/steps/s-1/stderr.gz", "run/clean/metrics.json", "run/clean/kept/0.parquet",
             "run/shards/docs_val_000000.bin", "run/shards/manifest.json")  # fmt: skip
    for key in files:
        s3_buckets.put(key, key)
    folder = str(tmp_path / "run")
    said = told(capsys, "fetch", cluster, folder, "--parts", "logs,reports,shards")
    assert said.startswith("4 of 4 objects")
    assert said.splitlines()[-1] == f"next: sparkprep shards --output {folder}/run/shards --verify"
    there = sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
    assert there == [NOTES, "logs/steps/s-1/stderr.gz", "run/clean/metrics.json",
                     "run/shards/docs_val_000000.bin", "run/shards/manifest.json"]  # fmt: skip
    assert told(capsys, "fetch", cluster, folder, "--parts", "logs,reports,shards").startswith("0 of 4 objects")
    assert told(capsys, "fetch", cluster, folder, "--parts", "rows").startswith("1 of 4 objects")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, "nothing is staged there; `sparkprep emr stage s3://bucket/sparkprep` does it"),
        ({"sparkprep": "0.0.1"}, "was staged by sparkprep 0.0.1"),
        ({"python": "3.12"}, "the wheels are for 3.12, and nodes have 3.11"),
        ({"machine": "aarch64"}, "the wheels are for aarch64, and nodes have x86_64"),
    ],
)
def test_nothing_is_launched_without_what_the_nodes_need(
    staged: str, change: dict[str, str] | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    s3_buckets.clear()
    if change is not None:
        manifest = {"sparkprep": __version__, "python": "3.11", "machine": "x86_64", "files": []}
        s3_buckets.put("sparkprep/staged.json", json.dumps({**manifest, **change}))
    assert words in told(capsys, "launch", staged, code=2)
    assert "no cluster is billed" in told(capsys, "status")


def test_a_bucket_in_another_region_and_one_that_is_not_there_are_refused(
    staged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    west = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-west-2")
    west.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    far = ["--input", "s3://far-away/docs", "--output", "s3://bucket/run"]
    assert "the bucket lies in us-west-2, and the cluster would be in us-east-1" in told(
        capsys, "launch", staged, *far, code=2
    )
    gone = ["--input", "s3://bucket/docs", "--output", "s3://not-there-at-all/run"]
    assert "no such bucket" in told(capsys, "launch", staged, *gone, code=2)
    assert "no cluster is billed" in told(capsys, "status")


def test_an_application_is_made_and_its_first_job_is_named(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    launched = told(capsys, "launch", staged, "--serverless")
    assert "it costs nothing while no job runs" in launched
    application = next_words(launched)[1]
    assert f'"applicationId": "{application}"' in told(capsys, *next_words(launched), "--dry-run")


APPLICATION = "00f1r2h3o4m5e6d7"
DEDUP = ["--input", "s3://bucket/docs", "--output", "s3://bucket/run/clean"]
TOKENS = ["--input", "s3://bucket/run/clean", "--output", "s3://bucket/run/tokens"]
STARTED = {"applicationId": APPLICATION, "jobRunId": "00job", "arn": ARN}


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    with stubbed("emr-serverless") as (made, stubber):
        monkeypatch.setattr(on_serverless, "client", lambda *_: made)
        monkeypatch.setattr(applications, "POLL_SECONDS", 0)
        yield stubber


def submit_to_application(staged: str, jobs: str) -> list[str]:
    role = "arn:aws:iam::123456789012:role/jobs"
    environment = f"{staged}/environment.tar.gz"
    return [
        "submit",
        APPLICATION,
        "--staged",
        staged,
        "--environment",
        environment,
        "--role",
        role,
        *RUN,
        "--jobs",
        jobs,
    ]


def test_a_job_of_an_application_that_runs_or_is_done_is_not_started_again(
    staged: str, serverless: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    for state in ("RUNNING", "SUCCESS"):
        add_runs(serverless, (state, DEDUP))
        add_runs(serverless, (state, DEDUP))
        said = told(capsys, *submit_to_application(staged, "dedup"))
        assert f"00{state} (dedup) is there already, {state}: not started again" in said
    for before in ([], [("FAILED", DEDUP)]):
        add_runs(serverless, *before)
        add_runs(serverless, *before)
        add_runs(serverless, *before)
        serverless.add_response("start_job_run", STARTED)
        said = told(capsys, *submit_to_application(staged, "dedup"))
        assert "00job (dedup) is started; it is stopped after 8 hours" in said


def test_a_job_of_an_application_waits_for_what_writes_its_input(
    staged: str, serverless: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    add_runs(serverless, ("RUNNING", DEDUP))
    add_runs(serverless, ("RUNNING", DEDUP))
    add_run(serverless, "RUNNING", DEDUP)
    add_run(serverless, "SUCCESS", DEDUP, listed="RUNNING")
    add_runs(serverless)
    serverless.add_response("start_job_run", STARTED)
    said = told(capsys, *submit_to_application(staged, "tokens"))
    assert "00RUNNING still writes s3://bucket/run/clean: its end is waited for" in said
    assert "00job (tokens) is started" in said


@pytest.mark.parametrize("end", ["SUCCESS", "FAILED"])
def test_the_jobs_of_a_run_are_started_one_after_the_others_end(
    staged: str, serverless: Stubber, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    for _ in ("inputs", "dedup", "tokens"):
        add_runs(serverless, ("RUNNING", DEDUP))
    add_run(serverless, end, DEDUP, listed="RUNNING")
    if end == "FAILED":
        said = told(capsys, *submit_to_application(staged, "dedup,tokens"), code=2)
        assert "00RUNNING () is FAILED: x; what comes after it was not started" in said
        return
    add_runs(serverless)
    serverless.add_response("start_job_run", STARTED)
    assert "00job (tokens) is started" in told(capsys, *submit_to_application(staged, "dedup,tokens"))


def test_two_runs_of_an_application_never_write_one_output(
    staged: str, serverless: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in ("inputs", "dedup"):
        add_runs(serverless, ("SUCCESS", [*DEDUP, "--threshold", "0.9"]))
    said = told(capsys, *submit_to_application(staged, "dedup"), code=2)
    assert "s3://bucket/run/clean: 00SUCCESS of 00f1r2h3o4m5e6d7 writes there with other words (SUCCESS)" in said


def test_what_is_interrupted_while_it_is_followed_says_what_runs(
    staged: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "follow", interrupt)
    said = told(capsys, "launch", staged, "--follow", code=130)
    cluster = cluster_in(said)
    assert said == f"interrupted: {cluster} runs and is billed; `sparkprep emr terminate {cluster}` ends it\n"


def test_a_failed_step_leads_to_its_logs_and_says_that_the_cluster_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stubbed() as (emr, stubber):
        add_look(stubber, "WAITING", [step(1, "FAILED", Reason="Unknown Error."), step(2, "CANCELLED")])
        monkeypatch.setattr(on_cluster, "client", lambda *_, **__: emr)
        assert main(["emr", "status", CLUSTER, "--lines", "0", "--region", "us-east-1"]) == 1
    said = capsys.readouterr().out
    assert f"next: sparkprep emr fetch {CLUSTER} {CLUSTER} --region us-east-1" in said
    assert f"{CLUSTER} runs and is billed; `sparkprep emr terminate {CLUSTER}` ends it" in said


def test_an_object_whose_name_no_file_can_have_is_left_out_and_told(
    staged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = cluster_in(told(capsys, "launch", staged))
    for name in ("steps/../../../evil", "steps/s-1/", "steps/s-1/stderr.gz"):
        s3_buckets.put(f"sparkprep/logs/{cluster}/{name}")
    assert main(["emr", "fetch", cluster, str(tmp_path / "run"), "--parts", "logs"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("1 of 1 objects")
    assert "evil: a name that no file can have; left out" in said.err
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {NOTES, "stderr.gz"}


def test_a_profile_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    assert "check AWS_PROFILE and ~/.aws/config" in told(capsys, "plan", code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["launch", PREFIX, "--jobs", "dedup"], "--input is missing"),
        (["launch", PREFIX, "--serverless", *RUN], "are given to `submit`"),
        (["launch", PREFIX, "--serverless", "--follow"], "--follow is of clusters"),
        (["submit", CLUSTER, *RUN, "--role", "x"], f"--role is of EMR Serverless, and {CLUSTER} is a cluster"),
        (["status", "00f1r2h3o4m5e6d7", "--follow"], "--follow is of clusters"),
        (["submit", "00f1r2h3o4m5e6d7", *RUN], "--staged is missing: EMR Serverless needs it"),
        (["fetch", "00f1r2h3o4m5e6d7", "x"], "aws s3 cp --recursive"),
        (["fetch", CLUSTER, "s3://bucket/x"], "FOLDER s3://bucket/x: is no folder of this machine"),
        (["fetch", CLUSTER, "x", "--output", "run"], "--output: 'run' is no s3:// URI"),
        (["fetch", CLUSTER, "x", "--parts", "log"], "--parts: 'log' is none of logs, reports, shards, rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_flag_that_would_be_passed_over_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in told(capsys, *words, code=2)


DRY = [
    ["launch", PREFIX],
    ["launch", PREFIX, "--serverless"],
    ["submit", CLUSTER, *RUN],
    ["status"],
    ["status", CLUSTER],
    ["fetch", CLUSTER, "folder"],
    ["terminate", CLUSTER],
]


@pytest.mark.parametrize("words", DRY, ids=" ".join)
def test_a_dry_run_prints_the_request_and_asks_for_nothing(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARKED)
    said = told(capsys, *words, "--dry-run")
    assert re.search(r"^[A-Z][A-Za-z]+ \{", said, re.MULTILINE)
    assert next_words(said) == words
    assert list(tmp_path.iterdir()) == []
    if words[0] == "launch" and "--serverless" not in words:
        assert "it costs" in said


@pytest.mark.parametrize(
    ("variable", "target"),
    [
        ("AWS_ENDPOINT_URL_EMR", CLUSTER),
        ("AWS_ENDPOINT_URL", CLUSTER),
        ("AWS_ENDPOINT_URL_EMR_SERVERLESS", "00f1r2h3o4m5e6d7"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_told_soon_by_its_host_and_port_and_what_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, target: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARKED)
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    said = told(capsys, "status", target, code=2)
    assert f"no answer at http://127.0.0.1:9; check the network, and {variable}, which names that server" in said


def test_a_cluster_whose_end_nobody_confirms_may_run(
    monkeypatch: pytest.MonkeyPatch, staged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "may run" not in told(capsys, "terminate", "j-NOSUCHCLUSTER", code=2)
    with monkeypatch.context() as silent:
        silent.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        said = told(capsys, "terminate", CLUSTER, code=2)
    assert f"{CLUSTER} may run and be billed; give `sparkprep emr terminate {CLUSTER}` again" in said


@pytest.mark.parametrize("flag", ["--overwrite", "--threshold=0.9", "-h"])
def test_one_flag_of_a_job_is_handed_on_as_several_are(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    if flag == "-h":
        assert "--dedup: unknown flag or value -h" in told(capsys, "submit", CLUSTER, *RUN, "--dedup", flag, code=2)
    else:
        said = told(capsys, "submit", CLUSTER, *RUN, "--dedup", flag, "--jobs", "dedup", "--dry-run")
        assert f'"{flag}"' in said


def test_steps_are_given_only_where_what_they_run_is_staged(staged: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, "submit", CLUSTER, *RUN, "--staged", "s3://bucket/nope", code=2)
    assert "s3://bucket/nope/staged.json: nothing is staged there" in said


def test_an_estimate_of_another_size_than_the_inputs_is_told_or_refused(
    staged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.dumps({"text": "x" * 987}) + "\n"
    s3_buckets.put("big/0.jsonl", line * 50)
    words = ["launch", staged, "--input", "s3://bucket/big", "--output", "s3://bucket/run"]
    said = told(capsys, *words, "--text-gb", "0.00001", code=2)
    assert "--input s3://bucket/big holds 50.0 kB, and the estimate is of 1e-05 to 1e-05 GB of text: give --te" in said
    assert "no cluster is billed" in told(capsys, "status")
    assert main(["emr", *words]) == 0
    assert "warning: --input s3://bucket/big holds 50.0 kB, and the estimate is of 21" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["stage", "launch", "plan"])
@pytest.mark.parametrize("key", ["a b", "x/../y", "/x", "*.parquet", "a//b", "%20"])
def test_a_prefix_that_is_no_folders_is_refused_by_every_verb(
    verb: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "error: the prefix: " in told(capsys, verb, f"s3://my-bucket/{key}", "--dry-run", code=2)


@pytest.mark.parametrize("name", ["docs.parquet", "a.jsonl", "a.jsonl.gz"])
def test_documents_are_nothing_to_extract(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["submit", CLUSTER, "--input", f"s3://bucket/{name}", "--output", "s3://bucket/run", "--dry-run", "--jobs"]
    assert "leave extract out of --jobs" in told(capsys, *words, "extract,dedup", code=2)
    assert "AddJobFlowSteps" in told(capsys, *words, "dedup")


def test_a_plan_without_a_prefix_says_that_the_one_in_its_request_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "s3://my-bucket/sparkprep in the request stands for your own prefix" in told(capsys, "plan")
    assert "stands for" not in told(capsys, "plan", PREFIX)


def test_an_endpoint_that_nothing_here_names_is_told_with_the_region() -> None:
    url = "https://elasticmapreduce.eu-nowhere-1.amazonaws.com/"
    said = control.explain_emr(EndpointConnectionError(endpoint_url=url))
    assert said == f"no answer at {url.rstrip('/')}; check the network and --region"


def test_an_address_that_is_none_is_told_with_what_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARKED)
    monkeypatch.setenv("AWS_ENDPOINT_URL_EMR", "http://not a host")
    said = told(capsys, "status", CLUSTER, "--region", "us-east-1", code=2)
    assert "EMR in us-east-1: " in said
    assert "or AWS_ENDPOINT_URL_EMR and AWS_DEFAULT_REGION" in said


@pytest.mark.parametrize("url", ["https://AKIA:{}@127.0.0.1:9", "AKIA:{}@127.0.0.1", "http://AKIA:{}@no host", "//{}@"])
@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("AWS_ENDPOINT_URL_EMR", ["status", CLUSTER]),
        ("AWS_ENDPOINT_URL_EMR_SERVERLESS", ["status", "00f1r2h3o4m5e6d7"]),
        ("AWS_ENDPOINT_URL", ["terminate", CLUSTER]),
        ("AWS_ENDPOINT_URL_S3", ["launch", PREFIX]),
        ("AWS_ENDPOINT_URL_S3", ["stage", PREFIX]),
        ("endpoint_url of a profile", ["status"]),
    ],
)
def test_an_endpoint_with_a_key_in_it_is_refused_and_never_repeated(
    url: str, variable: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    if variable.startswith("AWS"):
        monkeypatch.setenv(variable, url.format(MARKED))
    else:
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = https://AKIA:{MARKED}@127.0.0.1:9\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    said = told(capsys, *words, "--region", "us-east-1", code=2)
    assert "has a user or a key in it (https://KEY:SECRET@HOST): leave them out of the URL" in said
    assert "AKIA" not in said


def test_a_launch_that_is_not_answered_is_asked_for_once_and_may_have_been_done(
    staged: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(control, "ONCE_SECONDS", 3)  # in which the server of the tests lists clusters
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and says nothing

        def run_job_flow(params: dict[str, object], **_: object) -> None:
            asked.append(str(params["url"]))
            params["url"] = f"http://127.0.0.1:{server.getsockname()[1]}/"

        made = control.client("us-east-1", once=True)
        made.meta.events.register("before-call.emr.RunJobFlow", run_job_flow)
        monkeypatch.setattr(on_cluster, "client", lambda *_, **__: made)
        said = told(capsys, "launch", staged, code=2)
        server.settimeout(0.2)
        connections = [server.accept()[0]]
        with pytest.raises(TimeoutError):
            server.accept()
        connections[0].close()
    assert len(asked) == 1
    assert "it may be there: `sparkprep emr status` lists what is billed" in said


def test_a_plan_without_a_prefix_leads_to_the_staging(capsys: pytest.CaptureFixture[str]) -> None:
    assert next_words(told(capsys, "plan")) == ["stage", "S3-PREFIX"]
    assert next_words(told(capsys, "plan", "--serverless")) == ["stage", "S3-PREFIX"]


def test_the_plan_as_json_holds_the_request_and_the_cost(capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads(told(capsys, "plan", "--json"))
    assert plan["request"]["Instances"]["InstanceGroups"][1]["InstanceCount"] == 7
    assert plan["executors"] == {
        "placed": 7, "per_node": 1, "container_mb": 22528, "yarn_mb": 24576, "python_worker_mb": 2816,
    }  # fmt: skip
    assert plan["cost"]["at_most"] < 25
    cost = plan["cost"]
    assert sum(cost["an_hour_of"].values()) == pytest.approx(cost["an_hour"])
    assert cost["text_gb"]["expected"] == pytest.approx(30.5)
    assert 0 < cost["job_hours"]["expected"] < cost["hours"]["expected"]
    both = json.loads(told(capsys, "plan", "--json", "--serverless"))
    assert both["serverless"]["dollars"]["expected"] < both["cluster"]["cost"]["dollars"]["expected"]


def test_the_flags_of_a_plan_go_on_to_its_launch(capsys: pytest.CaptureFixture[str]) -> None:
    words = next_words(told(capsys, "plan", PREFIX, "--core-nodes", "3", "--market", "SPOT", "--documents", "1000"))
    assert words == ["launch", PREFIX, "--core-nodes", "3", "--market", "SPOT", "--documents", "1000"]


def test_a_number_of_documents_is_taken_as_the_help_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "500,000 documents" in told(capsys, "plan", "--documents", "500,000")
    assert "'5,00' is not a whole number" in told(capsys, "plan", "--documents", "5,00", code=2)


def test_every_verb_has_its_two_sides() -> None:
    assert set(on_cluster.VERBS) == set(on_serverless.VERBS)
