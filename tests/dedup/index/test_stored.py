"""What is read of a file of an index is what was written, or the run stops: whether its pages have checksums or not."""

import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkprep.dedup.index import stored
from sparkprep.dedup.index.indexed import ROWS_FORM, SETS_FORM
from sparkprep.dedup.index.layout import ROWS, SETS
from sparkprep.dedup.index.manifest import Part
from sparkprep.dedup.index.stored import StoredFile, faults, opened
from sparkprep.errors import UserError
from sparkprep.io.parquet import write_parquet

SOME = 200


def sets() -> pa.Table:
    hashes = np.random.default_rng(1).bytes(8 * 40 * SOME)
    return pa.table({"hashes": [hashes[320 * row : 320 * (row + 1)] for row in range(SOME)]}, SETS)


def rows() -> pa.Table:
    number = list(range(SOME))
    columns = {each.name: pa.nulls(SOME, each.type) for each in ROWS}
    some = {"number": number, "id": [b"%d" % each for each in number], "bands": [bytes([each]) * 99 for each in number]}
    return pa.table({**columns, **{name: pa.array(some[name], columns[name].type) for name in some}}, ROWS)


@pytest.fixture(scope="module", params=[(sets, SETS_FORM), (rows, ROWS_FORM)], ids=["shingles", "kept"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StoredFile:
    """A file of an index, as a run writes it."""
    made, form = request.param
    table = made()
    path = str(tmp_path_factory.mktemp("stored") / "part.parquet")
    written = write_parquet(path, iter(table.to_batches(50)), table.schema, **form.options)
    return StoredFile(path, Part(0, **asdict(written), page_checksums=True), table.schema)


def read(file: StoredFile) -> pa.Table:
    with opened(file) as parquet:
        return parquet.read()


def changed(file: StoredFile, folder: Path, change: Callable[[bytearray], None]) -> StoredFile:
    content = bytearray(Path(file.path).read_bytes())
    change(content)
    path = folder / "changed.parquet"
    path.write_bytes(content)
    return replace(file, path=str(path))


def without_checksums(file: StoredFile) -> StoredFile:
    return replace(file, part=replace(file.part, page_checksums=False))


@settings(derandomize=True)  # PyArrow may end the process for a damaged footer, one in thousands
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_bit_that_has_changed_is_told_or_makes_no_difference(
    file: StoredFile, tmp_path_factory: pytest.TempPathFactory, at: float, bit: int
) -> None:
    def flip(content: bytearray) -> None:
        content[int(at * len(content))] ^= 1 << bit

    damaged = changed(file, tmp_path_factory.getbasetemp(), flip)
    told = ""
    try:
        found = read(damaged)
    except UserError as error:
        told = str(error)
    assert re.match("the index is not as it was written: .*restore that file", told) or found.equals(read(file))
    with pytest.raises(UserError, match=r"the index is not as it was written: .*the SHA-256 is another"):
        read(without_checksums(damaged))
    assert len(faults([damaged, file])) == 1


def test_a_file_without_page_checksums_is_hashed_once_until_it_changes(
    file: StoredFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = without_checksums(changed(file, tmp_path, lambda content: None))
    hashed: list[str] = []
    really = stored.sha256_of

    def counted(path: str) -> tuple[int, str]:
        hashed.append(path)
        return really(path)

    monkeypatch.setattr(stored, "sha256_of", counted)
    assert read(old).equals(read(file))
    read(old)
    assert hashed == [old.path]
    changed(file, tmp_path, lambda content: content.__setitem__(slice(100, 200), bytes(100)))
    with pytest.raises(UserError, match="the SHA-256 is another"):
        read(old)


def test_each_fault_of_an_index_is_a_line(file: StoredFile, tmp_path: Path) -> None:
    short = changed(file, tmp_path, lambda content: content.__delitem__(slice(40, 50)))
    lost = replace(file, path=str(tmp_path / "lost.parquet"))
    told = faults([file, short, lost])
    assert len(told) == 2
    size = file.part.bytes
    assert told[0] == f"{short.path}: it has {size - 10:,} bytes, {size:,} were written"
    assert told[1].startswith(f"{lost.path}: ")


def test_a_sound_file_of_other_rows_or_columns_is_none_of_the_index(file: StoredFile, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    shutil.copy(file.path, other)
    with pytest.raises(UserError, match="it holds 200 rows, 7 were written"):
        read(replace(file, path=str(other), part=replace(file.part, rows=7)))
    pq.write_table(pa.table({"x": list(range(SOME))}), other)
    with pytest.raises(UserError, match="its footer is damaged"):
        read(replace(file, path=str(other)))
