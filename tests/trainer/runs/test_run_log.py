"""main.log: llm.c's form, written so that a kill costs no more than its last line, and read back whole."""

import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from trainer.runs import log as run_log
from trainer.runs.log import RunLog

UPSTREAM = "s:0 tel:11.0092\ns:0 trl:11.0107 lr:0.000001 norm:15.40\ns:250 eval:0.2461\ns:250 tel:6.1710\n"
REFERENCE = "s:0 tel:10.998213\ns:0 trl:10.966591\ns:1 trl:9.5\n"

losses = st.floats(0, 100) | st.sampled_from([math.nan, math.inf])
rows = st.tuples(st.integers(0, 10**9), losses, st.floats(0, 0.5), st.floats(0, 1e4), st.floats(0, 1e7))


def save(folder: Path, text: str) -> str:
    path = folder / "main.log"
    path.write_bytes(text.encode())
    return str(path)


def text_of(folder: Path) -> str:
    return (folder / "main.log").read_text()


def test_lines_have_the_form_of_llm_c_to_the_letter(tmp_path: Path) -> None:
    with RunLog(str(tmp_path / "new" / "folder"), resume=False) as log:
        log.validation(250, 6.17104)
        log.hellaswag(250, 0.25)
        log.train(250, 5.90119, 3.214e-4, 1.2345, 512.344)
    assert text_of(tmp_path / "new" / "folder") == (
        "s:250 tel:6.1710\ns:250 eval:0.2500\ns:250 trl:5.9012 lr:0.000321 norm:1.23 time (ms):512.34\n"
    )


@given(st.lists(rows, max_size=30), st.lists(st.tuples(st.integers(0, 10**9), losses), max_size=30))
def test_what_was_written_is_read_back_to_the_decimals_of_the_form(
    tmp_path_factory: pytest.TempPathFactory,
    train: list[tuple[int, float, float, float, float]],
    validation: list[tuple[int, float]],
) -> None:
    folder = tmp_path_factory.mktemp("log")
    with RunLog(str(folder), resume=False) as log:
        for row in train:
            log.train(*row)
        for step, loss in validation:
            log.validation(step, loss)
            log.hellaswag(step, loss)
    history = run_log.read(str(folder / "main.log"))
    last = {row[0]: row[1:] for row in train}
    assert history.train.steps.tolist() == sorted(last)
    expected = np.array([last[step] for step in sorted(last)], float).reshape(-1, 4).T
    read = (history.train.values, history.lr, history.norm, history.ms)
    for got, want, decimals in zip(read, expected, (4, 6, 2, 2), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=0.5001 * 10.0**-decimals)
    for stream in (history.validation, history.hellaswag):
        assert stream.steps.tolist() == sorted(dict(validation))
        wanted = [dict(validation)[step] for step in stream.steps.tolist()]
        np.testing.assert_allclose(stream.values, wanted, rtol=1e-12, atol=0.5001e-4)
    if last:
        assert history.hours == pytest.approx(float(expected[3].sum()) / 3.6e6, abs=1e-6)


def test_logs_of_upstream_and_of_the_python_reference_are_read(tmp_path: Path) -> None:
    history = run_log.read(save(tmp_path, UPSTREAM))
    assert (history.lr.tolist(), history.norm.tolist(), history.hours) == ([1e-6], [15.4], None)
    assert history.hellaswag.values.tolist() == [0.2461]
    assert history.validation.steps.dtype == np.int64
    history = run_log.read(save(tmp_path, REFERENCE))
    assert history.train.values.tolist() == [10.966591, 9.5]
    assert np.isnan(history.lr).all()


def test_values_that_are_no_finite_numbers_are_read_and_are_never_the_least(tmp_path: Path) -> None:
    history = run_log.read(save(tmp_path, "s:0 trl:nan\ns:1 trl:-inf\ns:2 trl:-nan\ns:3 trl:4.5\ns:4 tel:inf\n"))
    assert np.isnan(history.train.values[[0, 2]]).all()
    assert history.train.minimum() == (3, 4.5)
    assert history.validation.minimum() is None


def test_of_a_step_logged_twice_the_later_line_counts_and_its_time_once(tmp_path: Path) -> None:
    line = "s:{} trl:{} lr:0.1 norm:1.00 time (ms):1800000.00\n"
    history = run_log.read(save(tmp_path, "".join(line.format(*x) for x in [(0, 5), (1, 4), (2, 3), (1, 7), (2, 6)])))
    assert history.train.steps.tolist() == [0, 1, 2]
    assert history.train.values.tolist() == [5, 7, 6]
    assert history.hours == 1.5


