"""A folder on S3 into which one run at a time may write; one whose process is gone keeps nobody out."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import s3_buckets

from sparkprep.errors import UserError
from sparkprep.io import liveness
from sparkprep.io.cleaning import Choice, find
from sparkprep.io.heartbeat import Heartbeat
from sparkprep.io.leftovers import State
from sparkprep.io.liveness import has_ended_here

KEY = "out/_progress/_heartbeat"


@pytest.fixture
def folder(bucket: str) -> str:
    s3_buckets.clear()
    return f"{bucket}/out/_progress"


def left_by_a_killed_process(folder: str) -> dict[str, Any]:
    code = f"import os; from sparkprep.io.heartbeat import Heartbeat; Heartbeat({folder!r}).begin(); os._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    return dict(json.loads(s3_buckets.objects()[KEY]))


def test_a_second_run_is_refused_while_the_first_lives_and_not_afterwards(folder: str) -> None:
    with Heartbeat(folder, alone=True):
        with pytest.raises(UserError, match=rf"{folder}: another run \(process \d+ on .* ago\) writes there; wait"):
            Heartbeat(folder, alone=True).begin()
        assert KEY in s3_buckets.objects()
    with Heartbeat(folder, alone=True):
        pass
    assert s3_buckets.objects() == {}


def test_of_runs_that_begin_at_once_one_goes_on(folder: str) -> None:
    begin, begun, refused = threading.Barrier(6), [], []

    def run() -> None:
        beat = Heartbeat(folder, alone=True)
        begin.wait()
        try:
            beat.begin()
            begun.append(beat)
        except UserError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(begin.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(begun), len(refused)) == (1, 5)
    begun[0].remove()


def test_a_run_whose_process_is_gone_keeps_nobody_out_and_is_a_leftover_at_once(folder: str) -> None:
    assert has_ended_here(left_by_a_killed_process(folder))
    assert [each.state for each in find(folder.removesuffix("/_progress"), Choice(datetime.now(UTC)))] == [State.DEAD]
    with Heartbeat(folder, alone=True):
        pass


@pytest.mark.parametrize("changed", [{"machine": "another"}, {"machine": ""}, {"process": "x"}])
def test_of_a_process_that_cannot_be_looked_for_age_alone_tells(
    folder: str, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_buckets.put(KEY, json.dumps(left_by_a_killed_process(folder) | changed))
    with pytest.raises(UserError, match="aws s3 rm s3://bucket/out/_progress/_heartbeat"):
        Heartbeat(folder, alone=True).begin()
    monkeypatch.setattr(liveness, "IDLE_SECONDS", -1.0)
    with Heartbeat(folder, alone=True):
        pass


def test_where_the_system_does_not_say_what_machine_it_is_age_alone_tells(
    folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(liveness, "_BOOT", str(tmp_path / "none"))
    content = json.loads(Heartbeat(folder)._content("running"))
    assert content["machine"] == ""
    assert not has_ended_here(content | {"process": 2**22 + 1})
