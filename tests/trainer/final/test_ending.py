"""At the end of a paid run its files go into a bucket, are compared there, and only then the machine goes off."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import s3_buckets
from made_runs import make_run

from sparkprep.console import Exit
from sparkprep.errors import UserError
from sparkprep.io import s3
from trainer.final import ending as endings
from trainer.final.ending import Ending, carry_out, check, parse, told

MB = 1 << 20


@pytest.fixture
def empty(bucket: str) -> str:
    """The bucket, emptied."""
    s3_buckets.clear()
    return bucket


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, with weights that go up in parts."""
    folder = make_run(tmp_path / "logGPT")
    (folder / "model_00000060.bin").write_bytes(bytes(range(256)) * (9 * MB // 256))
    (folder / ".lock").touch()
    return folder


@pytest.fixture
def off(tmp_path: Path) -> Path:
    """The file that the tests' command makes in place of a shutdown."""
    return tmp_path / "off"


def ending(off: Path, then: str = "upload=bucket/experiments/full_gpt,shutdown", hours: float | None = None) -> Ending:
    return parse(then, f"touch {off}", hours)


def never(seconds: float) -> None:
    raise AssertionError("waited")


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("shutdown", Ending("", "", ("shutdown", "-h", "now"))),
        ("upload=b-1/a", Ending("b-1", "a", ())),
        ("upload=s3://bucket/a/b/, shutdown", Ending("bucket", "a/b", ("shutdown", "-h", "now"))),
    ],
)
def test_words_say_what_is_to_be_done(then: str, expected: Ending) -> None:
    assert parse(then, "shutdown -h now", None) == expected


