"""What every test of the clusters may take for granted."""

import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _sparkprep_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages print commands as they are typed where the environment is active: `sparkprep emr ...`."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
