"""run_parameters.txt: the course's table, appended at every start and read back from the last one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from trainer.runs import parameters as run_parameters

TABLE = """\
+-----------------------+----------------------------------------------------+
| Parameter             | Value                                              |
+-----------------------+----------------------------------------------------+
| train data pattern    | data/fineweb_train_*.bin                           |
| learning rate (LR)    | 6.000000e-04                                       |
+-----------------------+----------------------------------------------------+
| num_parameters        | 124475904                                          |
+-----------------------+----------------------------------------------------+
"""
GROUPS = [
    [("train data pattern", "data/fineweb_train_*.bin"), ("learning rate (LR)", "6.000000e-04")],
    [("num_parameters", "124475904")],
]
values = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=80)


def test_the_table_has_the_courses_form_to_the_letter() -> None:
    assert run_parameters.format_table(GROUPS) == TABLE


def test_every_start_appends_and_the_last_table_is_read(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    assert run_parameters.append(folder, GROUPS) == TABLE
    run_parameters.append(folder, [[("learning rate (LR)", "1.000000e-03")]])
    path = tmp_path / "run" / "run_parameters.txt"
    assert path.read_text().startswith(TABLE)
    assert run_parameters.read(str(path)) == {"learning rate (LR)": "1.000000e-03"}


def test_a_long_value_is_written_whole_and_a_line_break_does_not_begin_a_line(tmp_path: Path) -> None:
    given_values = [("train data pattern", "/data/" + "x" * 80 + " | y.bin"), ("output log dir", "a\n| device | b |\n")]
    table = run_parameters.append(str(tmp_path), [given_values])
    assert len(table.splitlines()) == 6
    read = run_parameters.read(str(tmp_path / "run_parameters.txt"))
    assert read == {"train data pattern": given_values[0][1], "output log dir": r"a\n| device | b |\n"}


@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z_ ()]{1,30}", fullmatch=True).map(str.strip), values), max_size=8))
def test_values_are_read_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    pairs = [pair for pair in pairs if pair[0] and pair != ("Parameter", "Value")]
    folder = tmp_path_factory.mktemp("run")
    run_parameters.append(str(folder), [pairs])
    assert run_parameters.read(str(folder / "run_parameters.txt")) == dict(pairs)


def test_a_file_that_is_missing_or_has_no_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run_parameters.txt"
    with pytest.raises(UserError, match=r"run_parameters\.txt: no such file"):
        run_parameters.read(str(path))
    path.write_bytes(b"\xff\xfe nothing\n| a | b |\n")
    with pytest.raises(UserError, match="no table with the columns Parameter and Value"):
        run_parameters.read(str(path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run_parameters.txt").mkdir()
    with pytest.raises(UserError, match=r"run_parameters\.txt: cannot be written"):
        run_parameters.append(str(tmp_path), GROUPS)
    with pytest.raises(UserError, match="local folder"):
        run_parameters.append("s3://bucket/run", GROUPS)
