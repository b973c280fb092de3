"""A cluster that does not take an application in is told of after a declared time, and nothing is left there."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest
from checkout import ROOT
from resource_manager import WHY, resource_manager, write_address

_JOB = """\
import sys
from sparkprep.errors import UserError
from sparkprep.spark.session import get_session
try:
    get_session("none", {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}, master=sys.argv[1])
except UserError as error:
    print("told:", error)
"""


@pytest.fixture
def hadoop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Hadoop's settings, and Spark's for a job that YARN is to start."""
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("SPARKPREP_EXECUTOR_WAIT", "5")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = {"jars": f"local:{Path(pyspark.__file__).parent}/jars/*", "stagingDir": f"file://{tmp_path}/staging"}
    words = [word for name, value in settings.items() for word in ("--conf", f"spark.yarn.{name}={value}")]
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", " ".join([*words, "pyspark-shell"]))
    return tmp_path


@pytest.fixture
def silent(hadoop: Path) -> Iterator[socket.socket]:
    """A port of a ResourceManager that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        write_address(hadoop, server.getsockname()[1])
        yield server


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_a_resource_manager_that_is_silent_is_told_of(silent: socket.socket) -> None:
    done = run(sys.executable, "-c", _JOB, "yarn")
    begin = (
        "told: yarn has not taken the application in within 5 seconds: its ResourceManager does not answer; see yarn"
    )
    assert done.stdout.startswith(begin)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("job", ["dedup", "own"])
def test_it_is_told_of_under_spark_submit_whose_jvm_ends_too(silent: socket.socket, tmp_path: Path, job: str) -> None:
    own = tmp_path / "own.py"
    own.write_text(_JOB)
    words = {
        "dedup": [str(ROOT / "jobs" / "dedup.py"), "--size", "1k", "--output", str(tmp_path / "out")],
        "own": [str(own), "yarn"],
    }
    done = run(str(Path(sys.executable).with_name("spark-submit")), "--master", "yarn", *words[job])
    assert done.returncode == {"dedup": 2, "own": 0}[job]
    assert "yarn has not taken the application in within 5 seconds" in done.stdout.splitlines()[-1]
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_a_queue_without_room_for_the_application_master_is_told_of_and_the_application_withdrawn(hadoop: Path) -> None:
    with resource_manager(hadoop) as queue:
        done = run(sys.executable, "-c", _JOB, "yarn")
    assert f"and it is withdrawn ({queue.name}, ACCEPTED: {WHY}): its queue has no room for the app" in done.stdout
    assert queue.killed == [queue.name]
    assert list((hadoop / "staging").rglob("application*")) == []


@pytest.mark.slow
def test_ctrl_c_while_it_waits_for_room_withdraws_it(hadoop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKPREP_EXECUTOR_WAIT", "600")
    with resource_manager(hadoop) as queue:
        command = ["env", "--default-signal=INT", sys.executable, "-c", _JOB, "yarn"]  # it may come ignored (nohup)
        job = subprocess.Popen(command, stderr=subprocess.PIPE)
        queue.taken_in.wait()
        job.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in job.communicate(timeout=120)[1]
    assert queue.killed == [queue.name]


@pytest.mark.slow
def test_a_master_where_nobody_listens_is_told_of(hadoop: Path) -> None:
    done = run(sys.executable, "-c", _JOB, "spark://127.0.0.1:1")
    assert "told: spark://127.0.0.1:1 has not taken the application in within 5 seconds: see whether" in done.stdout
