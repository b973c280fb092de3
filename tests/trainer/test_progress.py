"""How far work has come: nothing of what is short, one line in place on a terminal, a line now and then elsewhere."""

import os
import pty
import select
import sys
import time

import pytest

from trainer import progress as module
from trainer.progress import Progress, Work, about, clock


def test_the_time_left_is_the_one_expected_until_something_is_done_and_then_that_of_its_pace() -> None:
    work = Work("step 1/20", 8, "micro-batches", expected=100.0, began=50.0)
    assert work.line(60.0) == "step 1/20: 0 % of 8 micro-batches, 0:00:10 gone, 0:01:30 left"
    assert work.line(200.0).endswith("0:02:30 gone, time left not known yet")  # what was expected was wrong
    work.done, work.counted = 2, 250.0  # 100 s each
    assert work.line(250.0) == "step 1/20: 25 % of 8 micro-batches, 0:03:20 gone, 0:10:00 left"
    assert work.line(280.0).endswith("0:09:30 left")


def test_elsewhere_than_on_a_terminal_lines_come_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_TICK", 0.01)
    monkeypatch.setattr(module, "QUIET", 0.1)
    with Progress() as progress:
        with progress.of("quick", 3, "rows"):
            time.sleep(0.03)
        with progress.of("slow", 10, "rows") as advance:
            advance(5)
            time.sleep(0.9)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert 1 <= len(lines) <= 3  # after 0.1, 0.3 and 0.7 seconds
    assert all(line.startswith("slow: 50 % of 10 rows, ") for line in lines)


def test_a_terminal_shows_one_line_in_place_and_none_when_the_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK", 0.01)
    monkeypatch.setattr(module, "SHOWN_AFTER", 0.05)
    master, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress() as progress, progress.of("validation", 1_000, "tokens") as advance:
            advance(250)
            assert select.select([master], [], [], 60)[0]
        seen = ""
        while not seen.endswith("\r\x1b[K"):
            assert select.select([master], [], [], 60)[0], seen
            seen += os.read(master, 1 << 16).decode()
    os.close(master)
    assert seen.startswith("\rvalidation: 25 % of 1,000 tokens, 0:00:0")
    assert "\n" not in seen


def test_work_goes_on_where_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK", 0.01)
    monkeypatch.setattr(module, "QUIET", 0.0)
    with open(os.devnull) as closed:
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
        with Progress() as progress, progress.of("work", 1, "rows") as advance:
            time.sleep(0.1)
            advance()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0123, "0.012 seconds"), (59, "59 seconds"), (130, "2.2 minutes"), (5 * 3600, "5.0 hours"), (9e6, "104 days")],
)
def test_a_time_is_told_as_somebody_says_it(seconds: float, said: str) -> None:
    assert about(seconds) == said
    assert clock(3725.4) == "1:02:05"
