"""Files: written whole, read, and named where they cannot be."""

from pathlib import Path

import pytest
from trees import tree

from sparkprep.errors import UserError
from sparkprep.io.files import exists, open_input, write_text


def test_text_is_written_whole_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    write_text(str(target), "old")
    write_text(str(target), "new ü")
    assert tree(tmp_path) == {"metrics.json": "new ü"}
    with pytest.raises(UserError, match="cannot be written"):
        write_text(str(tmp_path / "missing/x"), "y")


def test_opening_what_is_not_there_names_it(tmp_path: Path) -> None:
    assert not exists(str(tmp_path / "x"))
    with pytest.raises(UserError, match=r"x: cannot be read"):
        open_input(str(tmp_path / "x"))
