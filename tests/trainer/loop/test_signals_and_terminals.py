"""Real processes whose terminal goes, whose disk is full, that are told to end: no whole update is lost."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkout import ROOT
from mounts import full_disk
from runs_of_training import SCRIPT, log_values
from short_runs import LAST, SHAPE, content, names, same_end, steps, words

from trainer.commands.train import main
from trainer.loop.loop import Trainer
from trainer.runs.history import load_run

LONG = 80
SOME = 5
"""Lines of the log from which on a run is taken to be under way."""

Popen = subprocess.Popen[bytes]
Started = Callable[..., Popen]


@pytest.fixture
def started() -> Iterator[Started]:
    """Start the trainer as Popen would; what is still running at the end of the test is killed."""
    processes: list[Popen] = []

    def start(argv: list[str], before: tuple[str, ...] = (), **options: object) -> Popen:
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        program = [*before, sys.executable, str(SCRIPT), *argv]
        processes.append(subprocess.Popen(program, **streams))  # type: ignore[call-overload]
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def logged(folder: Path) -> list[int]:
    """The steps whose updates stand in the log."""
    log = folder / "main.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line[2:].split()[0]) for line in lines if " trl:" in line]


def wait_for_updates(process: Popen, folder: Path, count: int = SOME) -> None:
    deadline = time.monotonic() + 120
    while len(logged(folder)) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def goes_to_the_end(process: Popen, folder: Path, last: int = LONG) -> None:
    assert process.wait(timeout=240) == 0
    assert logged(folder) == list(range(last))
    assert steps(folder)[-1] == last


def evaluated(folder: Path) -> list[int]:
    """The steps of the validations in the log, each as often as it stands there."""
    return [int(line[2:].split()[0]) for line in (folder / "main.log").read_text().splitlines() if " tel:" in line]


def hangups(folder: Path) -> int:
    return (folder / "main.log").read_text().count(" hup:1\n")


# What becomes of the display


def test_a_closed_terminal_ends_nothing_and_stands_in_the_log(data: Path, tmp_path: Path, started: Started) -> None:
    terminal, end = pty.openpty()
    folder = tmp_path / "out"

    def own_terminal() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(end), os.O_RDWR))  # which makes it the session's

    argv = words(folder, data, x=LONG, n=50)
    process = started(argv, stdin=end, stdout=end, stderr=end, preexec_fn=own_terminal)
    os.close(end)
    wait_for_updates(process, folder)
    os.close(terminal)
    goes_to_the_end(process, folder)
    assert hangups(folder) == 1
    assert load_run(str(folder)).history.train.steps.tolist() == list(range(LONG))


@pytest.mark.slow
def test_a_hangup_that_is_ignored_stays_ignored(data: Path, tmp_path: Path, started: Started) -> None:
    folder = tmp_path / "out"
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731 (as nohup does)
    process = started(words(folder, data, x=LONG, n=50), preexec_fn=ignore)
    wait_for_updates(process, folder)
    process.send_signal(signal.SIGHUP)
    goes_to_the_end(process, folder)
    assert hangups(folder) == 0


@pytest.mark.slow
def test_a_reader_that_has_gone_ends_nothing(data: Path, tmp_path: Path, started: Started) -> None:
    folder = tmp_path / "out"
    process = started(words(folder, data, x=LONG, n=50), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    goes_to_the_end(process, folder)


@pytest.mark.slow
def test_a_full_disk_under_what_is_printed_ends_nothing(data: Path, tmp_path: Path, started: Started) -> None:
    (tmp_path / "disk").mkdir()
    folder = tmp_path / "out"
    with full_disk(tmp_path / "disk", kilobytes=8) as disk, (disk / "printed").open("wb") as printed:
        process = started(words(folder, data, x=LONG, n=50), stdout=printed, stderr=printed)
        goes_to_the_end(process, folder)
    assert not any("partial" in name for name in names(folder))


# Signals that end a run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_last_whole_update_and_the_run_goes_on_from_it(
    number: signal.Signals, data: Path, tmp_path: Path, started: Started
) -> None:
    folder, whole = tmp_path / "out", tmp_path / "whole"
    run = {"x": LONG, "d": 512}  # updates long enough that the signal finds it under way
    process = started(words(folder, data, **run, n=0), stderr=subprocess.PIPE)
    wait_for_updates(process, folder)
    for _ in range(3):  # the same request, as `timeout` and wrappers make it
        process.send_signal(number)
        time.sleep(0.03)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 128 + number
    (saved,) = steps(folder)
    assert logged(folder) == list(range(saved))
    assert f"interrupted at step {saved}; the last good checkpoint is {folder}/model_{saved:08d}.bin, from" in said
    for output in (folder, whole):
        assert main(words(output, data, **run, n=50, y=1)) == 0
    assert log_values(folder) == log_values(whole)
    ends = [{name: content(each)[name] for name in content(each) if f"{LONG}" in name} for each in (folder, whole)]
    assert ends[0] == ends[1]
    assert steps(folder) == steps(whole), "the checkpoint of the signal has gone"


def test_a_signal_in_a_long_evaluation_loses_nothing_and_the_evaluation_is_made_up(
    out: Path, whole: Path, data: Path, started: Started
) -> None:
    process = started(words(out, data, y=1, m=10**7))
    deadline = time.monotonic() + 60
    while LAST not in steps(out):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert evaluated(out) == [8]
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert evaluated(out) == [8, LAST]


@pytest.mark.parametrize("stop", [4, 6])
def test_each_evaluation_stands_once_and_before_its_update_whether_a_run_stopped_or_not(
    stop: int, data: Path, tmp_path: Path
) -> None:
    for options in ({"es": stop}, {"y": 1}):
        assert main(words(tmp_path / "out", data, v=4, **options)) == 0
    assert evaluated(tmp_path / "out") == sorted({0, 4, stop, 8, LAST})
    lines = [line.split(":")[1] for line in (tmp_path / "out" / "main.log").read_text().splitlines()]
    assert lines.index("4 tel") == lines.index("4 trl") - 1


@pytest.mark.parametrize("step", [6, 8])
def test_the_checkpoint_of_a_signal_goes_with_the_next_unless_it_was_due(
    step: int, whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, iterate = tmp_path / "run", Trainer._iterate

    def interrupted(self: Trainer, now: int, *, entering: bool) -> None:
        if now == step:
            raise KeyboardInterrupt
        iterate(self, now, entering=entering)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_iterate", interrupted)
        assert main(words(folder, data)) == 130
    assert steps(folder) == [4, step]
    assert main(words(folder, data, y=1)) == 0
    assert steps(folder) == [4, 8, LAST]
    same_end(whole, folder)


LONG_OPERATION = """
import sys, torch
from trainer.loop.stopping import Stopping
torch.set_num_threads(1)
a = torch.zeros(8192, 8192)
with Stopping("saving") as stopping, stopping.whole():
    print("ready", flush=True)
    for _ in range(100):
        a @ a
"""


def test_a_second_signal_ends_at_once_even_inside_a_long_operation() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'train'}"}
    argv = [sys.executable, "-c", LONG_OPERATION]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(2):  # at once, as `timeout` does: one request
            process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == b"\nSIGTERM: saving; again to end at once\n"


@pytest.mark.slow
def test_timeout_which_hands_on_each_signal_twice_gets_its_checkpoint(
    data: Path, tmp_path: Path, started: Started
) -> None:
    folder = tmp_path / "out"
    process = started(words(folder, data, x=3000, n=0), before=("timeout", "600"))
    wait_for_updates(process, folder)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    (saved,) = steps(folder)
    assert saved == len(logged(folder))


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [0, 1])
def test_a_signal_in_the_middle_of_a_long_update_is_met_within_it(
    recompute: int, data: Path, tmp_path: Path, started: Started
) -> None:
    folder = tmp_path / "out"
    argv = words(folder, data, d=64 * 10**6 // 1000 * 32, n=0, r=recompute, **SHAPE)  # 64,000 micro-batches of 32
    process = started(argv, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (folder / "run_parameters.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 128 + signal.SIGTERM
    assert "interrupted at step 0; no checkpoint has been written yet" in said
    assert steps(folder) == logged(folder) == []
