"""Local paths and s3:// URIs."""

from pathlib import Path

import pytest

from sparkprep.errors import UserError
from sparkprep.io.paths import is_local, join_path, lies_in, normalise, spark_uri


def test_s3_uris_are_told_from_local_paths_and_other_schemes_refused() -> None:
    assert not is_local("s3://bucket/a")
    assert is_local("/a/s3://b")
    assert is_local("file:///a")
    assert spark_uri("s3://bucket/a b%20.parquet") == "s3://bucket/a b%20.parquet"
    assert normalise("s3a://bucket/a/") == normalise("S3N://bucket/a") == "s3://bucket/a"
    assert join_path("s3://bucket/a/", "b") == "s3://bucket/a/b"
    with pytest.raises(UserError, match="hdfs://"):
        is_local("hdfs://x/y")


def test_a_local_path_for_spark_has_its_glob_characters_escaped(tmp_path: Path) -> None:
    path = str(tmp_path / "a[1]{b}*?% #.parquet")
    assert spark_uri(path) == "file:" + str(tmp_path) + r"/a\[1\]\{b\}\*\?% #.parquet"


def test_what_lies_in_a_folder_is_told_from_what_begins_like_it() -> None:
    for path, folder in (("/a/b", "/a"), ("/a", "/a"), ("/a", "/"), ("s3://b/x/y", "s3://b/x"), ("s3://b/x", "s3://b")):
        assert lies_in(path, folder)
    for path, folder in (("/ab", "/a"), ("/a", "/a/b"), ("s3://b/xy", "s3://b/x"), ("s3://bc/x", "s3://b")):
        assert not lies_in(path, folder)
