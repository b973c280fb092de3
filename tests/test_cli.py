"""The command line: exit codes, what is said where, one line for a mistake, and nothing half-done after any end."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from dedup_runs import DONE_PARTS, listing, prose, save
from processes import descendants, kill
from pyspark.sql import SparkSession

from sparkprep import __version__
from sparkprep.cli import VERBS, main
from sparkprep.commands import command
from sparkprep.dedup.settings import Settings
from sparkprep.options import options_of
from sparkprep.spark.clusters import SIZES
from sparkprep.spark.session import spark_conf

JOB = [sys.executable, str(ROOT / "jobs" / "dedup.py")]
SUBMIT = [str(Path(sys.executable).with_name("spark-submit")), str(ROOT / "jobs" / "dedup.py")]
TOLD: dict[str, Any] = {
    **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL},
    **{"text": True, "start_new_session": True},
}
STAGES = ["sketch", "candidates", "verify", "decide", "write", "report"]
STAGE_LINE = re.compile(r"[a-z]+ +([\d,]+ documents)?( +[\d.]+ k?B)? +\d+\.\d s")


def environment() -> dict[str, str]:
    """That of a fresh terminal: nothing of this process's Spark, the package found as it is found here."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK", "SPARK", "COV"))}
    return {**inherited, "PYTHONPATH": str(ROOT), "SPARK_DRIVER_MEMORY": "1g"}


def source(folder: Path, bad_lines: int = 0) -> Path:
    rows = [json.dumps({"id": n, "text": prose(n % 4), "score": n}) for n in range(6)]
    path = folder / "docs.jsonl"
    path.write_text("\n".join([*rows, *["not JSON"] * bad_lines]) + "\n")
    return path


