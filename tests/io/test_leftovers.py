"""`sparkprep clean` removes what killed runs left, tells it with sizes and ages, and touches nothing else."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import s3_buckets
from s3_buckets import put
from trees import put as put_local
from trees import tree

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.io import heartbeat
from sparkprep.io.cleaning import Choice, find, remove
from sparkprep.io.files import write_text
from sparkprep.io.heartbeat import Heartbeat
from sparkprep.io.leftovers import Leftover, State
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path

MADE = (r"metrics\.json", "kept/.*")
HEART = '{"state": "running", "host": "there", "process": 1}'


def later(**chosen: bool) -> Choice:
    """The choice of somebody who looks an hour from now, when nothing was written meanwhile."""
    return Choice(datetime.now(UTC) + timedelta(hours=1), **chosen)


def states(place: str, choice: Choice | None = None) -> dict[str, State]:
    return {each.path: each.state for each in find(place, choice or later())}


def begin_upload(key: str, part: bytes = b"") -> None:
    """Leave an upload half-way, as a task that was killed at it."""
    client = s3_buckets.client()
    begun = client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    if part:
        client.upload_part(Bucket="bucket", Key=key, UploadId=begun, PartNumber=1, Body=part)


@pytest.fixture
def place(bucket: str) -> str:
    s3_buckets.clear()
    for each in s3_buckets.client().list_multipart_uploads(Bucket="bucket").get("Uploads", []):
        s3_buckets.client().abort_multipart_upload(Bucket="bucket", Key=each["Key"], UploadId=each["UploadId"])
    return bucket


_KILLED = """\
import os, signal, sys
from sparkprep.io.files import make_folder, write_text
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
with OutputFolder(sys.argv[1], overwrite=False, scratch_place=sys.argv[2]) as folder:
    make_folder(join_path(folder.work, "kept"))
    make_folder(join_path(folder.scratch, "signatures"))
    write_text(join_path(folder.work, "kept/part-00000.parquet"), "rows")
    write_text(join_path(folder.scratch, "signatures/part-00000.parquet"), "rows")
    print(os.path.basename(folder.work), os.path.basename(folder.scratch), flush=True)
    os.kill(os.getpid(), int(sys.argv[3]))
