"""An index is held by one run, replaced whole, refused where it is another thing, and left clean."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import s3_buckets
from dedup_runs import save

from sparkprep import Settings, cli
from sparkprep.dedup.index.folder import check_index, held_index, read_index
from sparkprep.dedup.index.manifest import (
    FORMAT,
    Crawl,
    Manifest,
    Part,
    StoredTable,
    check_settings,
    encoded_type,
    parse,
    settings_of,
)
from sparkprep.errors import UserError
from sparkprep.io.cleaning import Choice, find, remove
from sparkprep.io.files import write_text
from sparkprep.io.leftovers import State
from sparkprep.io.locks import held

SETTINGS = settings_of(Settings(), pa.string())
ID_TYPE = encoded_type(pa.string())


def crawl(name: str, serial: int = 0) -> Crawl:
    folder = f"crawls/{name}-0123abcd"
    tables = {
        each: StoredTable(f"{folder}/{each}", (Part(0, 3, 10, "ab"),)) for each in ("kept", "removed", "shingles")
    }
    counts = {"documents": 3, "kept": 2, "removed": 1, "without_words": 0}
    return Crawl(name, serial, "2026-11-28T10:00:00+00:00", "3-00ab", (3,), counts, tables)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest(SETTINGS, ID_TYPE).with_crawl(crawl("jan")).with_crawl(crawl("feb", 1))
    assert parse("index", manifest.text()) == manifest
    assert (manifest.place_of("feb"), manifest.place_of("mar"), manifest.next_serial) == (1, None, 2)
    assert manifest.ids == pa.string()
    assert [each.name for each in manifest.without(0, manifest.crawls[1:]).crawls] == ["feb"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"format": FORMAT + 1}, f"a newer sparkprep .format {FORMAT + 1}, this one knows {FORMAT}"),
        ({"format": FORMAT - 1}, "an older sparkprep"),
        ({"kind": "something else"}, "no index of crawls"),
        ({"crawls": [{}]}, "not the JSON that was expected"),
        ({"next_serial": "1"}, "'next_serial' is not a whole number"),
    ],
)
def test_what_is_no_index_of_this_version_is_refused(content: dict[str, object], told: str) -> None:
    text = json.dumps({**json.loads(Manifest(SETTINGS, ID_TYPE).text()), **content})
    with pytest.raises(UserError, match=told):
        parse("index", text)


def test_other_settings_are_told_with_both_values() -> None:
    other = settings_of(Settings(threshold=0.7, seed=2, keep="first"), pa.int64())
    with pytest.raises(UserError) as caught:
        check_settings("crawls.index", SETTINGS, other)
    message = str(caught.value)
    for told in ("threshold: 0.8 there, 0.7 here", "seed: 1 there, 2 here", "'longest' there, 'first' here"):
        assert told in message
    assert "bands: 18 there" in message
    assert "'string' there, 'int64' here" in message
    check_settings("crawls.index", SETTINGS, settings_of(Settings(bucket_cap=7, driver_budget=0), pa.string()))


def test_a_run_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with held_index(tmp_path / "index") as folder:
        folder.begin(SETTINGS, ID_TYPE)
        assert (tmp_path / "index" / "index.json").exists()
    assert not list(tmp_path.iterdir())


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    with held_index(tmp_path / "index") as folder:
        with (
            pytest.raises(UserError, match=r"another run .process \d+. writes into this folder"),
            held_index(folder.path),
        ):
            pass
        folder.begin(SETTINGS, ID_TYPE)
        assert folder.manifest is not None
        folder.replace(folder.manifest.with_crawl(crawl("jan")))
    with held_index(tmp_path / "index") as folder:
        assert folder.manifest is not None
        assert folder.manifest.place_of("jan") == 0


def test_a_manifest_that_another_has_replaced_is_not_overwritten(tmp_path: Path) -> None:
    with held_index(tmp_path / "index") as folder:
        manifest = folder.begin(SETTINGS, ID_TYPE)
        theirs = manifest.with_crawl(crawl("theirs")).text()
        (tmp_path / "index" / "index.json").write_text(theirs)
        with pytest.raises(UserError, match="another run has replaced it"):
            folder.replace(manifest.with_crawl(crawl("ours")))
    assert (tmp_path / "index" / "index.json").read_text() == theirs


def test_tables_without_a_name_in_the_manifest_go_and_others_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_index(tmp_path / "index") as folder:
        manifest = folder.begin(SETTINGS, ID_TYPE)
        folder.replace(manifest.with_crawl(crawl("jan")))
    crawls = tmp_path / "index" / "crawls"
    for name in ("jan-0123abcd/kept", "jan-0123abcd/notes", "feb-0123abcd/kept", "jan-99999999/removed"):
        (crawls / name).mkdir(parents=True, exist_ok=True)
        (crawls / name / "part-00000.parquet").write_text("")
    with held_index(tmp_path / "index"):
        left = {str(path.relative_to(crawls)) for path in crawls.glob("*/*")}
    assert left == {"jan-0123abcd/kept", "jan-0123abcd/notes"}
    assert len(re.findall("which a killed run had left", capsys.readouterr().err)) == 2


def test_a_folder_of_something_else_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "data" / "crawls" / "jan-0123abcd" / "kept").mkdir(parents=True)
    with pytest.raises(UserError, match="no index"), held_index(tmp_path / "data"):
        pass
    with pytest.raises(UserError, match="no index"):
        read_index(tmp_path / "data")
    assert (tmp_path / "data" / "crawls" / "jan-0123abcd" / "kept").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"), held_index(tmp_path / "file"):
        pass


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"crawl": "jan", "index": None}, "name the index"),
        ({"crawl": None}, "crawl is missing"),
        ({"crawl": "../jan"}, "the name of a crawl"),
        ({"settings": Settings(rule="component")}, "their order cannot hold"),
        ({"output": "crawls.index/clean"}, "index='crawls.index' has inside it output="),
        ({"inputs": ["."]}, "index='crawls.index' lies inside the input ."),
        ({"thresholds": (0.7, 0.8)}, "an index is of one threshold; keep one for each"),
        ({"resume": True}, "a run with index notes no stages; leave that out and it starts anew"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(given: dict[str, object], told: str) -> None:
    arguments = {"index": "crawls.index", "crawl": "jan", "settings": Settings(), "inputs": [], "output": None, **given}
    with pytest.raises(UserError, match=told):
        check_index(**arguments)  # type: ignore[arg-type]


def test_the_first_command_with_resume_and_an_index_is_refused_without_spark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkprep.spark.session.get_session", lambda *_: pytest.fail("Spark was started"))
    source = save(tmp_path / "docs.parquet", pa.table({"id": ["a"], "text": ["some words"]}))
    words = ["--input", str(source), "--output", str(tmp_path / "out"), "--crawl", "jan"]
    assert cli.main(["dedup", *words, "--index", str(tmp_path / "crawls.index"), "--resume"]) == 2
    assert "--resume: a run with --index notes no stages" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["docs.parquet"]


def test_a_serial_number_is_never_used_again(tmp_path: Path) -> None:
    with held_index(tmp_path / "index") as folder:
        manifest = folder.begin(SETTINGS, ID_TYPE)
        folder.replace(manifest.with_crawl(crawl("jan", 0)))
    with held_index(tmp_path / "index") as folder:
        assert folder.manifest is not None
        folder.replace(folder.manifest.without(0, ()))
    with held_index(tmp_path / "index") as folder:
        manifest = folder.begin({**SETTINGS, "threshold": 0.7}, ID_TYPE)
        assert (manifest.next_serial, manifest.settings["threshold"]) == (1, 0.7), "nothing is left to hold it to"
    assert replace(manifest, crawls=()) == read_index(tmp_path / "index")


_KILLED = """
import os, sys
from sparkprep.dedup.index.folder import held_index
from sparkprep.dedup.index.manifest import parse
index, moment = sys.argv[1:]
with held_index(index) as folder:
    new = folder.path + "/" + folder.new_folder("feb") + "/kept"
    from sparkprep.io.files import make_folder, write_text
    make_folder(new)
    write_text(new + "/part-00000.snappy.parquet", "half")
    if moment == "before":
        os._exit(9)
    os.replace = lambda *_: os._exit(9)
    folder.replace(folder.manifest)
