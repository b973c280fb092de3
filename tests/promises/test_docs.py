"""The documentation says what the code does."""

import importlib.util
import re
from collections.abc import Iterator

import pytest
from checkout import ROOT


def table_of(script: str, function: str = "table") -> str:
    """The page that a script of scripts/ makes."""
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(getattr(module, function)())


def test_the_settings_table_is_the_one_the_code_makes() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == table_of("settings_table"), "run scripts/settings_table.py"


def test_the_table_of_flags_is_the_one_the_trainer_makes() -> None:
    pytest.importorskip("torch", reason="the trainer is not installed in this environment")
    assert (ROOT / "docs" / "flags.md").read_text() == table_of("flags_table"), "run scripts/flags_table.py"


def test_the_api_page_is_the_one_the_docstrings_make() -> None:
    pytest.importorskip("torch", reason="the trainer is not installed in this environment")
    assert (ROOT / "docs" / "api.md").read_text() == table_of("api_page", "page"), "run scripts/api_page.py"


def modules_of_the_readme() -> Iterator[str]:
    """The files that the list under "Where is what" names: a line's depth tells the folder."""
    section = (ROOT / "README.md").read_text().split("\n## Where is what\n")[1]
    folders: list[str] = []
    for line in section.split("```")[3].strip("\n").splitlines():
        name, *about = line.split(maxsplit=1)
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            assert about, f"{name} has no word about it"
            yield "".join([*folders, name])


def test_the_readme_names_every_module_and_no_other_in_one_line() -> None:
    named = list(modules_of_the_readme())
    assert len(named) == len(set(named))
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in ("jobs", "sparkprep", "train")
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    assert set(named) == there


def test_the_modules_that_the_architecture_page_names_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    folders = ("jobs", "sparkprep", "train", "tests", "scripts", "benchmarks")
    present = {path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py")}
    for name in set(re.findall(r"`([\w/]+\.py)`", text)):
        assert any(path == name or path.endswith(f"/{name}") for path in present), name


def test_the_links_of_the_documentation_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
