"""A run that is killed at any moment and started again with the same command line ends as if nothing had happened."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs_of_training import command, log_values, start

LAST = 24
LONG = 96  # of a run that outlives ten kills


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    run_to_end(folder, data, LAST)
    return folder


def run_to_end(folder: Path, data: Path, steps: int) -> None:
    process = start(words_for(folder, data, steps), folder.with_suffix(".txt"))
    assert process.wait(timeout=300) == 0, folder.with_suffix(".txt").read_text()


def words_for(folder: Path, data: Path, steps: int) -> list[str]:
    # Outlier limits are on, since their windows are part of what must survive.
    return command(folder, data, y=1, sl=8, sg=8, x=steps)


def wait_until(process: subprocess.Popen[bytes], reached: object) -> None:
    deadline = time.monotonic() + 120
    while not reached() and process.poll() is None:  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def kill_while_training(process: subprocess.Popen[bytes], folder: Path, chance: random.Random) -> None:
    """Kill a few lines of the log further on."""
    log = folder / "main.log"
    size = log.stat().st_size if log.exists() else 0
    more = chance.randrange(30, 500)
    wait_until(process, lambda: log.exists() and log.stat().st_size >= size + more)
    process.send_signal(signal.SIGKILL)


def kill_while_writing(process: subprocess.Popen[bytes], folder: Path, chance: random.Random) -> None:
    """Kill while a file of a checkpoint is half-written, or soon after."""
    name = chance.choice(["model", "state", "checkpoint"])
    wait_until(process, lambda: any(folder.glob(f".{name}_*.partial-*")))
    time.sleep(chance.random() * 0.004)
    process.send_signal(signal.SIGKILL)


def killed_run(folder: Path, data: Path, steps: int, kills: int, seed: int) -> int:
    """A run killed so often and then left alone; how many kills met it alive."""
    chance = random.Random(seed)
    met = 0
    for n in range(kills):
        process = start(words_for(folder, data, steps), folder.with_suffix(".txt"))
        (kill_while_training, kill_while_writing)[n % 2](process, folder, chance)
        met += process.wait(timeout=60) == -signal.SIGKILL
    run_to_end(folder, data, steps)
    return met


def same_end(a: Path, b: Path, steps: int) -> None:
    for name in (f"model_{steps:08d}.bin", f"state_{steps:08d}_00000.bin", f"checkpoint_{steps:08d}.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert log_values(a) == log_values(b)
    assert not [each.name for each in b.iterdir() if ".partial-" in each.name]


@pytest.mark.slow
def test_a_run_killed_while_training_and_while_saving_ends_as_one_that_was_not(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    assert killed_run(tmp_path / "out", data, LAST, kills=2, seed=1) >= 1
    same_end(whole, tmp_path / "out", LAST)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_ten_kills_change_nothing(data: Path, tmp_path: Path, seed: int) -> None:
    run_to_end(tmp_path / "whole", data, LONG)
    assert killed_run(tmp_path / "out", data, LONG, kills=10, seed=seed) == 10
    same_end(tmp_path / "whole", tmp_path / "out", LONG)