"""


def killed(output: str, work: str) -> list[str]:
    """Kill a run between its first file and its last; return the names of its folders."""
    words = [sys.executable, "-c", _KILLED, output, work, str(int(signal.SIGKILL))]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.split()


def test_what_a_killed_run_left_on_s3_goes_and_nothing_else(place: str) -> None:
    put("data/out/metrics.json")
    put("data/out.partial-20261128/mine.csv")  # a folder of somebody's, with a date in its name
    put("sparkprep-20261128/wheel.whl")
    folder, scratch = killed(f"{place}/data/out2", f"{place}/scratch")
    begin_upload(f"data/{folder}/kept/part-00001.parquet", b"x" * 1000)
    begin_upload("data/film.mkv")
    before = {key for key in s3_buckets.objects() if folder not in key and scratch not in key}
    dead = [each for each in find(place, later()) if each.state is State.DEAD]
    assert [each.path for each in dead] == [f"{place}/data/{folder}", f"{place}/scratch/{scratch}"]
    assert (dead[0].files, dead[0].uploads, dead[0].uploaded) == (2, 1, 1000)
    for each in dead:
        remove(each)
    assert set(s3_buckets.objects()) == before
    assert s3_buckets.uploads() == ["data/film.mkv"]


def test_a_place_means_what_lies_below_it_and_beside_it_under_its_name(place: str) -> None:
    for key in ("a/out.partial-01234567/x", "a/out/b/sparkprep-01234567/x", "a/out2.partial-01234567/x"):
        put(key)
        put(f"{key.rpartition('/')[0]}/_heartbeat", HEART)
    inside = {f"{place}/a/out.partial-01234567", f"{place}/a/out/b/sparkprep-01234567"}
    assert set(states(f"{place}/a/out/")) == inside
    assert set(states(f"{place}/a")) == inside | {f"{place}/a/out2.partial-01234567"}
    assert set(states(f"{place}/a/out.partial-01234567")) == {f"{place}/a/out.partial-01234567"}
    assert states(f"{place}/a/out.partial-01234567/x") == {}


def test_a_run_that_is_at_work_is_refused_by_name_and_the_rest_is_done(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with OutputFolder(f"{place}/out", overwrite=False, made=MADE) as output:
        write_text(join_path(output.work, "kept/a"), "rows")
        assert main(["clean", place]) == 2
        said = capsys.readouterr().err
        assert f"error: {output.work}: in use by a run that is still at work (2 files of " in said
        assert f"process {os.getpid()} on " in said
        assert "--even-if-running removes it" in said
        assert states(place, later(even_if_running=True)) == {output.work: State.DEAD}
        assert set(s3_buckets.objects()) == {
            f"{output.work.removeprefix('s3://bucket/')}/{n}" for n in ("_heartbeat", "kept/a")
        }
    assert s3_buckets.objects() == {}


def test_a_run_without_writes_lives_by_its_heartbeat(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    with Heartbeat(f"{place}/a.partial-01234567"):
        for _ in range(2):  # it comes back
            s3_buckets.clear()
            for _ in range(100):
                if s3_buckets.objects():
                    break
            assert list(s3_buckets.objects()) == ["a.partial-01234567/_heartbeat"]
    assert s3_buckets.objects() == {}


def test_a_finished_result_that_is_not_in_place_stays_whatever_is_asked(place: str) -> None:
    put("out.partial-01234567/metrics.json")  # as after a commit that failed
    put("two.partial-01234567/metrics.json")  # as of a run that was killed just before
    put("two.partial-01234567/_heartbeat", HEART)
    put("out/_unfinished.json", f'{{"whole_in": "{place}/out.partial-01234567"}}')
    found = find(place, later(kept_work=True, even_if_running=True))
    assert {each.state for each in found} == {State.STAYS}
    why = {each.path.removeprefix(f"{place}/"): each.why for each in found}
    assert why["two.partial-01234567"].startswith("a finished result that was not put in place")
    assert f"aws s3 sync --delete {place}/out.partial-01234567/ {place}/out/" in why["out"]
    with pytest.raises(ValueError, match="stays"):
        remove(found[0])


def test_a_folder_that_was_being_deleted_when_its_run_was_killed_goes(place: str) -> None:
    put("out.partial-01234567/metrics.json")
    put("out.partial-01234567/_heartbeat", HEART.replace("running", "deleting"))
    assert states(place) == {f"{place}/out.partial-01234567": State.DEAD}


def test_work_that_was_kept_goes_only_when_asked(place: str) -> None:
    with pytest.raises(ZeroDivisionError), OutputFolder(f"{place}/out", overwrite=False, keep_work=True):
        raise ZeroDivisionError
    assert set(states(place).values()) == {State.KEPT}
    assert set(states(place, later(kept_work=True)).values()) == {State.DEAD}


def test_of_shards_the_unfinished_uploads_go_and_the_finished_files_stay(place: str) -> None:
    put("shards/c4_val_000000.bin")
    put("shards/_progress/c4_val_000000.bin.json", "{}")
    put("shards/_progress/_heartbeat", HEART)
    for key in ("shards/c4_train_000001.bin", "shards/notes.zip", "else/c4_train_000001.bin"):
        begin_upload(key)
    found = {each.path: each for each in find(place, later())}
    mark = found[f"{place}/shards/_progress"]
    assert (mark.state, mark.uploads) == (State.DEAD, 1)
    assert "1 finished shards of a run that did not end; the same command goes on" in found[f"{place}/shards"].why
    assert (found[place].state, found[place].uploads) == (State.STAYS, 2)
    remove(mark)
    assert sorted(s3_buckets.uploads()) == ["else/c4_train_000001.bin", "shards/notes.zip"]
    assert sorted(s3_buckets.objects()) == ["shards/_progress/c4_val_000000.bin.json", "shards/c4_val_000000.bin"]


def test_uploads_alone_that_a_deletion_by_hand_has_left_go(place: str) -> None:
    begin_upload("out.partial-01234567/kept/part-00003.snappy.parquet")
    begin_upload("out.partial-89abcdef/film.mkv")
    assert states(place) == {f"{place}/out.partial-01234567": State.DEAD, place: State.STAYS}


def test_a_dry_run_tells_all_and_removes_nothing(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkprep.io.s3_leftovers.IDLE_SECONDS", -1)
    folder, _ = killed(f"{place}/out", f"{place}/work")
    before = s3_buckets.objects()
    assert main(["clean", place, "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"would remove {place}/{folder}: 2 files of ")
    assert said[-1].startswith("to be removed: 4 files, ")
    assert s3_buckets.objects() == before
    assert main(["clean", place]) == 0
    assert "removed: 4 files" in capsys.readouterr().out
    assert s3_buckets.objects() == {}
    assert main(["clean", place]) == 0
    assert capsys.readouterr().out == f"{place}: nothing there that a killed run has left\n"


def test_on_a_disk_the_lock_tells_what_is_left(tmp_path: Path) -> None:
    folder, scratch = killed(str(tmp_path / "out"), str(tmp_path / "tmp"))
    put_local(tmp_path / "data.partial-20261128" / "mine.csv")
    put_local(tmp_path / "done.partial-01234567" / "metrics.json")
    put_local(tmp_path / "old.replaced-01234567" / "metrics.json")
    with OutputFolder(tmp_path / "live", overwrite=False) as output:
        assert states(str(tmp_path)) == {
            str(tmp_path / folder): State.DEAD,
            str(tmp_path / "tmp" / scratch): State.DEAD,
            str(tmp_path / "data.partial-20261128"): State.STAYS,
            str(tmp_path / "done.partial-01234567"): State.STAYS,
            str(tmp_path / "old.replaced-01234567"): State.STAYS,
            output.work: State.RUNNING,
        }
        assert main(["clean", str(tmp_path)]) == 2
        assert os.path.isdir(output.work)
    assert sorted(tree(tmp_path)) == [
        "data.partial-20261128/mine.csv",
        "done.partial-01234567/metrics.json",
        "old.replaced-01234567/metrics.json",
    ]


def test_on_a_disk_a_half_written_file_goes_when_it_is_old(tmp_path: Path) -> None:
    file = tmp_path / "shards" / ".c4_train_000001.bin.partial-01234567"
    put_local(file)
    assert states(str(tmp_path), Choice(datetime.now(UTC))) == {str(file): State.RUNNING}
    assert states(str(tmp_path)) == {str(file): State.DEAD}
    (tmp_path / "link").symlink_to(tmp_path / "shards")
    assert main(["clean", str(tmp_path / "link")]) == 2


def test_what_may_not_be_listed_is_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_buckets.only_known_users(os.environ["AWS_ENDPOINT_URL"]) as user, monkeypatch.context() as patch:
        for name, value in user.items():
            patch.setenv(name, value)
        with pytest.raises(UserError, match=r"s3://bucket/x: access denied \(ListObjectsV2\)"):
            find(f"{place}/x", later())


def test_a_leftover_knows_its_size_and_age(place: str) -> None:
    put("out.partial-01234567/_heartbeat", HEART)
    put("out.partial-01234567/a", "x" * 500)
    (found,) = find(place, later())
    assert isinstance(found, Leftover)
    assert found.size == 500 + len(HEART)
    assert found.written is not None
    assert abs(datetime.now(UTC) - found.written) < timedelta(minutes=5)
