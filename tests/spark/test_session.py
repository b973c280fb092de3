"""The session: whose settings win, what is put back, and what a wrong worker is told."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark.clusters import SIZES, submit_line
from sparkprep.spark.java import passed_over, spark_environment
from sparkprep.spark.preflight import _BY_VARIABLE, _ask, packages, preflight, worker_versions
from sparkprep.spark.session import get_session, job_description, spark_conf

EXECUTOR_ROOM_MB = 24_576 - 896  # of an r5.xlarge under YARN, less the application master of client mode


def run_python(code: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python, since a process starts its JVM once."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK", "PYSPARK"))}
    return subprocess.run(
        [sys.executable, "-c", code, *words], env={**clean, **environ}, capture_output=True, text=True, timeout=180
    )


def test_a_running_session_is_taken_as_it_is(spark: SparkSession) -> None:
    assert get_session("other", {"spark.sql.shuffle.partitions": "77"}) is spark
    assert spark.conf.get("spark.sql.shuffle.partitions") == "2"
    assert spark.sparkContext.appName == "tests"


def test_settings_at_start_reach_the_jvm(spark: SparkSession) -> None:
    heap_mb = spark.sparkContext._jvm.java.lang.Runtime.getRuntime().maxMemory() >> 20
    assert 1_900 <= heap_mb <= 2_048
    assert spark.sparkContext.master == "local[2]"
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.sparkContext.uiWebUrl is None


def test_plain_python_gets_a_quiet_local_session_and_the_users_settings_win() -> None:
    done = run_python(
        "from sparkprep.spark.clusters import SIZES\nfrom sparkprep.spark.session import get_session\n"
        "s = get_session('probe', SIZES['1k'])\n"
        "heap = s.sparkContext._jvm.java.lang.Runtime.getRuntime().maxMemory() >> 20\n"
        "print(s.sparkContext.master, heap, s.conf.get('spark.sql.shuffle.partitions'),"
        " s.conf.get('spark.sql.session.timeZone'), s.range(1).count())\n",
        PYSPARK_SUBMIT_ARGS="--conf spark.sql.shuffle.partitions=5 pyspark-shell",
    )
    assert done.returncode == 0, done.stderr
    master, heap, partitions, zone, rows = done.stdout.split()
    assert (master, partitions, zone, rows) == ("local[*]", "5", "UTC", "1")
    assert 1_900 <= int(heap) <= 2_048
    assert not [line for line in done.stderr.splitlines() if "INFO" in line or "WARN " in line or "[Stage" in line]


ANSWERS_SIGNALS = """\
import os, signal, time
from sparkprep.spark.session import get_session
got = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: got.append(number))
mine = signal.getsignal(signal.SIGINT)
spark = get_session("signals", master="local[1]")
java = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
os.kill(java, signal.SIGTERM)
while not got:
    time.sleep(0.05)