def error(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What `sparkprep dedup WORDS` says in its one line when a user has made a mistake."""
    assert main(["dedup", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    *before, line = said.err.splitlines()
    assert all(STAGE_LINE.fullmatch(each) or " so far" in each for each in before)
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_a_run_tells_its_stages_on_stderr_and_its_summary_on_stdout(tmp_path: Path) -> None:
    source(tmp_path, bad_lines=2)
    command = [*JOB, "--input", "docs.jsonl", "--output", "clean/out", "--keep", "-score", "--max-bad", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # What a slow machine says, and Java of a module that Spark 4 asks for.
    others = (" so far", "(first estimate)", "incubator modules")
    lines = [line for line in done.stderr.splitlines() if not any(other in line for other in others)]
    assert [line.split()[0] for line in lines] == ["read", *STAGES]
    for line in lines:
        assert STAGE_LINE.fullmatch(line), line
    told = {line[2:16].strip(): line[17:] for line in done.stdout.splitlines() if not line.startswith("  warning")}
    out = tmp_path / "clean" / "out"
    assert (told["documents"], told["kept"], told["rejected"]) == ("8", "4", "2")
    assert told["removed"] == "2 (25.0 %): 2 exact, 0 near"
    assert told["banding"].startswith("18 bands x 6 rows, finds a pair at the threshold with probability 0.99")
    assert re.fullmatch(r"1\.0000 estimated \(.*\)", told["recall"])
    assert (told["output"], told["report"]) == ("clean/out", "clean/out/report.html")
    assert re.fullmatch(r"\d+\.\d", told["seconds"])
    assert f"  warning: rejected {tmp_path}/docs.jsonl:7: not valid JSON" in done.stdout
    assert sorted(pq.read_table(out / "kept")["id"].to_pylist()) == [2, 3, 4, 5]
    assert {path.name for path in out.iterdir()} == {*DONE_PARTS, "rejected"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "docs.jsonl"]


@pytest.mark.slow  # where a signal strikes is a matter of time, which a busy machine stretches
@pytest.mark.parametrize(
    ("number", "send"),
    [
        (signal.SIGINT, os.killpg),  # as Ctrl-C does: to Spark's JVM and the workers too
        (signal.SIGTERM, os.kill),  # as systemd, SLURM and Kubernetes do
        (signal.SIGTERM, os.killpg),  # as `timeout` does
        (signal.SIGHUP, os.killpg),  # as a terminal that is closed does
    ],
    ids=["SIGINT", "SIGTERM", "SIGTERM to the group", "SIGHUP"],
)
@pytest.mark.parametrize("start", [JOB, SUBMIT], ids=["python", "spark-submit"])
def test_a_run_that_is_told_to_end_says_so_and_leaves_nothing(
    tmp_path: Path, start: list[str], number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    source(tmp_path)
    before = listing(tmp_path)
    # Under nohup, and in the background of a script, these come ignored, which a job lets stand; tests may be so run.
    command = ["env", "--default-signal=HUP,INT", *start, "--input", "docs.jsonl", "--output", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), **TOLD) as job:
        assert job.stdout is not None
        for line in job.stdout:
            if line.startswith("read") and STAGE_LINE.fullmatch(line.rstrip()):
                break
        time.sleep(0.5)  # into the next stage
        send(job.pid, number)
        said = job.stdout.read()
        assert job.wait(timeout=120) == 128 + number, said
    assert said.splitlines()[-1] == "interrupted: nothing was put in place"
    assert "Traceback" not in said
    assert "ERROR:" not in said  # what Py4J logs of it
    assert listing(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("seconds", [1.0, 2.0, 2.5, 3.0, 4.0])
def test_a_run_that_is_told_to_end_while_it_starts_ends_so(
    tmp_path: Path, seconds: float, send: Callable[[int, int], None]
) -> None:
    source(tmp_path)
    before = listing(tmp_path)
    command = ["env", "--default-signal=INT", *SUBMIT, "--input", "docs.jsonl", "--output", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), **TOLD) as job:
        time.sleep(seconds)
        send(job.pid, signal.SIGINT)
        said, _ = job.communicate(timeout=120)
    assert job.returncode in (130, -signal.SIGINT), said  # the latter of the shell that starts Java
    assert "Traceback" not in said
    assert "py4j" not in said.lower()
    assert listing(tmp_path) == before


@pytest.mark.slow
def test_a_job_runs_where_files_bear_the_names_of_modules_of_python(tmp_path: Path) -> None:
    path = source(tmp_path)
    (tmp_path / "cwd").mkdir()
    for name in ("random", "tokenize", "token", "queue", "code", "statistics"):
        (tmp_path / "cwd" / f"{name}.py").write_text("print('a script of the user')\n")
    command = [*JOB, "--input", str(path), "--output", "../out", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path / "cwd", env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out" / "kept").num_rows == 4


@pytest.mark.slow
def test_a_job_runs_from_the_folder_of_the_jobs_under_spark_submit(tmp_path: Path) -> None:
    launcher = Path(sys.executable).with_name("spark-submit")
    command = [launcher, "dedup.py", "--input", source(tmp_path), "--output", tmp_path / "out", "--quiet"]
    done = subprocess.run(command, cwd=ROOT / "jobs", env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out" / "kept").num_rows == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "locale"),
    [
        ("spark-submit", {}),
        ("spark-submit", {"LANG": "xx_YY.UTF-8"}),  # named, and not installed
        ("python", {"LC_ALL": "POSIX"}),
    ],
    ids=str,
)
def test_names_outside_ascii_survive_any_locale(tmp_path: Path, start: str, locale: dict[str, str]) -> None:
    folder = tmp_path / "in_ü文"
    save(folder / "ä.parquet", {"id": [1, 2, 3], "texto_ñ": [prose(1), prose(1), prose(2)]})
    starter = Path(sys.executable).with_name("spark-submit") if start == "spark-submit" else Path(sys.executable)
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    command = [starter, ROOT / "jobs" / "dedup.py", "--input", "in_ü文", "--text-column", "texto_ñ"]
    done = subprocess.run(
        [*command, "--output", "out_é文", "--quiet"],
        cwd=tmp_path,
        env={**bare, "PYTHONPATH": str(ROOT), "SPARK_DRIVER_MEMORY": "1g", **locale},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in_ü文", "out_é文"]
    assert pq.read_table(tmp_path / "out_é文" / "kept")["id"].to_pylist() == [1, 3]


@pytest.mark.slow
def test_a_death_of_spark_in_mid_run_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    source(tmp_path)
    before = listing(tmp_path)
    command = [*JOB, "--input", "docs.jsonl", "--output", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as job:
        assert job.stderr is not None
        for line in job.stderr:
            if line.startswith("sketch") and STAGE_LINE.fullmatch(line.rstrip()):
                break
        java = [child.pid for child in descendants(job.pid) if child.name == "java"]
        kill(*java)
        said = job.stderr.read()
        assert job.wait(timeout=120) == 2, said
    assert java
    assert said.splitlines()[-1].startswith("error: Spark's driver died in mid-run")
    assert "sparkprep/dedup" not in said  # no traceback of ours; PySpark's accumulator server prints one of its own
    assert listing(tmp_path) == before


def test_a_mistake_is_one_line_and_exit_code_2_before_spark_starts(tmp_path: Path) -> None:
    command = [*JOB, "--input", "missing.parquet", "--output", "out"]
    no_java = {**environment(), "PATH": "/nowhere", "JAVA_HOME": "/nowhere"}
    done = subprocess.run(command, cwd=tmp_path, env=no_java, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path}/missing.parquet: no such file or folder; check --input\n"


@pytest.mark.parametrize("verb", ["dedup", "tokenize", "shards"])
def test_an_input_that_is_none_is_refused_before_spark_starts(tmp_path: Path, verb: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id,text\n1,x\n")
    command = [sys.executable, "-m", "sparkprep", verb, "--input", "in", "--output", "out"]
    no_java = {**environment(), "PATH": "/nowhere", "JAVA_HOME": "/nowhere"}
    done = subprocess.run(command, cwd=tmp_path, env=no_java, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path}/in/a.csv (it is CSV: write it as Parquet: {shlex.quote(sys.executable)} -c" in done.stderr
    assert sorted(tmp_path.iterdir()) == [tmp_path / "in"]


def test_debug_shows_where_a_mistake_was_met(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["dedup", "--input", str(tmp_path / "missing"), "--output", str(tmp_path / "out")]
    assert main([*words, "--debug"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):")
    assert said.splitlines()[-1].startswith("error: ")
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_existing_output_is_refused_before_anything_is_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.json").touch()
    said = error(capsys, "--input", source(tmp_path), "--output", tmp_path / "out")
    assert said == f"{tmp_path / 'out'} exists; pass --overwrite to replace it or choose another --output"


def test_overwrite_replaces_the_output_and_quiet_says_the_summary_only(
    spark: SparkSession, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    save(tmp_path / "out" / "kept" / "part-00000.snappy.parquet", {"id": ["old"]})
    (tmp_path / "out" / "metrics.json").touch()
    words = ["--input", source(tmp_path), "--output", tmp_path / "out", "--overwrite", "--quiet"]
    assert main(["dedup", *map(str, words)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("  documents      6\n  kept           4\n")
    assert sorted(pq.read_table(tmp_path / "out" / "kept")["id"].to_pylist()) == [0, 1, 2, 3]
    assert {path.name for path in (tmp_path / "out").iterdir()} == DONE_PARTS


def test_a_damaged_file_is_told_in_the_last_line(
    spark: SparkSession, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = save(tmp_path / "in.parquet", {"id": range(300), "text": [prose(n) for n in range(300)]})
    content = bytearray(bad.read_bytes())
    content[2000:2400] = b"\xaa" * 400
    bad.write_bytes(content)
    before = listing(tmp_path)
    said = error(capsys, "--input", bad, "--output", tmp_path / "out")
    assert said.startswith(f"{bad}: row group 0 cannot be read: ")
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "o"], "--input is missing: name files or folders, or take --size 1k or 10k"),
        (["--size", "500k", "--output", "o"], "--size 500k has no documents of its own: name yours with --input"),
        (["--input", "."], "--output is missing: name the folder to make"),
        (["--size", "10k", "--input", "."], "--output is missing: name the folder to make"),
        (["--input", ".", "--outptu", "x"], "unknown flag or value --outptu; did you mean --output?"),
        (["--input", ""], "--input: an empty value was given, as from a variable that is not set"),
        (["--input", "x", "--output", ""], "--output: an empty value was given"),
        (["--size", "5m", "--input", "."], "--output is missing: name the folder to make"),
        (["--input", ".", "--output", "o", "--threshold", "1.2"], "--threshold: 1.2 is above 1"),
        (["--input", ".", "--output", "o", "--threshold", "0.01"], "--threshold 0.01 is too low: with 128 slots"),
        (["--input", ".", "--output", "o", "--bands", "20"], "--bands and --rows belong together"),
        (
            ["--input", ".", "--output", "o", "--max-bad", "few"],
            "--max-bad: 'few' is neither a number of lines",
        ),
        (["--input", ".", "--output", "o"], "--output {cwd}/o lies inside the input {cwd}"),
        (["--input", "gcs://bucket/x", "--output", "o"], "gcs://bucket/x: 'gcs://' is not supported"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else None,
)
def test_a_flag_that_cannot_work_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert error(capsys, *words).startswith(said.format(cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--seed", "1"], ["--shard-tokens=100"], ["--val-tokens", "5", "--name", "x"]])
def test_a_flag_of_the_shards_is_refused_where_none_are_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    assert main(["tokenize", "--input", "in", "--output", str(tmp_path / "out"), *words]) == 2
    flag = words[0].partition("=")[0]
    assert capsys.readouterr().err == (
        f"error: {flag} is of the shards: name their folder with --shards, or leave it out\n"
    )


@pytest.mark.parametrize(
    "words",
    [["--tresholds", "0.8"], ["--thresh", "0.8"], ["--rule", "best"], ["--threshold", "high"], ["more.parquet"]],
    ids=" ".join,
)
def test_unknown_and_shortened_flags_and_values_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    assert main(["dedup", "--output", str(tmp_path / "out"), *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert words[0] in said
    assert f"`{command('dedup', '--help')}`" in said


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        (["grade", "out", "--size", "1k", "--precision", "1"], "sparkprep grade"),
        (["convert", "shakespeare", "out", "--sise", "1"], "sparkprep convert shakespeare"),
        (["--quiet", "peek", "x.bin"], "sparkprep"),
    ],
)
def test_the_help_that_is_named_is_that_of_the_verb(
    capsys: pytest.CaptureFixture[str], words: list[str], help_of: str
) -> None:
    assert main(words) == 2
    assert f"(`{command(*help_of.split()[1:], '--help')}` tells what there is)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dedupe"], f"VERB: 'dedupe' is none of {', '.join(verb.name for verb in VERBS)}; did you mean dedup?"),
        (["dedup", "--size", "10K"], "--size: '10K' is none of 1k, 10k, 500k, 5m; did you mean 10k?"),
        (["dedup", "--rule", "leeder"], "--rule: 'leeder' is none of leader, component; did you mean leader?"),
        (["shards", "--shard-token", "5"], "unknown flag or value --shard-token; did you mean --shard-tokens?"),
        (["convert", "tokeniser", "x"], "KIND: 'tokeniser' is none of tokenizer, hellaswag, shakespeare; did you"),
        (["browse", "out", "--port", "80000"], "--port: 80000 is above 65,535"),
        (["browse", "out", "--port=-1"], "--port: -1 is below 0"),
        (['it\'s "odd"'], "VERB: 'it\\'s \"odd\"' is none of extract, filter, "),
    ],
)
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}"), words


def verbs() -> list[list[str]]:
    kinds = ("tokenizer", "hellaswag", "shakespeare")
    return [[], *([verb.name] for verb in VERBS), *(["convert", kind] for kind in kinds)]


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_no_help_shows_an_escape_of_its_parser(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    said = capsys.readouterr().out
    assert "%%" not in said
    assert "%(" not in said


def test_help_explains_every_setting_and_gives_examples(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main(["dedup", "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for each in options_of(Settings):
        assert f"{each.flag} " in said
        assert (each.help.replace("%%", "%")).replace("- ", "-") in said.replace("- ", "-"), each.name
    assert "spark-submit jobs/dedup.py --size 10k" in said
    assert "output folder: kept/" in said


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"sparkprep {__version__}\n")


@pytest.mark.parametrize("start", [["sparkprep"], ["jobs/dedup.py"]], ids=" ".join)
def test_a_size_for_a_cluster_prints_the_line_that_starts_it_and_a_running_session_stays_as_it_is(
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: list[str],
) -> None:
    (tmp_path / "a b.jsonl").write_text("no line of this is JSON\n" * 101)
    words = [
        "--size",
        "500k",
        "--input",
        str(tmp_path / "a b.jsonl"),
        "--output",
        str(tmp_path / "out"),
        "--keep",
        "-n",
    ]
    monkeypatch.chdir(tmp_path)
    given = {key: spark.conf.get(key) for key in SIZES["500k"].runtime}
    with spark_conf(spark, given):  # put back for other tests, should the job have changed it
        if start == ["sparkprep"]:
            monkeypatch.setattr(sys, "argv", [*start, "dedup", *words])
            assert main() == 2
        else:
            monkeypatch.setattr(sys, "argv", [*start, *words])
            assert main(["dedup", *words]) == 2
        assert {key: spark.conf.get(key) for key in given} == given
    assert given != SIZES["500k"].runtime
    first, line, *_ = capsys.readouterr().err.splitlines()
    assert first == "for the memory and executors of --size 500k, start it with:"
    printed = shlex.split(line)
    assert os.access(shutil.which(printed[0]) or "", os.X_OK)
    script = next(word for word in printed if word.endswith("jobs/dedup.py"))
    assert (tmp_path / script).is_file()
    assert printed[printed.index(script) + 1 :] == words
