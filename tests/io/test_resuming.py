"""The folder of a run that did not come to its end: taken over by one run, and never from one that lives."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import s3_buckets
from trees import tree

from sparkprep import errors
from sparkprep.errors import UserError
from sparkprep.io.files import exists, make_folder, open_input, write_text
from sparkprep.io.heartbeat import HEARTBEAT
from sparkprep.io.liveness import ENDED
from sparkprep.io.output import OutputFolder, try_output
from sparkprep.io.paths import join_path
from sparkprep.io.resuming import (
    Asked,
    check_same,
    find_earlier,
    fingerprint,
    fingerprint_of,
    finished,
    stage_file,
    write_manifest,
)
from sparkprep.io.run_folders import LOCK

MADE = (r"metrics\.json", r"kept/.*")


class Finished:
    """Notes of a run that has finished a stage."""

    def finished(self) -> Sequence[str]:
        return ["sketch"]

    def can_be_resumed(self) -> bool:
        return True


@pytest.fixture(params=["local", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of an output."""
    if request.param == "local":
        return str(tmp_path / "out")
    bucket: str = request.getfixturevalue("bucket")
    s3_buckets.clear()
    return f"{bucket}/made/out"


def asked(output: OutputFolder) -> Asked:
    return Asked("dedup", {"threshold": 0.8}, [("/in/a.parquet", 10, 5)], output.scratch, 2)


def left(place: str) -> OutputFolder:
    """Return the folder of a run that has finished a stage and failed."""
    with pytest.raises(ZeroDivisionError), OutputFolder(place, False, made=MADE, resume=True) as output:  # noqa: PT012
        write_manifest(output.work, asked(output), 1)
        record = {"order": 1, "is_told": True, "stages": [{"name": "sketch"}]}
        make_folder(join_path(output.work, "_resume/stages"))
        write_text(stage_file(output.work, "sketch"), json.dumps(record))
        output.notes = Finished()  # type: ignore[assignment]
        raise ZeroDivisionError
    return output


def test_a_later_run_works_where_the_earlier_one_did_and_leaves_its_result_alone_in_place(place: str) -> None:
    earlier = left(place)
    assert finished(earlier.work) == ["sketch"]
    with OutputFolder(place, False, made=MADE, resume=True) as output:
        assert (output.work, output.scratch) == (earlier.work, earlier.scratch)
        assert output.earlier is not None
        check_same(output.earlier, asked(output))
        output.accept()
        write_text(join_path(output.work, "metrics.json"), "{}")
        output.commit()
    assert not exists(earlier.work)
    assert exists(join_path(place, "metrics.json"))
    assert not exists(join_path(place, "_resume"))
    assert find_earlier(f"{place}.partial-") is None


def test_a_result_that_is_finished_is_told_from_one_of_another_run_and_stays(place: str) -> None:
    with OutputFolder(place, False, made=MADE) as output:
        same, other = fingerprint(asked(output)), fingerprint(replace(asked(output), files=[]))
        write_text(join_path(output.work, "metrics.json"), json.dumps({"fingerprint": same}))
        output.commit()
    try_output(place, False, made=MADE, resume=True)
    with pytest.raises(errors.Finished, match="is finished already"):
        resumed(place, same)
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        resumed(place, other)
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        resumed(place, None)  # a job that does not ask
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        try_output(place, False, made=MADE)
    assert find_earlier(f"{place}.partial-") is None
    assert fingerprint_of(join_path(place, "metrics.json")) == same


def resumed(place: str, asked_for: str | None) -> None:
    with OutputFolder(place, False, made=MADE, resume=True) as output:
        if asked_for is not None:
            output.check_finished(asked_for)
        write_text(join_path(output.work, "metrics.json"), "{}")
        output.commit()


