"""The documentation says what the code does."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_settings_table_is_the_one_the_code_makes() -> None:
    spec = importlib.util.spec_from_file_location("settings_table", ROOT / "scripts" / "settings_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "settings.md").read_text() == module.table(), "run scripts/settings_table.py"


def test_every_module_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    names = {word for word in text.split() if word.endswith(".py") and "/" not in word}
    present = {path.name for path in ROOT.rglob("sparkprep/**/*.py")}
    assert names - present == set()
