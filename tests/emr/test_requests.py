"""What AWS is asked for, whole: golden files hold each request, and botocore's model knows every word of it."""

import json
from typing import Any

import pytest
from checkout import ROOT
from emr_stubs import STAGED

from sparkprep import __version__
from sparkprep.emr.aws.model import EMR, check_request
from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.cost.prices import load
from sparkprep.emr.jobs import RunSettings, check_uri, input_of, output_of, steps
from sparkprep.emr.places import NODE_NUMBA_CACHE, NODE_PYTHON, Staged
from sparkprep.emr.plan import Plan, make_plan
from sparkprep.emr.serverless.requests import create_application, start_job_run, workers_of
from sparkprep.errors import UserError
from sparkprep.spark.clusters import R5_XLARGE_X7, SIZES

GOLDEN = ROOT / "tests" / "emr" / "golden"
RUN = RunSettings(input="s3://my-bucket/docs", output="s3://my-bucket/run", dedup="--threshold 0.7")


def planned(run: RunSettings | None = None, **settings: Any) -> Plan:
    return make_plan(ClusterSettings(**settings), WorkSettings(), load(), "us-east-1", STAGED, run)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text().replace("VERSION", __version__))


def refusal(**settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        steps(RunSettings(**{"input": RUN.input, "output": RUN.output, **settings}), Staged(STAGED))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("course.json", {}),
        ("one_shot.json", {"run": RUN}),
        (
            "spark_4_small.json",
            {
                "release": "emr-spark-8.1.0", "core_nodes": 2, "instance_type": "m5.2xlarge", "market": "SPOT",
                "key_name": "mine", "subnet": "subnet-0a1b", "max_hours": 2, "idle_minutes": 5, "driver_memory": "4g",
            },
        ),
    ],
)  # fmt: skip
def test_the_request_for_a_cluster_is_the_golden_one(name: str, plan: dict[str, Any]) -> None:
    assert planned(**plan).request == golden(name)


def test_the_course_gets_its_cluster_and_its_guards() -> None:
    request = planned().request
    primary, core = request["Instances"]["InstanceGroups"]
    assert (request["ReleaseLabel"], request["EbsRootVolumeSize"]) == ("emr-7.7.0", 100)
    assert [each["Name"] for each in request["Applications"]] == ["Hadoop", "Spark", "JupyterHub"]
    assert (primary["InstanceCount"], core["InstanceCount"]) == (1, 7)
    assert core["EbsConfiguration"]["EbsBlockDeviceConfigs"][0]["VolumeSpecification"]["SizeInGB"] == 200
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 600}
    assert request["BootstrapActions"][0]["ScriptBootstrapAction"]["Args"] == [STAGED, "--stop-after-hours", "8"]
    assert request["LogUri"] == f"{STAGED}/logs/"
    assert request["Instances"]["TerminationProtected"] is False


def test_driver_executors_and_notebooks_run_the_environment_of_the_bootstrap() -> None:
    defaults, environment, _ = planned().request["Configurations"]
    export = environment["Configurations"][0]["Properties"]
    for name in ("spark.pyspark.python", "spark.pyspark.driver.python"):
        assert defaults["Properties"][name] == export["PYSPARK_PYTHON"] == NODE_PYTHON
    assert defaults["Properties"]["spark.executorEnv.NUMBA_CACHE_DIR"] == export["NUMBA_CACHE_DIR"] == NODE_NUMBA_CACHE


def test_the_clusters_executors_are_those_of_the_size_5m() -> None:
    properties, size = planned().request["Configurations"][0]["Properties"], SIZES["5m"]
    assert properties["spark.executor.instances"] == str(R5_XLARGE_X7.executors)
    assert properties["spark.executor.memory"] == R5_XLARGE_X7.memory
    assert properties["spark.executor.memoryOverhead"] == R5_XLARGE_X7.overhead
    assert properties["spark.driver.maxResultSize"] == size.max_result_size
    for name, value in size.runtime.items():
        assert properties[name] == value


def test_a_cluster_with_jobs_ends_when_they_have_or_when_one_fails() -> None:
    request = planned(RUN).request
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert {step["ActionOnFailure"] for step in request["Steps"]} == {"TERMINATE_CLUSTER"}
    assert planned().request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is True


