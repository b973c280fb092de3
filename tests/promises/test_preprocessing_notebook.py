"""The notebook of the data side, run as a newcomer runs it."""

import ast
import re
from pathlib import Path

import nbformat
import psutil
import pytest
from checkout import ROOT
from nbclient import NotebookClient

NOTEBOOK = ROOT / "notebooks" / "preprocessing.ipynb"


@pytest.mark.slow
def test_it_leads_from_archives_to_shards_and_leaves_no_spark_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    plain = "\n".join(each.get("text/plain", "") for each in data)
    pages = "\n".join(each.get("text/html", "") for each in data)
    for documents in ("1,000", "10,000"):
        assert f": {documents} documents; " in plain  # extracted
        assert f"documents  {documents}: " in plain  # deduplicated
    assert re.search(r"words +\S+, (0|[1-9]) of them lost or added", plain)
    assert "sample_train_000001.bin" in plain
    assert pages.count("<iframe srcdoc=") == 2
    assert pages.count("<svg ") >= 2 * (2 + 3 + 1)
    assert "kept_text" in pages
    assert plain.count("recall     1.0000") >= 2
    for folder in ("shards", "shards-10k"):
        assert (tmp_path / folder / "manifest.json").exists()
    psutil.wait_procs([p for p in psutil.Process().children(recursive=True) if p.pid not in before], timeout=20)
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def names(source: str, context: type) -> set[str]:
    """Return the names that a source reads (ast.Load), or sets (ast.Store), those of imports among them."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = {each.name for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names}
    found = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context)}
    return found | (imported if context is ast.Store else set())


def test_who_begins_with_documents_sets_all_that_the_cells_after_extraction_read() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    told = next(code[1] for cell in cells if (code := re.search(r"```python\n(.+?)```", cell.source, re.DOTALL)))
    headings = [cell.source.splitlines()[0] for cell in cells]
    start, end = headings.index("## Remove near-duplicates"), headings.index("## The same on 10,000 documents")
    code = "\n".join(cell.source for cell in cells[start:end] if cell.cell_type == "code")
    assert names(code, ast.Load) <= names(told, ast.Store) | names(code, ast.Store)
    assert "truth" in names(code, ast.Load), "the grade is by what was set above, of whichever size that is"


def test_it_holds_no_outputs_and_no_logic() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    logic = (ast.For, ast.While, ast.If, ast.FunctionDef, ast.ClassDef, ast.comprehension, ast.Lambda, ast.Try)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, logic)]
