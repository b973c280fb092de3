"""The command line of sharding: what is refused before Spark starts."""

from pathlib import Path

import pytest

from sparkprep.cli import main


@pytest.mark.parametrize("flag", ["--tokens-column", "--id-column"])
def test_a_column_without_a_name_is_refused_at_once(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.parquet").touch()
    words = ["--input", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "out"), flag, ""]
    assert main(["shards", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flag}: an empty word was given")
    assert not (tmp_path / "out").exists()
