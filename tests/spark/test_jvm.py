"""Spark's Java as a process: where it does not start, its own words and the way out in one line."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT

from sparkprep.spark.java import java_home
from sparkprep.spark.jvm import Heard

COMMAND = [sys.executable, "-m", "sparkprep", "dedup", "--input", "in.jsonl", "--output", "out"]


def start(folder: Path, **variables: str) -> str:
    """The one line with which a job ends whose Java does not start."""
    (folder / "in.jsonl").write_text('{"text": "a"}\n')
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK", "SPARK"))}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(COMMAND, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["in.jsonl"]
    return line


@pytest.mark.parametrize("memory", ["99999g", "lots"])
def test_a_memory_that_java_cannot_have_is_told_in_its_words(tmp_path: Path, memory: str) -> None:
    line = start(tmp_path, SPARK_DRIVER_MEMORY=memory)
    assert line.startswith("error: Spark's Java did not start: ")
    assert "heap" in line
    assert f"it was to have {memory} of memory: give it less" in line


def test_a_java_that_answers_and_does_not_start_is_told_in_its_words(tmp_path: Path) -> None:
    java, home = tmp_path / "java" / "bin" / "java", java_home()
    java.parent.mkdir(parents=True)
    ask = f"{shlex.quote(f'{home}/bin/java')} \"$@\" 2>&1 | sed 's#java.home = .*#java.home = {tmp_path}/java#' >&2"
    dies = "echo 'Error: libjvm.so: cannot open shared object file' >&2; exit 1"
    java.write_text(f'#!/bin/sh\ncase "$*" in *-version*) {ask}; exit 0;; esac\n{dies}\n')
    java.chmod(0o755)
    line = start(tmp_path, JAVA_HOME=str(tmp_path / "java"))
    assert line == (
        "error: Spark's Java did not start: Error: libjvm.so: cannot open shared object file; mend that, or set "
        f"JAVA_HOME (now {tmp_path}/java) to another Java 17"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (
            "Invalid maximum heap size: -Xmxlots\nError: Could not create the Java Virtual Machine.\n",
            "Invalid maximum",
        ),
        (
            'Exception in thread "main" x.InitError\n\tat a\nCaused by: java.X: nosuch: unknown\n\t... 3 more\n',
            "java.X",
        ),
        (
            "Error: Unrecognized option: --nosuch\n\nUsage: spark-submit\n  --queue NAME  of YARN\n",
            "Error: Unrec",
        ),
        ("\x1b[1mlast\xff words", "\x1b[1mlast\ufffd words"),
    ],
)
def test_the_last_words_of_a_process_say_why(text: str, words: str) -> None:
    reader, writer = os.pipe()
    heard = Heard(os.fdopen(reader, "rb"), 2)
    os.write(writer, text.encode("latin-1"))
    os.close(writer)
    heard.ended(seconds=10)
    assert heard.last_words().startswith(words)


def test_what_was_held_back_and_all_that_follows_is_handed_on(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    heard = Heard(os.fdopen(reader, "rb"), 2)
    os.write(writer, b"before\n")
    while not heard.text():
        pass
    assert capfd.readouterr().err == ""
    heard.release()
    os.write(writer, b"after\n")
    os.close(writer)
    heard.ended(seconds=10)
    assert capfd.readouterr().err == "before\nafter\n"
