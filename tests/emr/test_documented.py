"""What docs/emr.md says to type is taken as printed, and asks AWS for what its page tells."""

import ast
import re
import shlex

import pytest
from checkout import ROOT

from sparkprep.cli import main, parse
from sparkprep.emr.places import JOBS
from sparkprep.emr.plan import EXAMPLE

PAGE = (ROOT / "docs" / "emr.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
INLINE = re.findall(r"`(sparkprep emr launch s3://[^`]+)`", PAGE)


@pytest.mark.parametrize("line", [each for each in [*COMMANDS, *INLINE] if each.startswith("sparkprep emr ")])
def test_a_command_of_the_page_is_one(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(line)[1:]
    if words[1] == "stage":  # builds a wheelhouse even where nothing is put; tests of the staging do that
        parse(words)
        return
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert main([*words, *([] if "--dry-run" in words else ["--dry-run"])]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("line", [each for each in COMMANDS if each.startswith("spark-submit ")])
def test_a_submit_line_of_the_page_starts_a_job_with_flags_that_it_takes(line: str) -> None:
    words = shlex.split(line)
    script = next(number for number, word in enumerate(words) if word.endswith(".py"))
    name = words[script].removeprefix(f"{EXAMPLE}/jobs/")
    assert name in JOBS
    verb = {"dedup.py": "dedup", "tokens.py": "tokenize", "shards.py": "shards"}[name]
    parse([verb, *words[script + 1 :]])
    assert words[1:script] == ["--deploy-mode", "client", "--master", "yarn"]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_a_single_file_that_needs_the_installed_package_alone(name: str) -> None:
    tree = ast.parse((ROOT / "jobs" / name).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"os", "sys", "sparkprep.cli"}


def test_every_line_of_the_page_that_is_typed_is_tested() -> None:
    assert {line.split()[0] for line in COMMANDS} == {"sparkprep", "spark-submit"}
    assert len(INLINE) >= 1
