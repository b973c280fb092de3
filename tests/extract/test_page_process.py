"""The process that extracts pages: it lives as long as who asks it, and no longer, and says nothing of its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from warc_files import html

from sparkprep.extract.page_process import PageProcess

COMMAND = [sys.executable, "-m", "sparkprep.extract.page_process", "9"]
ASKS = """
import sys
from sparkprep.extract.page_process import PageProcess
pages = PageProcess(float(sys.argv[1]))
print(pages._running().pid, flush=True)
pages.page_of(sys.stdin.buffer.read(), "", "blocks")
sys.stdin.buffer.close()
print("answered", flush=True)
pages._running().wait()
"""
LONG = b"<html><body><div " + b" ".join(b"a%d=1" % number for number in range(200_000)) + b">text"
"""It takes minutes, in compiled code."""


@pytest.fixture
def pages() -> Iterator[PageProcess]:
    found = PageProcess(30)
    yield found
    found.close()


def test_ctrl_c_does_not_reach_it(pages: PageProcess) -> None:
    process = pages._running()
    os.kill(process.pid, signal.SIGINT)
    assert pages.page_of(html(1), "text/html", "blocks").title == "Page 1"
    assert pages._process is process
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("after", [0.02, 0.3, 1.0])
def test_it_ends_without_a_word_when_who_asks_is_gone_while_it_starts(after: float) -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    time.sleep(after)
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


@pytest.mark.parametrize(("page", "seconds"), [(html(2), 60), pytest.param(LONG, 1, marks=pytest.mark.slow)])
def test_it_ends_with_who_asks_also_in_the_midst_of_a_page(page: bytes, seconds: int) -> None:
    command = [sys.executable, "-c", ASKS, str(seconds)]
    asks = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert asks.stdin is not None
    assert asks.stdout is not None
    pid = int(asks.stdout.readline())
    asks.stdin.write(page)
    asks.stdin.close()
    if page != LONG:
        assert asks.stdout.readline() == b"answered\n"
    else:
        time.sleep(0.3)  # the page is with it
    asks.kill()
    asks.wait()
    asks.stdout.close()
    end = time.monotonic() + 20
    while _lives(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
