"""No secret is written anywhere: not to a terminal, a log, a result, an intermediate table or Spark's event log."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3_buckets
from dedup_runs import prose

KEY, SECRET, TOKEN = "AKIAMARKEDMARKED", "marked/SECRET+marked/0123456789abcdefghi", "markedTOKENmarked=="
MARKS = (SECRET, TOKEN, SECRET.replace("/", "%2F").replace("+", "%2B"))


@pytest.fixture
def documents(bucket: str, tmp_path: Path) -> str:
    """Documents on S3, of which a second folder holds a file that is damaged inside."""
    s3_buckets.clear()
    pq.write_table(pa.table({"id": range(50), "text": [prose(n) for n in range(50)]}), tmp_path / "a.parquet")
    sound = (tmp_path / "a.parquet").read_bytes()
    for key, content in (("sound/a.parquet", sound), ("bad/a.parquet", sound[:40] + b"\0" * 400 + sound[440:])):
        s3_buckets.client().put_object(Bucket="bucket", Key=key, Body=content)
    (tmp_path / "a.parquet").unlink()
    return bucket


def ran(home: Path, variables: dict[str, str], source: str, *confs: str) -> tuple[int, str]:
    """Run a job that tells all it can, and return its exit code and all that it said."""
    (home / "events").mkdir()
    log = [f"spark.eventLog.dir={(home / 'events').as_uri()}", "spark.eventLog.compress=false"]
    told = ["spark.eventLog.enabled=true", *log, *confs]
    submit = " ".join(f"--conf {conf}" for conf in told)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_") or "ENDPOINT" in name}
    done = subprocess.run(
        [sys.executable, "-m", "sparkprep", "dedup", "--input", source, "--output", "s3://bucket/out", "--debug"],
        env=kept | {"HOME": str(home), "PYSPARK_SUBMIT_ARGS": f"{submit} pyspark-shell", **variables},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


def written(home: Path) -> dict[str, str]:
    """All that lies below the home, on S3 and in Spark's event log, as text."""
    found = {str(path): path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file()}
    return found | s3_buckets.objects()


def test_a_job_by_keys_of_the_environment_writes_none_of_them(documents: str, tmp_path: Path) -> None:
    variables = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    confs = [f"spark.executorEnv.{name}={value}" for name, value in variables.items()]
    code, said = ran(tmp_path, variables, f"{documents}/sound", *confs)
    assert code == 0, said
    everything = written(tmp_path)
    assert any("SparkListenerEnvironmentUpdate" in text for text in everything.values())
    assert "out/metrics.json" in everything
    for mark in (KEY, *MARKS):
        assert mark not in said
        assert not [name for name, text in everything.items() if mark in text]


def test_a_job_by_a_profile_that_fails_writes_none_of_it(documents: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    keys = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    code, said = ran(tmp_path, {}, f"{documents}/bad")
    (tmp_path / ".aws" / "credentials").unlink()
    everything = written(tmp_path)
    assert code == 2, said
    assert "Traceback" in said
    assert any("SparkListenerEnvironmentUpdate" in text for text in everything.values())
    for mark in (KEY, *MARKS):
        assert mark not in said
        assert not [name for name, text in everything.items() if mark in text]
