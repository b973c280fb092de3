"""A result folder on S3 appears whole or is told to be half, and never in place of what must stay."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import s3_buckets
from s3_buckets import put
from trees import put as put_local
from trees import tree

from sparkprep.cli import main
from sparkprep.commands import command
from sparkprep.console import what_is_left
from sparkprep.errors import UserError
from sparkprep.io import objects as s3_objects
from sparkprep.io import s3_result
from sparkprep.io.files import open_whole, write_text
from sparkprep.io.marks import refuse_marked
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.io.walking import walk

MADE = (r"metrics\.json", r"kept/.*", "old")


@pytest.fixture
def out(bucket: str) -> str:
    s3_buckets.clear()
    return f"{bucket}/made/out"


def write(folder: str, names: Sequence[str] = ("metrics.json", "kept/a", "kept/b"), content: str = "new") -> None:
    for name in names:
        write_text(join_path(folder, name), content)


def test_the_output_appears_only_with_the_commit_and_without_scratch(out: str) -> None:
    with OutputFolder(f"{out}/", overwrite=False, made=MADE) as output:
        assert (output.path, output.work) == (out, f"{out}.partial-{output.run_id}")
        write(output.work)
        write_text(join_path(output.scratch, "signatures/0"), "scratch")
        assert not any(key.startswith("made/out/") for key in s3_buckets.objects())
        output.commit()
    assert s3_buckets.objects() == {f"made/out/{name}": "new" for name in ("kept/a", "kept/b", "metrics.json")}


def test_an_exception_leaves_nothing_behind_and_the_old_output_untouched(out: str) -> None:
    write(out, content="old")
    before = s3_buckets.objects()
    with pytest.raises(ZeroDivisionError), OutputFolder(out, overwrite=True, made=MADE) as output:  # noqa: PT012
        write(output.work)
        # As a task that was killed at its work: an upload that nobody ends.
        s3_buckets.client().create_multipart_upload(Bucket="bucket", Key=f"made/out.partial-{output.run_id}/kept/c")
        raise ZeroDivisionError
    assert s3_buckets.objects() == before
    assert s3_buckets.uploads() == []


def test_more_objects_than_a_page_are_put_in_place_and_old_ones_go(out: str) -> None:
    write(out, ["metrics.json", *(f"kept/old-{number:03}" for number in range(120))], "old")
    put("made/out/kept/", "")  # as a console makes an empty folder
    put("made/outside", "stays")
    names = ["metrics.json", *(f"kept/{number:03}" for number in range(70))]
    with OutputFolder(out, overwrite=True, made=MADE) as output:
        write(output.work, names)
        output.commit()
    there = s3_buckets.objects()
    assert there.pop("made/outside") == "stays"
    assert there == {f"made/out/{name}": "new" for name in names}


def test_a_large_object_is_copied_in_parts(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_objects, "_COPIED_PART", 5 << 20)
    content = os.urandom(12 << 20)
    with OutputFolder(out, overwrite=False, made=MADE) as output:
        write(output.work, ["metrics.json"])
        with open_whole(join_path(output.work, "kept/large")) as stream:
            stream.write(content)
        output.commit()
    found = s3_buckets.client().get_object(Bucket="bucket", Key="made/out/kept/large")
    assert found["Body"].read() == content
    assert found["ETag"].strip('"').endswith("-3")  # how S3 marks an object of three parts


def test_while_it_is_put_in_place_readers_are_refused_and_the_mark_comes_last(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(out, ["metrics.json", "old"], "old")
    copied: list[list[str]] = []

    def watched(client: Any, bucket: str, source: str, target: str, names: Sequence[str]) -> None:
        copied.append(sorted(names))
        with pytest.raises(UserError, match="has not finished"):
            refuse_marked(out, walk(out))
        marker = json.loads(s3_buckets.objects()["made/out/_unfinished.json"])
        assert marker["whole_in"] == f"s3://bucket/{source}".rstrip("/")
        s3_objects.copy(client, bucket, source, target, names)
        assert s3_buckets.objects()["made/out/old"] == "old"  # what goes, goes after all copies

    monkeypatch.setattr(s3_result, "copy", watched)
    with OutputFolder(out, overwrite=True, made=MADE) as output:
        write(output.work)
        output.commit()
    assert copied == [["kept/a", "kept/b"], ["metrics.json"]]
    refuse_marked(out, walk(out))
    assert sorted(s3_buckets.objects()) == ["made/out/kept/a", "made/out/kept/b", "made/out/metrics.json"]


def break_copy_after(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(client: Any, bucket: str, source: str, target: str, names: Sequence[str]) -> None:
        s3_objects.copy(client, bucket, source, target, names[:1])
        raise error

    monkeypatch.setattr(s3_result, "copy", broken)


def test_a_commit_that_fails_says_where_the_result_is_whole_and_another_run_mends_it(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(out, ["metrics.json", "old"], "old")
    with monkeypatch.context() as patch:
        break_copy_after(patch, UserError("access denied"))
        with (  # noqa: PT012
            pytest.raises(UserError, match="could not be put in place: access denied") as caught,
            OutputFolder(out, overwrite=True, made=MADE) as output,
        ):
            write(output.work)
            output.commit()
    assert f"It is whole in {output.work}: put it there with: aws s3 sync --delete {output.work}/ {out}/" in str(
        caught.value
    )
    there = s3_buckets.objects()
    assert {name: there[f"made/out.partial-{output.run_id}/{name}"] for name in ("metrics.json", "kept/a", "kept/b")}
    with pytest.raises(UserError, match="has not finished"):
        refuse_marked(f"{out}/kept", walk(f"{out}/kept"))
    with pytest.raises(UserError, match="out holds the result of a run that has not finished; pass overwrite=True"):
        OutputFolder(out, overwrite=False, made=MADE)
    with OutputFolder(out, overwrite=True, made=MADE) as second:
        write(second.work, content="second")
        second.commit()
    assert {key: text for key, text in s3_buckets.objects().items() if key.startswith("made/out/")} == {
        f"made/out/{name}": "second" for name in ("kept/a", "kept/b", "metrics.json")
    }


@pytest.mark.parametrize("copied", [0, 1])
def test_a_first_result_of_which_a_killed_run_has_put_a_part_in_place_is_replaced_by_another_run(
    out: str, copied: int
) -> None:
    write(out, ["_unfinished.json", *["kept/a", "kept/b"][:copied]])  # no metrics.json yet, which comes last
    with OutputFolder(out, overwrite=True, made=MADE) as output:
        write(output.work)
        output.commit()
    assert s3_buckets.objects() == {f"made/out/{name}": "new" for name in ("kept/a", "kept/b", "metrics.json")}


def test_a_commit_that_is_interrupted_keeps_the_result_and_says_where(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_copy_after(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as ended, OutputFolder(out, overwrite=False, made=MADE) as output:  # noqa: PT012
        write(output.work)
        output.commit()
    said = what_is_left(ended.value)
    assert said == (
        f"the finished result is whole in {output.work}: put it there with: aws s3 sync --delete {output.work}/ {out}/"
    )
    assert f"made/out.partial-{output.run_id}/metrics.json" in s3_buckets.objects()


def test_of_two_runs_without_overwrite_the_first_to_finish_wins(out: str) -> None:
    with OutputFolder(out, overwrite=False, made=MADE) as first:
        write(first.work, content="first")
        with (  # noqa: PT012
            pytest.raises(UserError, match="out exists"),
            OutputFolder(out, overwrite=False, made=MADE) as second,
        ):
            write(second.work, content="second")
            first.commit()
            second.commit()
    there = s3_buckets.objects()
    assert there["made/out/metrics.json"] == "first"
    assert there[f"made/out.partial-{second.run_id}/metrics.json"] == "second"
    assert "made/out/_unfinished.json" not in there


def test_a_run_does_not_put_its_result_where_another_is_just_putting_one(out: str) -> None:
    with (  # noqa: PT012
        pytest.raises(UserError, match="another run is just putting its result there"),
        OutputFolder(out, overwrite=True, made=MADE) as output,
    ):
        write(output.work)
        put("made/out/_unfinished.json", "of the other")
        output.commit()
    assert s3_buckets.objects()["made/out/_unfinished.json"] == "of the other"
    assert "made/out/metrics.json" not in s3_buckets.objects()


def test_an_existing_output_is_refused_without_overwrite_and_what_no_run_made_with_it(out: str) -> None:
    write(out)
    with pytest.raises(UserError, match="out exists; pass overwrite=True to replace it or choose another output"):
        OutputFolder(out, overwrite=False, made=MADE)
    put("made/out/thesis.tex")
    with pytest.raises(UserError, match=r"a run of this kind does not make \(thesis\.tex\): choose another"):
        OutputFolder(out, overwrite=True, made=MADE)
    s3_buckets.clear()
    put("made/out/kept/a")
    with pytest.raises(UserError, match="no result of such a run"):
        OutputFolder(out, overwrite=True, made=MADE)


def test_a_folder_that_is_empty_but_for_the_object_of_a_console_is_taken(out: str) -> None:
    put("made/out/", "")
    OutputFolder(out, overwrite=False, made=MADE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://bucket", "is a whole bucket; name a folder in it, output='s3://bucket/clean'"),
        ("s3://bucket/", "is a whole bucket; name a folder in it, output='s3://bucket/clean'"),
        ("s3:///out", "names no bucket"),
        ("s3://bucket/a//out", "a key with empty parts"),
        ("s3://bucket/../out", "a key with empty parts, '.' or '..' in it"),
        ("s3://bucket/object", "is an existing object; name a folder"),
        ("s3://not-there/out", "no such bucket; check its name"),
    ],
)
def test_what_is_no_place_for_an_output_is_refused(out: str, path: str, message: str) -> None:
    put("object")
    with pytest.raises(UserError, match=re.escape(message)):
        OutputFolder(path, overwrite=True, made=MADE)


def test_output_and_input_may_not_lie_in_each_other(out: str) -> None:
    for given, output in (
        ("s3://bucket/data", "s3://bucket/data/out"),
        ("s3a://bucket/data/", "s3://bucket/data"),
        ("s3://bucket", "s3://bucket/out"),
        ("s3://bucket/data/in", "s3n://bucket/data"),
    ):
        with pytest.raises(UserError, match=r"inside|is the input itself"):
            OutputFolder(output, overwrite=True, inputs=["/somewhere", given], made=MADE)
    OutputFolder("s3://bucket/data2", overwrite=False, inputs=["s3://bucket/data", "s3://other/data2"])


def test_what_other_runs_left_is_named_with_the_command_to_delete_it(
    out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("made/out.partial-0123abcd/kept/a")
    put("made/out.partial-mine/kept/a")  # the like of ours in name alone
    with OutputFolder(out, overwrite=False, made=MADE) as output:
        write(output.work)
        output.commit()
    said = capsys.readouterr().err
    assert said.count("note: ") == 1
    assert f"{out}.partial-0123abcd was left by a killed run, or is one's that still runs" in said
    assert f"what is left goes with: {command('clean', f'{out}.partial-0123abcd')}\n" in said
    assert "made/out.partial-0123abcd/kept/a" in s3_buckets.objects()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ((), r"output='s3://bucket/made/out': access denied \(ListObjectsV2\)"),
        (
            ("s3:ListBucket",),
            r"out\.partial-\w{8}/_trial: cannot be written: access denied \(PutObject\).*another output",
        ),
        (
            ("s3:ListBucket", "s3:PutObject"),
            r"out\.partial-\w{8}/_trial: .*access denied \(DeleteObjects?\).*another output",
        ),
    ],
)
def test_a_place_that_may_not_be_written_is_told_before_the_work(
    out: str, actions: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_buckets.only_known_users(os.environ["AWS_ENDPOINT_URL"], actions) as user, monkeypatch.context() as patch:
        for name, value in user.items():
            patch.setenv(name, value)
        with pytest.raises(UserError, match=message):
            OutputFolder(out, overwrite=False, made=MADE)


@pytest.mark.parametrize("place", ["local", "s3"])
@pytest.mark.parametrize("succeeds", [True, False])
def test_the_work_place_may_be_another_and_goes_in_the_end(
    out: str, tmp_path: Path, place: str, succeeds: bool
) -> None:
    work = str(tmp_path / "fast/disk") if place == "local" else "s3://bucket/fast"
    output = OutputFolder(out, overwrite=False, made=MADE, scratch_place=work)
    try:
        with output:
            assert output.scratch == f"{work}/sparkprep-{output.run_id}"
            write_text(join_path(output.scratch, "table"), "rows")
            write(output.work)
            if not succeeds:
                raise ZeroDivisionError
            output.commit()
    except ZeroDivisionError:
        pass
    assert sorted(s3_buckets.objects()) == (
        ["made/out/kept/a", "made/out/kept/b", "made/out/metrics.json"] if succeeds else []
    )
    assert list(tmp_path.iterdir()) == []


def test_a_local_output_may_have_its_work_place_on_s3(out: str, tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False, made=MADE, scratch_place=f"{out}/work") as output:
        write_text(join_path(output.scratch, "table"), "rows")
        put_local(Path(output.work) / "metrics.json")
        output.commit()
    assert tree(tmp_path) == {"out/metrics.json": "x"}
    assert s3_buckets.objects() == {}


_RUN = """\
import os, signal, sys
from sparkprep.io.files import write_text
from sparkprep.io.marks import refuse_marked
from sparkprep.io.output import OutputFolder
with OutputFolder(sys.argv[1], overwrite=False) as folder:
    write_text(folder.work + "/kept/a", "x")
    print(folder.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_command_of_a_note_deletes_what_a_killed_run_left(
    out: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = f"{out} of mine's"
    killed = subprocess.run([sys.executable, "-c", _RUN, odd], capture_output=True, text=True, timeout=60)
    run_id = killed.stdout.strip()
    with OutputFolder(odd, overwrite=False):
        pass
    words = shlex.split(capsys.readouterr().err.split("what is left goes with: ")[1])
    assert words[-2:] == ["clean", f"{odd}.partial-{run_id}"]
    assert f"{words[-1].removeprefix('s3://bucket/')}/kept/a" in s3_buckets.objects()
    monkeypatch.setattr("sparkprep.io.s3_leftovers.IDLE_SECONDS", -1)
    assert main(words[-2:]) == 0
    assert s3_buckets.objects() == {}