print(got == [signal.SIGTERM], signal.getsignal(signal.SIGINT) is mine, spark.range(3).count())
"""


def test_the_jvm_hands_a_signal_on_to_a_program_that_answers_it_and_its_own_answers_stay() -> None:
    done = run_python(ANSWERS_SIGNALS)
    assert done.stdout == "True True 3\n", done.stderr


def test_without_java_the_message_says_what_to_install(tmp_path: Path) -> None:
    code = "import sparkprep.spark.java as e; e._package_folder = lambda name: None; print(e.java_home())"
    assert run_python(code, PATH=str(tmp_path), JAVA_HOME="").stdout.strip() == "None"


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\necho "    java.home = /old" >&2\necho \'openjdk version "1.8.0_292"\' >&2\n')
    old.chmod(0o755)
    found = spark_environment({"JAVA_HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    assert found["JAVA_HOME"] not in (str(tmp_path), "/old")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, "bin/java in it does not run"),
        ("exit 1", "bin/java in it does not run"),
        ("echo '    java.home = /old' >&2; echo 'openjdk version \"11.0.2\"' >&2", "it is Java 11, and Spark needs 17"),
        ("echo '    java.home = /new' >&2; echo 'openjdk version \"26\"' >&2", "it is Java 26, newer than 23"),
        ("echo '    java.home = /taken' >&2; echo 'openjdk version \"21\"' >&2", None),
    ],
)
def test_a_java_home_that_is_not_taken_is_told_with_the_reason(
    tmp_path: Path, script: str | None, why: str | None
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    if script is not None:
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(0o755)
    told = passed_over("/taken", {"JAVA_HOME": str(tmp_path)})
    expected = f"warning: JAVA_HOME={tmp_path} is passed over ({why}"
    assert told is None if why is None else told and told.startswith(expected) and told.endswith("/taken is taken")
    assert passed_over("/taken", {}) is None


def test_a_broken_java_home_is_told_of_once(tmp_path: Path) -> None:
    code = (
        "from sparkprep.spark.session import get_session; get_session('a').stop(); "
        "s = get_session('b'); print(s.range(3).count()); s.stop()"
    )
    done = run_python(code, JAVA_HOME=str(tmp_path / "gone"))
    assert done.stdout.split()[-1] == "3"
    assert done.stderr.count(f"warning: JAVA_HOME={tmp_path}/gone is passed over") == 1


def test_log_settings_of_the_user_stay() -> None:
    given = "-Dlog4j2.configurationFile=file:///mine.properties"
    options = spark_environment({**os.environ, "SPARK_SUBMIT_OPTS": given})["SPARK_SUBMIT_OPTS"]
    assert options.startswith(given)
    assert options.count("log4j2") == 1


def test_options_of_the_user_for_the_compiler_stay() -> None:
    given = "-XX:TieredStopAtLevel=1"
    options = spark_environment({**os.environ, "SPARK_SUBMIT_OPTS": given})["SPARK_SUBMIT_OPTS"]
    assert options.startswith(given)
    assert "Tier4" not in options


def test_spark_conf_puts_back_what_was_there_even_after_an_error(spark: SparkSession) -> None:
    key, unset = "spark.sql.shuffle.partitions", "spark.sparkprep.test"
    with contextlib.suppress(ZeroDivisionError), spark_conf(spark, {key: "9", unset: "x"}):
        assert (spark.conf.get(key), spark.conf.get(unset)) == ("9", "x")
        raise ZeroDivisionError
    assert spark.conf.get(key) == "2"
    assert spark.conf.get(unset, None) is None


def test_job_description_is_set_for_the_block_only(spark: SparkSession) -> None:
    context = spark.sparkContext
    with job_description(spark, "outer"):
        with job_description(spark, "inner"):
            assert context.getLocalProperty("spark.job.description") == "inner"
        assert context.getLocalProperty("spark.job.description") == "outer"
    assert context.getLocalProperty("spark.job.description") is None


def test_job_description_does_nothing_where_there_is_no_context() -> None:
    with job_description(object(), "text"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("name", ["500k", "5m"])
def test_the_executors_of_the_cluster_sizes_fit_their_nodes(name: str) -> None:
    cluster = SIZES[name].cluster
    assert cluster is not None
    gigabytes = sum(int(text.removesuffix("g")) for text in (cluster.memory, cluster.overhead))
    assert gigabytes * 1024 <= EXECUTOR_ROOM_MB


def test_the_submit_line_says_all_that_must_be_known_before_and_survives_a_shell() -> None:
    words = shlex.split(submit_line(SIZES["5m"], "jobs/dedup.py", ["--size", "5m", "--input", "s3://bucket/my crawl"]))
    assert words[:3] == ["spark-submit", "--master", "yarn"]
    assert words[-5:] == ["jobs/dedup.py", "--size", "5m", "--input", "s3://bucket/my crawl"]
    assert words[words.index("--driver-memory") + 1] == "8g"
    assert words[words.index("--num-executors") + 1] == "7"
    assert "spark.executor.memoryOverhead=12g" in words
    assert "spark.dynamicAllocation.enabled=false" in words
    assert "spark.python.daemon.module=sparkprep.startup.worker_daemon" in words


def test_the_submit_line_of_a_small_size_wants_no_cluster() -> None:
    line = submit_line(SIZES["10k"], "jobs/dedup.py", ["--size", "10k"])
    assert line == "spark-submit --driver-memory 4g jobs/dedup.py --size 10k"


def test_local_workers_are_forked_with_the_kernels_loaded_from_a_process_of_one_thread(spark: SparkSession) -> None:
    def look(batches):  # type: ignore[no-untyped-def]
        import sys
        from pathlib import Path

        import pyarrow

        for _ in batches:
            parent = Path(f"/proc/{os.getppid()}/task")
            threads = len(list(parent.iterdir())) if parent.exists() else 1
            loaded = "sparkprep.dedup.kernels.sketch" in sys.modules
            yield pyarrow.RecordBatch.from_pydict({"loaded": [loaded], "threads": [threads]})

    row = spark.range(0, 1, 1, 1).mapInArrow(look, "loaded boolean, threads long").collect()[0]
    assert tuple(row) == (True, 1)


def test_the_workers_tell_their_versions(spark: SparkSession) -> None:
    there = worker_versions(spark)
    assert there == preflight(spark)
    assert set(there) == {"python", "executable", "host", "free", *packages()}


def test_the_packages_that_a_worker_must_have_are_those_of_the_base_install() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    assert sorted(packages()) == sorted(["sparkprep", *names])


JOBS = """\
import sys, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").getOrCreate()
from sparkprep import UserError, deduplicate, tokenize, write_shards
for job in (deduplicate, tokenize, write_shards):
    start = time.monotonic()
    try: job(sys.argv[1], output=sys.argv[1] + "-out")
    except UserError as error: print(f"{time.monotonic() - start:.1f} {error}")