def test_jobs_that_read_one_anothers_results_do_not_start_at_once() -> None:
    with pytest.raises(UserError, match="--step-concurrency 3: each job reads what the one before writes"):
        planned(RUN, step_concurrency=3)
    assert any("3 steps run at once" in each for each in planned(step_concurrency=3).warnings)


def test_each_job_reads_what_the_one_before_wrote_by_a_list_of_words() -> None:
    made = steps(RUN, Staged(STAGED))
    assert made == golden("steps.json")
    assert [output_of(step["HadoopJarStep"]["Args"]) for step in made] == [
        f"s3://my-bucket/run/{name}" for name in ("clean", "tokens", "shards")
    ]


def test_documents_come_from_archives_where_they_are_extracted_first() -> None:
    run = RunSettings(
        input="s3://my-bucket/warc.paths.gz",
        output="s3://my-bucket/run",
        jobs="dedup,extract",
        extract="--max-seconds 5",
    )
    extract, dedup = (step["HadoopJarStep"]["Args"] for step in steps(run, Staged(STAGED)))
    assert extract[5:8] == [f"{STAGED}/jobs/extract.py", "--input", "s3://my-bucket/warc.paths.gz"]
    assert extract[8:] == ["--output", "s3://my-bucket/run/pages", "--max-seconds", "5"]
    assert dedup[5:8] == [f"{STAGED}/jobs/dedup.py", "--input", "s3://my-bucket/run/pages"]


def test_documents_are_curated_between_extraction_and_dedup() -> None:
    run = RunSettings(
        input="s3://my-bucket/warc.paths.gz", output="s3://my-bucket/run", jobs="extract,filter,dedup,tokens,shards",
        filter="--rules gopher-quality c4",
    )  # fmt: skip
    assert steps(run, Staged(STAGED)) == golden("curated.json")


@pytest.mark.parametrize(
    ("jobs", "read"),
    [
        ("filter", ["docs"]),
        ("filter,dedup", ["docs", "run/good"]),
        ("extract,dedup", ["docs", "run/pages"]),
        ("extract,filter", ["docs", "run/pages"]),
        ("dedup", ["docs"]),
        ("tokens", ["run/clean"]),
    ],
)
def test_a_job_reads_what_the_run_has_made_last(jobs: str, read: list[str]) -> None:
    made = steps(RunSettings(input=RUN.input, output=RUN.output, jobs=jobs), Staged(STAGED))
    assert [input_of(step["HadoopJarStep"]["Args"]) for step in made] == [f"s3://my-bucket/{each}" for each in read]


