"""The documentation says what the code does."""

import importlib.util

import pytest
from checkout import ROOT


def table_of(script: str) -> str:
    """The table that a script of scripts/ makes."""
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.table())


def test_the_settings_table_is_the_one_the_code_makes() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == table_of("settings_table"), "run scripts/settings_table.py"


def test_the_table_of_flags_is_the_one_the_trainer_makes() -> None:
    pytest.importorskip("torch", reason="the trainer is not installed in this environment")
    assert (ROOT / "docs" / "flags.md").read_text() == table_of("flags_table"), "run scripts/flags_table.py"


def test_every_module_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    names = {word for word in text.split() if word.endswith(".py") and "/" not in word}
    present = {path.name for package in ("sparkprep", "train") for path in (ROOT / package).rglob("*.py")}
    assert names - present == set()