"""


def test_a_session_of_the_users_own_with_other_workers_gets_one_line_and_the_way_out_at_once(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    pq.write_table(pa.table({"text": ["a"], "tokens": [[1, 2]]}), tmp_path / "in.parquet")
    done = run_python(JOBS, str(tmp_path / "in.parquet"), PYSPARK_PYTHON=python)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    for line in lines:
        seconds, _, told = line.partition(" ")
        assert float(seconds) < 30
        assert told.startswith(f"the workers' Python ({python}) lacks ")
        assert told.endswith("os.environ['PYSPARK_PYTHON'] = sys.executable")
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["bare", "in.parquet"]


def test_workers_whose_python_does_not_run_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none, cannot be started: in a fresh Python, let sparkprep\.get_session"):
        _ask(str(tmp_path / "none"), _BY_VARIABLE)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no library >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(UserError, match=r"broken, cannot look around \(no library\): do this"):
        _ask(str(broken), "do this")


@pytest.mark.slow
def test_a_worker_without_the_packages_is_named_in_one_line(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    probe = (
        "from sparkprep.spark.preflight import preflight\n"
        "from sparkprep.spark.session import get_session\n"
        "from sparkprep.errors import UserError\n"
        "try: print(preflight(get_session('probe', master='local[1]'))['executable'])\n"
        "except UserError as error: print(error)\n"
    )
    done = run_python(
        probe, PYSPARK_SUBMIT_ARGS=f"--conf {shlex.quote(f'spark.pyspark.python={python}')} pyspark-shell"
    )
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    assert "lacks" in done.stdout
    advice = (
        done.stdout.strip().partition("start with ")[2].replace("/path/to/that/python", shlex.quote(sys.executable))
    )
    assert advice.count("--conf ") == 2
    cured = run_python(probe, PYSPARK_SUBMIT_ARGS=f"{advice} pyspark-shell")
    assert cured.stdout.strip() == sys.executable