"""


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_run_that_is_killed_leaves_the_old_index_whole_and_the_rest_to_be_cleaned(
    tmp_path: Path, moment: str
) -> None:
    with held_index(tmp_path / "index") as folder:
        folder.replace(folder.begin(SETTINGS, ID_TYPE).with_crawl(crawl("jan")))
    before = (tmp_path / "index" / "index.json").read_bytes()
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "index"), moment], check=False)
    assert done.returncode == 9
    assert (tmp_path / "index" / "index.json").read_bytes() == before
    found = find(str(tmp_path), Choice(datetime.now(UTC)))
    (dead,) = [each for each in found if "/crawls/" in each.path]
    assert (dead.state, dead.files, dead.size) == (State.DEAD, 1, 4)
    with held_index_of_another(tmp_path / "index"):
        (held,) = [each for each in find(str(tmp_path), Choice(datetime.now(UTC))) if "/crawls/" in each.path]
        assert held.state is State.RUNNING
    remove(dead)
    assert not [each for each in find(str(tmp_path), Choice(datetime.now(UTC))) if "/crawls/" in each.path]
    assert read_index(tmp_path / "index").place_of("jan") == 0


@contextmanager
def held_index_of_another(path: Path) -> Iterator[None]:
    """As a process holds an index that is at work there."""
    with held(str(path), str(path / ".lock"), "wait"):
        yield


def test_on_s3_one_run_at_a_time_writes_and_a_manifest_is_replaced_on_a_condition(bucket: str) -> None:
    place = f"{bucket}/crawls.index"
    with held_index(place) as folder:
        told = "another run .* writes there; wait for it, or choose another index"
        with pytest.raises(UserError, match=told), held_index(place):
            pass
        manifest = folder.begin(SETTINGS, ID_TYPE)
        folder.replace(manifest.with_crawl(crawl("jan")))
    assert list(s3_buckets.objects()) == ["crawls.index/index.json"]
    with held_index(place) as folder:
        theirs = Manifest(SETTINGS, ID_TYPE).with_crawl(crawl("theirs")).text()
        write_text(f"{place}/index.json", theirs)
        assert folder.manifest is not None
        with pytest.raises(UserError, match="another run has replaced it"):
            folder.replace(folder.manifest.with_crawl(crawl("feb", 1)))
    assert [each.name for each in read_index(place).crawls] == ["theirs"]


def test_on_s3_tables_that_no_manifest_names_are_leftovers(bucket: str) -> None:
    place = f"{bucket}/old.index"
    with held_index(place) as folder:
        folder.replace(folder.begin(SETTINGS, ID_TYPE).with_crawl(crawl("jan")))
    for name in ("jan-0123abcd", "feb-0123abcd"):
        write_text(f"{place}/crawls/{name}/kept/part-00000.snappy.parquet", "rows")
    found = [each for each in find(place, Choice(datetime.now(UTC))) if "/crawls/" in each.path]
    assert [(each.path, each.state) for each in found] == [(f"{place}/crawls/feb-0123abcd/kept", State.DEAD)]
    fence = read_index(place).fence
    with held_index(place):
        assert read_index(place).fence != fence, "a run that only seemed dead cannot end any more"
        assert [each.name for each in read_index(place).crawls] == ["jan"]
    names = [name for name in s3_buckets.objects() if name.startswith("old.index/crawls/")]
    assert names == ["old.index/crawls/jan-0123abcd/kept/part-00000.snappy.parquet"]


def test_on_s3_a_prefix_of_something_else_is_no_index(bucket: str) -> None:
    write_text(f"{bucket}/data/crawls/jan-0123abcd/kept/part-00000.snappy.parquet", "rows")
    with pytest.raises(UserError, match="no index"), held_index(f"{bucket}/data"):
        pass
    assert "data/crawls/jan-0123abcd/kept/part-00000.snappy.parquet" in s3_buckets.objects()
    with pytest.raises(UserError, match="whole bucket"), held_index(bucket):
        pass
