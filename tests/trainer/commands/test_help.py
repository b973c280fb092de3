"""--help of each script: an answer at once, without the seconds that PyTorch takes to import."""

import re
import subprocess
import sys

import pytest
from checkout import ROOT, TRAIN

# Runs the script as `python SCRIPT --help` would, and tells on stderr whether PyTorch was loaded.
_HELP = """\
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("script", sorted(path.name for path in TRAIN.glob("*.py")))
def test_help_loads_no_pytorch_and_says_where_exit_codes_are_told(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELP, str(TRAIN / script)],
        env={"PYTHONPATH": f"{ROOT}:{TRAIN}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "False\n"
    assert re.search(r"^exit codes: docs/environment\.md$", done.stdout, re.MULTILINE)