@pytest.mark.parametrize(
    "line",
    [
        "epoch 3",
        "s:1 trl:",
        "s:x tel:3",
        "s:1 tel:3 lr:0.1",
        "s:1 trl:1.2.3",
        "s:1 trl:9.",
        "s:-1 tel:2",
        "\x00\x00",
        "s:1 tel:٣",
    ],
)
def test_a_line_of_another_form_is_left_out_and_named_by_file_and_number(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, f"s:0 tel:11.0\n\n{line}\ns:2 tel:3.0\n")
    history = run_log.read(path)
    assert history.validation.steps.tolist() == [0, 2]
    assert not len(history.train)
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: {path}: line 3 is none of llm.c's: ")
    assert warning.endswith("; left out\n")
    assert "\x00" not in warning


def test_many_lines_of_another_form_are_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    glued = "s:1 trl:5.9012 lr:0.0003s:1 trl:5.9012 lr:0.000321 norm:1.23 time (ms):512.34\n"
    run_log.read(save(tmp_path, "s:0 tel:11.0\n" + 900 * glued))
    warning = capsys.readouterr().err
    assert "900 lines (2, 3, 4, 5, 6, ...) are none of llm.c's, the first: 's:1 trl:" in warning
    assert len(warning.splitlines()) == 1


@pytest.mark.parametrize("text", ["PK\x03\x04\n", "a\nb\nc\n"])
def test_a_file_without_a_line_of_llm_cs_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"main\.log: .* none of llm\.c's.*, and no other line is; copy the file anew"):
        run_log.read(save(tmp_path, text))


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"main\.log: no such file; give the folder"):
        run_log.read(str(tmp_path / "main.log"))


@pytest.mark.parametrize("cut", ["s:250 tel:6.1", "s", "s:250 tel:6.1710", "\x00"])
def test_an_unfinished_last_line_is_passed_over_and_cut_off_by_the_next_writer(tmp_path: Path, cut: str) -> None:
    path = save(tmp_path, UPSTREAM + cut)
    assert run_log.read(path).validation.steps.tolist() == [0, 250]
    with RunLog(str(tmp_path), resume=True) as log:
        log.validation(250, 6.5)
    assert text_of(tmp_path) == UPSTREAM + "s:250 tel:6.5000\n"


def test_a_log_without_any_line_break_is_cut_to_nothing_however_long(tmp_path: Path) -> None:
    save(tmp_path, "x" * 100_000)
    RunLog(str(tmp_path), resume=True).close()
    assert text_of(tmp_path) == ""


def test_resume_keeps_what_is_there_and_a_new_start_empties_it(tmp_path: Path) -> None:
    save(tmp_path, UPSTREAM)
    RunLog(str(tmp_path), resume=True).close()
    assert text_of(tmp_path) == UPSTREAM
    RunLog(str(tmp_path), resume=False).close()
    assert text_of(tmp_path) == ""


def test_a_writer_killed_at_any_moment_leaves_whole_lines(tmp_path: Path) -> None:
    code = (
        "import itertools, sys; from trainer.runs.log import RunLog\n"
        "log = RunLog(sys.argv[1], resume=False)\n"
        "for step in itertools.count(): log.train(step, 5.0, 1e-4, 1.0, 2.0)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not ((tmp_path / "main.log").exists() and len(text_of(tmp_path)) > 1000):
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    steps = run_log.read(str(tmp_path / "main.log")).train.steps
    assert len(steps) > 10
    assert steps.tolist() == list(range(len(steps)))


def test_a_full_disk_is_told_with_the_files_name(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path), resume=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        for step in range(6):
            log.validation(step, 1.0)
        with pytest.raises(UserError, match=r"main\.log: cannot be written: .*; free space"):
            log.validation(6, 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    log.close()
    log.close()
    assert run_log.read(log.path).validation.steps.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        RunLog(str(tmp_path / "file"), resume=False)
    with pytest.raises(UserError, match="local folder"):
        RunLog("s3://bucket/run", resume=False)


def test_a_hundred_thousand_lines_take_less_than_two_seconds(tmp_path: Path) -> None:
    path = save(tmp_path, "".join(f"s:{i} trl:3.1234 lr:0.000600 norm:0.31 time (ms):512.00\n" for i in range(100_000)))
    start = time.process_time()
    assert len(run_log.read(path).train) == 100_000
    assert time.process_time() - start < 2
