"""A job's bar behind `spark-submit`, which gives the job a pipe: on a terminal there is one, elsewhere lines."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from checkout import ROOT

JOB = """\
import sys, time
from sparkprep.spark import displays, progress
from sparkprep.spark.session import get_session
from sparkprep.spark.tasks import run

progress.SLOW, displays.QUIET_INTERVAL, displays.Bar.interval = 0.1, 0.2, 0.1
spark = get_session("terminals")
with progress.Progress(spark, sys.stderr).stage("verify", 800):
    run(spark, range(8), lambda number: [time.sleep(0.4)])
"""


def command(folder: Path) -> list[str]:
    """The words that start the job by a launcher that was installed just now."""
    script = folder / "job.py"
    script.write_text(JOB)
    subprocess.run([sys.executable, ROOT / "scripts" / "install_launcher.py", folder], check=True)
    return [str(folder / "spark-submit"), "--master", "local[2]", str(script)]


def on_terminal(words: list[str], columns: int = 80) -> str:
    """What a program shows on a terminal of its own."""
    reader, writer = os.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer) as process:
        os.close(writer)
        shown = b""
        while True:
            try:
                shown += os.read(reader, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
        assert process.wait(timeout=60) == 0
    os.close(reader)
    return shown.decode()


def test_on_a_terminal_there_is_a_bar_which_goes_in_the_end(tmp_path: Path) -> None:
    text = on_terminal(command(tmp_path))
    *bar, line = text.rstrip().split("\r")
    assert any(" %, about " in each and " of 800 documents" in each for each in bar)
    assert line.strip().startswith("verify               800 documents")


@pytest.mark.slow
def test_on_a_narrow_terminal_the_bar_shows_whole_words_alone(tmp_path: Path) -> None:
    *bar, _ = on_terminal(command(tmp_path), columns=60).rstrip().split("\r")
    assert max(map(len, bar)) < 60
    assert any(re.search(r"\d %, about \d+ seconds? left$", each.rstrip()) for each in bar)
    assert not [each for each in bar if "docu" in each]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["pipe", "file"])
def test_elsewhere_there_are_lines_without_control_characters(tmp_path: Path, place: str) -> None:
    words = command(tmp_path)
    if place == "pipe":
        text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
    else:
        with (tmp_path / "log").open("w") as log:
            subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=True, timeout=120)
        text = (tmp_path / "log").read_text()
    *between, last = text.splitlines()
    assert not [character for character in text if ord(character) < 32 and character != "\n"]
    assert any(" of 800 documents, " in line and " left" in line for line in between)
    assert last.startswith("verify               800 documents")
