"""The ledger is paid before a second is used, counts no second twice, and is never wrong, whatever ends its writer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT, TRAIN
from hypothesis import given
from hypothesis import strategies as st
from mounts import full_disk

from sparkprep.errors import UserError
from trainer.tune.ledger import AHEAD, NAME, Ledger


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_segment_costs_its_seconds_at_its_price(tmp_path: Path) -> None:
    clock = Clock()
    meter = Ledger(str(tmp_path)).begin("trial 0", 1.5, 10.0, clock)
    clock.now += 3600
    meter.end()
    for ledger in (Ledger(str(tmp_path)), Ledger(str(tmp_path))):  # read twice, it is the same
        assert ledger.dollars == pytest.approx(1.5)
        assert ledger.of("trial 0") == pytest.approx((3600, 1.5))
        assert ledger.of("trial 1") == (0, 0)


@given(steps=st.lists(st.floats(0, 3), min_size=1, max_size=60), stop=st.integers(0, 59))
def test_at_any_moment_what_is_on_disk_covers_what_was_used(
    steps: list[float], stop: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, clock = str(tmp_path_factory.mktemp("ledger")), Clock()
    meter = Ledger(folder).begin("trial 0", 3600.0, 1e6, clock)  # a dollar a second
    for step in steps[: stop + 1]:
        clock.now += step
        meter.pay()
        assert meter.seconds <= Ledger(folder).dollars + 0.001 <= meter.seconds + AHEAD + 0.002
    meter.end()
    assert Ledger(folder).dollars == pytest.approx(meter.seconds, abs=0.001)


@given(most=st.floats(0, 100), used=st.lists(st.floats(0, 5), max_size=30))
def test_no_more_is_paid_ahead_than_there_is(
    most: float, used: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, clock = str(tmp_path_factory.mktemp("ledger")), Clock()
    meter = Ledger(folder).begin("trial 0", 3600.0, most, clock)
    for step in used:
        clock.now = min(clock.now + step, 1000 + meter.limit)  # at the limit its process is killed
        meter.pay()
        assert Ledger(folder).dollars <= most + 0.001


def test_a_later_segment_of_the_same_trial_is_added_and_a_killed_one_keeps_what_it_had_paid(tmp_path: Path) -> None:
    clock = Clock()
    Ledger(str(tmp_path)).begin("trial 0", 3600.0, 100.0, clock)  # killed at once
    again = Ledger(str(tmp_path)).begin("trial 0", 3600.0, 100.0, clock)
    clock.now += 4
    again.end()
    assert Ledger(str(tmp_path)).of("trial 0")[0] == pytest.approx(AHEAD + 4)


def test_jumps_of_the_date_change_no_charge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dates = iter([2e9, 0.0, 4e9, 1.0, 3e9])
    monkeypatch.setattr(time, "time", lambda: next(dates, 5.0))
    begun = time.monotonic()
    meter = Ledger(str(tmp_path)).begin("trial 0", 3600.0, 100.0)
    time.sleep(0.2)
    meter.pay()
    meter.end()
    assert 0.2 <= Ledger(str(tmp_path)).dollars <= time.monotonic() - begun + 0.001


def test_a_part_of_a_line_at_the_end_is_passed_over_and_cut_off_before_the_next(tmp_path: Path) -> None:
    clock = Clock()
    meter = Ledger(str(tmp_path)).begin("trial 0", 3600.0, 100.0, clock)
    clock.now += 7
    meter.end()
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + b'{"segment": 2, "of": "tri')
    ledger = Ledger(str(tmp_path))
    assert ledger.dollars == pytest.approx(7)
    later = ledger.begin("trial 1", 3600.0, 100.0, clock)
    clock.now += 2
    later.end()
    assert [json.loads(line)["segment"] for line in path.read_text().splitlines()] == [1, 1, 2, 2]
    assert Ledger(str(tmp_path)).dollars == pytest.approx(9)


@pytest.mark.parametrize("line", ["{", "[]", '{"segment": 1}', '{"segment": "1", "of": "x", "seconds": 1.0}'])
def test_a_damaged_line_is_an_error_that_names_it(line: str, tmp_path: Path) -> None:
    Ledger(str(tmp_path)).begin("trial 0", 1.5, 1.0, Clock()).end()
    path = tmp_path / NAME
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(UserError, match=r"ledger\.jsonl,?:? line 3"):
        Ledger(str(tmp_path))


def test_on_a_full_disk_nothing_runs_and_what_was_paid_stands(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with full_disk(tmp_path / "disk") as disk:
        clock = Clock()
        meter = Ledger(str(disk)).begin("trial 0", 3600.0, 1000.0, clock)
        with (disk / "other").open("wb", buffering=0) as other:
            try:
                while other.write(b"x" * 512):
                    pass
            except OSError:
                pass

        def pay_on() -> None:
            for _ in range(200):
                clock.now += 6
                meter.pay()

        with pytest.raises(UserError, match=r"No space left.*Free space"):
            pay_on()
        told = Ledger(str(disk)).dollars
        assert meter.seconds - 6 <= told  # all but the seconds whose payment was refused
        (disk / "other").unlink()
        meter.end()
        assert Ledger(str(disk)).dollars == pytest.approx(meter.seconds)


_PAYING = """\
import sys, time
from trainer.tune.ledger import Ledger
meter = Ledger(sys.argv[1]).begin("trial 0", 3600.0, 1000.0)
print("begun", flush=True)
while True:
    meter.pay()
    time.sleep(0.01)
"""


def test_a_killed_writer_leaves_a_ledger_that_covers_its_time(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{TRAIN}"}
    with subprocess.Popen(
        [sys.executable, "-c", _PAYING, str(tmp_path)], env=environment, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        begun = time.monotonic()
        time.sleep(0.5)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        used = time.monotonic() - begun
    assert used <= Ledger(str(tmp_path)).dollars <= used + AHEAD + 1