def test_what_is_asked_for_is_known_by_all_that_the_answer_depends_on() -> None:
    run = Asked("dedup", {"threshold": 0.8, "driver_budget": 1}, [("/in/a", 10, 5)], "scratch/one", 2)
    free = ("driver_budget",)
    same = replace(run, options={"driver_budget": 7, "threshold": 0.8}, scratch="scratch/two", tasks=9)
    assert fingerprint(same, free) == fingerprint(run, free)
    for other in (
        replace(run, job="filter"),
        replace(run, options={"threshold": 0.9, "driver_budget": 1}),
        replace(run, files=[("/in/a", 10, 6)]),
    ):
        assert fingerprint(other, free) != fingerprint(run, free)


def test_a_run_that_refuses_what_it_finds_leaves_it_for_another(place: str) -> None:
    earlier = left(place)
    with pytest.raises(UserError, match="no"), OutputFolder(place, False, made=MADE, resume=True):
        raise UserError("no")
    with OutputFolder(place, False, made=MADE, resume=True) as output:
        assert output.work == earlier.work


def test_the_folder_of_a_run_that_lives_is_not_taken_over(place: str) -> None:
    left(place)
    with OutputFolder(place, False, made=MADE, resume=True):
        with pytest.raises(UserError, match=r"still at work|another run"), OutputFolder(place, False, resume=True):
            pass
        assert find_earlier(f"{place}.partial-") is not None, "nor deleted"


def test_a_run_that_ends_says_so_that_another_machine_need_not_wait(bucket: str) -> None:
    s3_buckets.clear()
    output = left(f"{bucket}/made/out")
    with open_input(join_path(output.work, HEARTBEAT)) as stream:
        assert json.loads(stream.read())["state"] == ENDED


def test_nothing_is_taken_over_whose_lock_is_gone(tmp_path: Path) -> None:
    output = left(str(tmp_path / "out"))
    Path(output.work, LOCK).unlink()
    before = tree(tmp_path)
    with (
        pytest.raises(UserError, match="nothing tells whether the run that made it still lives"),
        OutputFolder(tmp_path / "out", False, resume=True),
    ):
        pass
    assert tree(tmp_path) == before


def test_the_run_that_worked_last_is_gone_on_from(tmp_path: Path) -> None:
    for run_id, begun in (("0" * 8, "2024-01-02"), ("1" * 8, "2024-01-01"), ("2" * 8, "")):
        folder = tmp_path / f"out.partial-{run_id}"
        folder.mkdir()
        if begun:
            write_manifest(str(folder), Asked("dedup", {}, [], f"{folder}/_tmp", 1), 1)
            manifest = folder / "_resume/manifest.json"
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"begun": begun}))
    found = find_earlier(str(tmp_path / "out.partial-"))
    assert found is not None
    assert found.run_id == "0" * 8


def test_an_option_on_which_the_answer_does_not_depend_may_be_another(tmp_path: Path) -> None:
    scratch = str(tmp_path / "out.partial-00000000" / "_tmp")
    before = Asked("dedup", {"budget": 1, "rules": ("a",)}, [], scratch, 1)
    write_manifest(str(tmp_path / "out.partial-00000000"), before, 1)
    earlier = find_earlier(str(tmp_path / "out.partial-"))
    assert earlier is not None
    now = Asked("dedup", {"budget": 2, "rules": ("a",)}, [], scratch, 8)
    check_same(earlier, now, free=("budget",))
    with pytest.raises(UserError, match="budget was 1, and is 2"):
        check_same(earlier, now)


def test_tables_in_a_work_place_stay_as_long_as_the_run_of_another_output_can_be_gone_on_from(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(ZeroDivisionError), OutputFolder(tmp_path / "a", False, made=MADE, scratch_place=work) as output:  # noqa: PT012
        write_manifest(output.work, asked(output), 1)
        output.resume, output.notes = True, Finished()  # type: ignore[assignment]
        raise ZeroDivisionError
    with OutputFolder(tmp_path / "b", False, scratch_place=work):
        assert Path(output.scratch).is_dir()
    with OutputFolder(tmp_path / "a", False, scratch_place=work):
        assert not Path(output.work).exists()
        assert not Path(output.scratch).exists()