@pytest.mark.parametrize(
    ("then", "hours", "message"),
    [
        ("shut down", None, "'shut down' is neither upload=BUCKET/FOLDER nor shutdown"),
        ("upload,shutdown", None, "give a bucket and a folder in it"),
        ("upload=bucket", None, "give a bucket and a folder in it"),
        ("upload=B/x", None, "'B' is no bucket"),
        ("upload=bucket/../x", None, "'..' cannot be a part of a folder"),
        ("shutdown=now", None, "'shutdown=now' is neither"),
        ("upload=bucket/x", 3.0, "means nothing without a shutdown"),
    ],
)
def test_words_that_ask_for_nothing_known_are_refused(then: str, hours: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(then, "shutdown -h now", hours)


def test_all_files_are_in_the_bucket_before_the_machine_goes_off(empty: str, run: Path, off: Path) -> None:
    lines: list[str] = []
    assert carry_out(ending(off), str(run), lines.append, wait=never) == Exit.DONE
    assert off.exists()
    there = {key: hashlib.sha256(body.encode("latin-1")).hexdigest() for key, body in s3_buckets.objects().items()}
    assert there == {
        f"experiments/full_gpt/logGPT/{name}": hashlib.sha256((run / name).read_bytes()).hexdigest()
        for name in ("main.log", "run_parameters.txt", "model_00000060.bin")
    }
    assert lines[0].startswith("upload       3 files, 9.4 MB, are in s3://bucket/experiments/full_gpt/logGPT/ with")
    assert lines[1] == f"shutdown     touch {off}"


def test_an_object_that_is_not_the_file_is_found_by_reading_it_back(empty: str, run: Path) -> None:
    client = s3_buckets.client()
    path = str(run / "model_00000060.bin")
    other = (run / "model_00000060.bin").read_bytes()[:-1] + b"x"

    def spoil(**_: Any) -> None:
        client.meta.events.unregister("before-call.s3.GetObject", spoil)
        client.put_object(Bucket="bucket", Key="k", Body=other)

    client.meta.events.register("before-call.s3.GetObject", spoil)
    sentence = s3.upload_and_compare(client, "bucket", "k", path)
    assert sentence is not None
    assert f"{path}: s3://bucket/k is another: {len(other):,} bytes with SHA-256 " in sentence
    assert s3.upload_and_compare(client, "bucket", "k", path) is None


@pytest.mark.parametrize("then", ["upload=no-such-bucket/x,shutdown", "upload=bucket/x,shutdown"])
def test_a_failed_upload_shuts_nothing_down(empty: str, run: Path, off: Path, then: str) -> None:
    if "no-such" not in then:
        (run / "gone.bin").symlink_to(run / "nowhere")
    lines: list[str] = []
    assert carry_out(ending(off, then), str(run), lines.append, wait=never) == Exit.CHECK_FAILED
    assert not off.exists()
    assert lines[0].startswith("upload       failed: ")
    assert lines[-1].startswith("shutdown     NOT done: the machine stays on")


def test_it_is_tried_again_until_it_goes_and_then_the_machine_goes_off_at_once(
    empty: str, run: Path, off: Path
) -> None:
    waited: list[float] = []

    def make_bucket(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            s3_buckets.client().create_bucket(Bucket="later")

    later = ending(off, "upload=later/x,shutdown", hours=5)
    assert carry_out(later, str(run), lambda line: None, wait=make_bucket) == Exit.DONE
    assert waited == [endings.RETRY_SECONDS] * 2
    assert off.exists()


@pytest.mark.parametrize("run_failed", [False, True])
def test_after_the_hours_given_the_machine_goes_off_all_the_same(
    empty: str, run: Path, off: Path, run_failed: bool
) -> None:
    (run / "model_00000060.bin").write_bytes(b"small, so that it is up in less than the hours")
    waits: list[float] = []
    then = "upload=bucket/x,shutdown" if run_failed else "upload=no-such-bucket/x,shutdown"

    def wait(seconds: float) -> None:
        assert not off.exists()
        waits.append(seconds)
        real_wait(seconds)

    real_wait = endings.time.sleep
    last = ending(off, then, hours=3 / 3600)
    code = carry_out(last, str(run), lambda line: None, run_failed=run_failed, wait=wait)
    assert code == (Exit.DONE if run_failed else Exit.CHECK_FAILED)
    assert 0 < sum(waits) <= 3
    assert off.exists()


def test_what_a_failed_run_left_goes_up_and_the_machine_stays_on(empty: str, run: Path, off: Path) -> None:
    carry_out(ending(off), str(run), lambda line: None, run_failed=True, wait=never)
    assert "experiments/full_gpt/logGPT/main.log" in s3_buckets.objects()
    assert not off.exists()


def test_a_command_that_fails_is_told(run: Path) -> None:
    with pytest.raises(UserError, match="false: ended with code 1; the machine stays on"):
        carry_out(parse("shutdown", "false", None), str(run), lambda line: None)


def test_what_would_fail_at_the_end_is_found_before_the_run(empty: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "logGPT")
    check(parse("upload=bucket/x,shutdown", "true", None), folder)
    assert list(s3_buckets.objects()) == ["x/logGPT/upload_check.txt"]
    with pytest.raises(UserError, match="no-program is no program here"):
        check(parse("shutdown", "no-program now", None), folder)
    with pytest.raises(UserError, match="no-such-bucket"):
        check(parse("upload=no-such-bucket/x", "true", None), folder)


def test_a_bucket_that_may_be_written_and_not_read_is_found_before_the_run(
    empty: str, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_buckets.only_known_users(s3_server, may=["s3:PutObject", "s3:ListBucket"]) as user:
        for name, value in user.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match=r"x/logGPT/upload_check\.txt cannot be read back"):
            check(parse("upload=bucket/x", "true", None), str(tmp_path / "logGPT"))


def test_what_will_be_done_is_told_with_its_command(run: Path) -> None:
    lines = told(parse("upload=bucket/a,shutdown", "sudo -n poweroff", 2.5), str(run))
    assert lines == [
        f"upload {run} to s3://bucket/a/logGPT/, and compare each object there",
        "after that, if all is well, run: sudo -n poweroff",
        "where run or upload fail, run it 2.5 hours later all the same",
    ]
