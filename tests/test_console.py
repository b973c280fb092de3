"""The terminal: one line for a mistake, exit codes, the end by a signal, text that steers nothing."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.console import Exit, guarded, if_interrupted, passing_over_repeats, safe_text
from sparkprep.errors import Finished, UserError


def failing(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


def test_a_mistake_of_the_user_is_one_line_and_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(failing(UserError("x.parquet: damaged")), debug=False) == Exit.USER_ERROR == 2
    assert capsys.readouterr().err == "error: x.parquet: damaged\n"


def test_a_name_from_the_data_neither_steers_the_terminal_nor_makes_a_second_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    guarded(failing(UserError("the key 'k\x1b[31m\nnew\u202e' is given twice")), debug=False)
    assert capsys.readouterr().err == "error: the key 'k\\x1b[31m\\nnew\\u202e' is given twice\n"


def test_debug_shows_the_traceback_above_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(failing(UserError("x")), debug=True)
    *trace, line = capsys.readouterr().err.splitlines()
    assert trace[0].startswith("Traceback")
    assert line == "error: x"


def test_a_fault_of_ours_is_told_with_its_traceback_and_a_code_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert guarded(failing(ZeroDivisionError("oops")), debug=False) == Exit.FAULT
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError: oops" in said
    assert said.splitlines()[-1].startswith("error: this is a fault of sparkprep's")


def test_a_failure_that_can_be_explained_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    explain = {"ValueError": "Spark failed: of this"}
    code = guarded(failing(ValueError()), debug=False, explain=lambda error: explain.get(type(error).__name__))
    assert code == Exit.SPARK_FAILED
    assert capsys.readouterr().err == "error: Spark failed: of this; --debug shows all of it\n"


def test_what_is_finished_already_is_said_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(failing(Finished("out is finished already")), debug=False) == Exit.DONE == 0
    assert capsys.readouterr().err == "out is finished already\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_unwinds_the_work_and_is_told_with_a_code_of_its_own(
    capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    unwound = []

    def work() -> int:
        with if_interrupted("too far from it to be told"), if_interrupted("all is where it was"):
            try:
                os.kill(os.getpid(), number)
                time.sleep(30)
            finally:
                unwound.append(True)
        return 0

    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # whoever runs the tests may ignore it (nohup)
    try:
        code = guarded(work, debug=False)
        assert (code, unwound) == (128 + number, [True])
        assert capsys.readouterr().err == "interrupted: all is where it was\n"
        signal.raise_signal(number)  # again, as `timeout` and Spark's JVM do: the same request
    finally:
        signal.signal(number, before)


def test_a_signal_that_comes_later_than_a_repeat_is_answered_as_before() -> None:
    answered: list[int] = []

    def before(number: int, frame: object) -> None:
        answered.append(number)

    usual = signal.getsignal(signal.SIGUSR1)
    try:
        for since, expected in ((time.monotonic(), 0), (time.monotonic() - 3, 1)):
            signal.signal(signal.SIGUSR1, passing_over_repeats(before, since, 2.0))
            signal.raise_signal(signal.SIGUSR1)
            assert len(answered) == expected
        assert signal.getsignal(signal.SIGUSR1) is before
    finally:
        signal.signal(signal.SIGUSR1, usual)


UNDER_SUBMIT = r"""
import os, subprocess, sys
job = (
    "import sys; from sparkprep.console import guarded; from sparkprep.errors import UserError\n"
    "def work():\n"
    "    print('begun', file=sys.stderr, flush=True); sys.stdin.read(); raise UserError('the last words')\n"
    "sys.exit(guarded(work, debug=False))"
)
environment = {**os.environ, "PYSPARK_GATEWAY_PORT": "1"}
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
child = subprocess.Popen([sys.executable, "-c", job], env=environment, **pipes)
assert child.stdout.readline() == b"begun\n"
os._exit(143)
"""


def test_the_last_words_of_a_job_are_read_where_spark_submit_has_died_before_it() -> None:
    done = subprocess.run([sys.executable, "-c", UNDER_SUBMIT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (143, "error: the last words\n")


def test_a_signal_that_was_ignored_at_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:

        def work() -> int:
            os.kill(os.getpid(), signal.SIGHUP)
            return 0

        assert guarded(work, debug=False) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_runs_in_a_thread_too_where_no_signal_can_be_handled() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(guarded(lambda: 0, debug=False)))
    thread.start()
    thread.join()
    assert codes == [0]


def test_a_reader_that_has_gone_ends_a_program_in_silence() -> None:
    code = (
        "import sys; from sparkprep.console import guarded, say\n"
        "sys.exit(guarded(lambda: [say('x' * 1000) for _ in range(10000)] and 0, debug=False))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.read(10)
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(timeout=60) == Exit.BROKEN_PIPE


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">&- 2>&-"])
def test_a_stdout_that_takes_nothing_is_no_fault_of_ours(redirection: str) -> None:
    code = (
        "import sys; from sparkprep.console import guarded, say; sys.exit(guarded(lambda: say('x') or 0, debug=False))"
    )
    line = f'exec "$0" -c "$1" {redirection}'
    done = subprocess.run(["bash", "-c", line, sys.executable, code], capture_output=True, text=True, timeout=60)
    if redirection == ">/dev/full":
        assert done.stderr == "error: what the program prints cannot be written: No space left on device\n"
        assert done.returncode == Exit.USER_ERROR
    else:
        assert (done.returncode, done.stderr) == (0, "")


GONE = """
import os, pty, sys
from sparkprep.console import display, guarded, say
from sparkprep.errors import UserError
def work():
    for _ in range(3000):
        say("x" * 100)
        say("y" * 100, stream=sys.stderr)
    os.write(report, b"whole")
    return 0
def mistaken():
    raise UserError("of the user")
report = os.open(sys.argv[1], os.O_WRONLY)
sys.exit(guarded({"work": work, "mistaken": mistaken}[sys.argv[2]], debug=False, expendable=sys.argv[3] == "yes"))
"""


@pytest.mark.parametrize("place", ["reader gone", "terminal gone", "disk full"])
@pytest.mark.parametrize(
    ("what", "expendable", "code"), [("work", "yes", 0), ("mistaken", "yes", 2), ("mistaken", "no", 2)]
)
def test_where_nothing_can_be_printed_the_work_and_its_exit_code_are_what_they_were(
    place: str, what: str, expendable: str, code: int, tmp_path: Path
) -> None:
    if place == "disk full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        other, output = os.pipe() if place == "reader gone" else pty.openpty()
        os.close(other)
    (tmp_path / "report").touch()
    argv = [sys.executable, "-c", GONE, str(tmp_path / "report"), what, expendable]
    done = subprocess.run(argv, stdout=output, stderr=output, timeout=60)
    os.close(output)
    assert done.returncode == code
    assert (tmp_path / "report").read_bytes() == (b"whole" if what == "work" else b"")


@given(st.text(st.characters()))
def test_safe_text_is_one_line_of_harmless_characters_and_says_what_was_there(text: str) -> None:
    safe = safe_text(text)
    assert len(safe.splitlines()) <= 1
    safe.encode("utf-8")
    assert safe_text(safe) == safe
    if text.isprintable():
        assert safe == text
