"""docs/environment.md names every exit code and every variable of the environment that the code reads, and no other."""

import json
import re
from collections.abc import Iterator

from checkout import ROOT

from sparkprep.console import Exit

PAGE = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
# Read by others than our Python code: by AWS's clients, PySpark, Numba, make.
READ_BY_OTHERS = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "PYSPARK_SUBMIT_ARGS", "PYTHON"),
}


def sources() -> Iterator[str]:
    """The code of every module and script, and of every notebook's cells."""
    for folder in ("sparkprep", "train", "benchmarks", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            yield path.read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])


def test_every_exit_code_has_its_row() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert rows == set(Exit)


def test_every_variable_has_its_row() -> None:
    table = PAGE.split("## Environment variables")[1]
    rows = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    read = set()
    for code in sources():
        read |= set(re.findall(r"""environ(?:\.get|\.setdefault|\.pop)?[(\[] ?["']([A-Z_0-9]+)["']""", code))
        read |= set(re.findall(r"""VARIABLE = ["']([A-Z_0-9]+)["']""", code))
    assert rows == read | READ_BY_OTHERS
