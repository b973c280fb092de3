"""Parquet documents on S3, against a real server of its protocol: read and refused as those of a disk are."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from every_type import EVERY_TYPE
from parquet_files import ODD_NAMES, documents_at, read, save

from sparkprep.documents.parquet.footers import summarise
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.errors import UserError
from sparkprep.io.files import delete_file, open_whole
from sparkprep.io.listing import list_files


def put(path: Path, place: str) -> str:
    with open_whole(place) as stream:
        stream.write(path.read_bytes())
    return place


def documents_on_s3(folder: str) -> Documents:
    return plan(summarise(list_files([folder])), 1)


def test_rows_of_every_type_are_those_of_the_disk(bucket: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", pa.table({"text": ["a", "b", None, "d"]} | EVERY_TYPE), row_group_size=3)
    put(path, f"{bucket}/types/a.parquet")
    assert read(documents_on_s3(f"{bucket}/types")).equals(read(documents_at(path)), check_metadata=True)


def test_files_of_any_name_are_read(bucket: str, tmp_path: Path) -> None:
    names = sorted(name for name in ODD_NAMES if "\n" not in name and "\\" not in name)
    for name in names:
        put(save(tmp_path / "a.parquet", {"text": [name]}), f"{bucket}/odd %41 #1/{name}.parquet")
    assert len(names) > 20
    assert sorted(read(documents_on_s3(f"{bucket}/odd %41 #1"))["text"].to_pylist()) == names


def test_columns_in_folder_names_are_read(bucket: str, tmp_path: Path) -> None:
    for lang in ("en", "d%20e"):
        put(save(tmp_path / "a.parquet", {"text": ["t"]}), f"{bucket}/by/lang={lang}/a.parquet")
    assert read(documents_on_s3(f"{bucket}/by")).to_pylist() == [{"text": "t", "lang": lang} for lang in ("d e", "en")]


@pytest.mark.parametrize("fault", ["cut", "pages", "gone", "replaced"])
def test_a_file_that_is_not_sound_or_not_the_same_is_named(bucket: str, tmp_path: Path, fault: str) -> None:
    path = save(tmp_path / "a.parquet", {"text": [f"text {n}" for n in range(200)]}, use_dictionary=False)
    place = put(path, f"{bucket}/{fault}/a.parquet")
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-9])
        put(path, place)
        with pytest.raises(UserError) as caught:
            documents_on_s3(f"{bucket}/{fault}")
    else:
        documents = documents_on_s3(f"{bucket}/{fault}")
        content = bytearray(path.read_bytes())
        start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
        content[start + 40 : start + 400] = b"\xaa" * 360
        path.write_bytes(content)
        if fault == "gone":
            delete_file(place)
        else:
            put(path if fault == "pages" else save(path, {"text": ["a"]}), place)
        with pytest.raises(UserError) as caught:
            read(documents)
    assert str(caught.value).startswith(f"{place}: ")
    assert "\n" not in str(caught.value)
