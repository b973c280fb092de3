"""Local paths and s3:// URIs."""

from pathlib import Path

import pytest

from sparkprep.errors import UserError
from sparkprep.io.paths import filesystem, is_local, join_path, spark_target, spark_uri


def test_s3_uris_are_told_from_local_paths_and_other_schemes_refused() -> None:
    assert not is_local("s3://bucket/a")
    assert is_local("/a/s3://b")
    assert is_local("file:///a")
    assert spark_uri("s3://bucket/a b%20.parquet") == "s3://bucket/a b%20.parquet"
    assert join_path("s3://bucket/a/", "b") == "s3://bucket/a/b"
    with pytest.raises(UserError, match="hdfs://"):
        is_local("hdfs://x/y")


def test_a_local_path_for_spark_has_its_glob_characters_escaped_only_for_reading(tmp_path: Path) -> None:
    path = str(tmp_path / "a[1]{b}*?% #.parquet")
    assert spark_uri(path) == "file:" + str(tmp_path) + r"/a\[1\]\{b\}\*\?% #.parquet"
    assert spark_target(path) == "file:" + path