def test_a_job_takes_the_order_that_it_takes_by_hand() -> None:
    run = RunSettings(input=RUN.input, output=RUN.output, jobs="dedup", dedup="--keep -score")
    assert steps(run, Staged(STAGED))[0]["HadoopJarStep"]["Args"][-2:] == ["--keep", "-score"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"output": "s3://my-bucket/docs"}, "--output s3://my-bucket/docs and --input s3://my-bucket/docs lie in one"),
        ({"output": "s3://my-bucket/docs/"}, "lie in one another"),
        ({"output": "s3a://my-bucket/docs/x"}, "lie in one another"),
        ({"input": "s3://my-bucket/run/clean/kept"}, "lie in one another"),
        ({"output": f"{STAGED}/samples"}, "and what is staged"),
        ({"input": None}, "--input is missing"),
        ({"jobs": "dedup,grade"}, "--jobs: 'grade' is none of extract, filter, dedup, tokens, shards"),
        ({"jobs": ","}, "--jobs: names none"),
        ({"dedup": "--treshold 0.7"}, "unknown flag or value --treshold; did you mean --threshold?"),
        ({"dedup": "--threshold 2"}, "--dedup: --threshold: 2 is above 1"),
        ({"dedup": "--bands 5"}, "--dedup: bands and rows belong together: give both or neither"),
        ({"dedup": "--keep --quiet"}, "--dedup: --keep: expected one argument"),
        ({"dedup": "--work ''"}, "--dedup: --work: an empty value was given"),
        ({"jobs": "filter", "filter": "--rules c4 --gopher-min-words 9"}, "of the rules gopher-quality, which are not"),
        ({"filter": "--rules c4"}, "--filter is of a job that --jobs dedup,tokens,shards leaves out"),
        ({"tokens": "--shard-tokens 9000"}, "--tokens: --shard-tokens is of the shards: name their folder"),
        ({"shards": "--verify"}, "--shards: --verify only checks"),
        ({"shards": "--output=s3://other/x"}, "is the run's own"),
        ({"tokens": "--shards 'x"}, "No closing quotation"),
    ],
)
def test_a_run_that_would_fail_on_the_cluster_is_refused_here(settings: dict[str, Any], words: str) -> None:
    assert words in refusal(**settings)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://", "is no s3:// URI"),
        ("bucket/docs", "is no s3:// URI"),
        ("file:///docs", "is no s3:// URI"),
        ("s3://my-bucket", "names a bucket alone; write s3://my-bucket/PREFIX"),
        ("s3://my-bucket/", "names a bucket alone"),
        ("s3://My_Bucket/x", "'My_Bucket' is no bucket"),
        ("s3://AKIAMARKED:MARKED@my-bucket/x", "holds no credentials"),
    ],
)
def test_an_s3_uri_without_bucket_or_key_is_refused_and_none_shows_a_key(uri: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        check_uri(uri, "--input")
    assert words in str(caught.value)
    assert "MARKED" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ScaleDownBehavior": "TERMINATE_NOW"}, "RunJobFlow.ScaleDownBehavior: 'TERMINATE_NOW' is none of"),
        ({"Instances": {"InstanceGroups": [{"InstanceRole": "PRIMARY", "InstanceType": "x", "InstanceCount": 1}]}},
         "RunJobFlow.Instances.InstanceGroups[0].InstanceRole: 'PRIMARY' is none of MASTER, CORE, TASK"),
        ({"Steps": [{"Name": "x", "ActionOnFailure": "STOP", "HadoopJarStep": {"Jar": "x"}}]}, "'STOP' is none of"),
        ({"IdleTimeout": 600}, 'Unknown parameter in input: "IdleTimeout"'),
        ({"EbsRootVolumeSize": "100"}, "EbsRootVolumeSize"),
    ],
)  # fmt: skip
def test_words_that_botocore_lets_pass_are_refused_at_any_depth(change: dict[str, Any], words: str) -> None:
    request = {"Name": "x", "Instances": {}, **change}
    with pytest.raises(UserError) as caught:
        check_request(EMR, "RunJobFlow", request)
    assert words in str(caught.value)


def test_the_requests_for_serverless_are_the_golden_ones() -> None:
    plan = planned()
    workers = workers_of(plan.settings, plan.placed)
    words = ["--input", "s3://my-bucket/docs", "--output", "s3://my-bucket/run/clean"]
    archive, role = f"{STAGED}/environment.tar.gz", "arn:aws:iam::123456789012:role/jobs"
    job = start_job_run("00f1r2h3o4m5e6d7", "dedup", words, plan.staged, archive, role, workers, plan.settings, 8)
    assert job == golden("job_run.json")
    application = create_application(plan.settings, workers)
    assert len(application.pop("clientToken")) == 64
    assert application == golden("application.json")


@pytest.mark.parametrize(
    ("archive", "role", "words"),
    [
        (f"{STAGED}/environment.tar.gz", "jobs", "'jobs' is no role"),
        (f"{STAGED}/environment", "arn:aws:iam::123456789012:role/jobs", "an archive's name ends in .tar.gz"),
        (f"{STAGED}/my env.zip", "arn:aws:iam::123456789012:role/jobs", "a blank in it cannot be handed on"),
    ],
)
def test_a_job_that_serverless_could_not_start_is_refused(archive: str, role: str, words: str) -> None:
    plan = planned()
    workers = workers_of(plan.settings, plan.placed)
    with pytest.raises(UserError, match=words):
        start_job_run("00f1r2h3o4m5e6d7", "dedup", [], plan.staged, archive, role, workers, plan.settings, 8)


def test_workers_that_serverless_does_not_have_are_refused() -> None:
    plan = planned(instance_type="r5.2xlarge", executor_memory="20g", executor_overhead="20g")
    with pytest.raises(UserError, match="an executor of 40 GB with 4 vCPUs: EMR Serverless gives 8 to 30 GB"):
        workers_of(plan.settings, plan.placed)
