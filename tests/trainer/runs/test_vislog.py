"""The notebook, run as a student runs it: against a bucket, and against a local folder."""

import ast
import os
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from checkout import ROOT
from made_runs import make_run
from nbclient import NotebookClient

from trainer.commands import upload as upload_cli

NOTEBOOK = ROOT / "notebooks" / "vislog.ipynb"


def run_notebook(folder: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in a kernel of its own that is gone afterwards."""
    path = os.pathsep.join(filter(None, [str(ROOT / "train"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("SPARKPREP_RUNS", location)
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(folder / name))
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    deadline = time.monotonic() + 20
    while left := {process.pid for process in psutil.Process().children(recursive=True)} - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    return notebook


def check_outputs(notebook: nbformat.NotebookNode) -> None:
    """Four pictures, both runs in the summary and in the table."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    printed = "".join(output.get("text", "") for output in outputs)
    assert printed.count("Params: 124.48m | LR : 0.0006 |") == 2
    assert "run    parameters" in printed
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_it_shows_runs_from_a_bucket(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("d12", "d12_b"):
        assert upload_cli.main(["bucket", str(make_run(tmp_path / "log" / name)), "c1", "--quiet"]) == 0
    (tmp_path / "work").mkdir()
    check_outputs(run_notebook(tmp_path / "work", bucket, monkeypatch))
    assert (tmp_path / "work" / "downloaded_logs" / "c1" / "d12_b" / "main.log").exists()


def test_it_shows_runs_from_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("d12", "d12_b"):
        make_run(tmp_path / "log" / name)
    check_outputs(run_notebook(tmp_path, str(tmp_path / "log"), monkeypatch))


def test_it_holds_no_outputs_no_credentials_and_no_logic() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    logic = (ast.For, ast.While, ast.If, ast.FunctionDef, ast.ClassDef, ast.comprehension, ast.Lambda, ast.Try)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            tree = ast.parse(cell.source.replace("%matplotlib inline", ""))
            assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
        assert "AWS_SECRET" not in cell.source
        assert "aws_access_key" not in cell.source.lower()
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", *["markdown", "code"] * 9]
