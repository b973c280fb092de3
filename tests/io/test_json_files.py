"""JSON files of ours: what is another's is told in one line, with the way out."""

import re
from pathlib import Path

import pytest

from sparkprep.errors import UserError
from sparkprep.io.json_files import read_json

KEYS = {"step": int, "files": dict, "names": list, "digest": str}


def test_an_object_with_the_keys_is_returned_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"step": 3, "files": {"a": 1}, "names": [], "digest": "ü", "more": null}')
    assert read_json(str(path), "make it anew", KEYS)["more"] is None
    assert read_json(str(path), "make it anew")["digest"] == "ü"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not sound JSON"),
        ("[" * 100_000, "not sound JSON"),
        ("null", "holds no object"),
        ('[{"step": 3}]', "holds no object"),
        ('{"files": {}, "names": [], "digest": ""}', "has no 'step'"),
        ('{"step": "3", "files": {}, "names": [], "digest": ""}', "'step' is not a whole number"),
        ('{"step": true, "files": {}, "names": [], "digest": ""}', "'step' is not a whole number"),
        ('{"step": 3, "files": [], "names": [], "digest": ""}', "'files' is not an object"),
        ('{"step": 3, "files": {}, "names": {}, "digest": ""}', "'names' is not a list"),
        ('{"step": 3, "files": {}, "names": [], "digest": null}', "'digest' is not a text"),
    ],
)
def test_what_is_not_ours_is_told_with_its_file_and_the_way_out(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: .*{said}.*; make it anew$"):
        read_json(str(path), "make it anew", KEYS)
