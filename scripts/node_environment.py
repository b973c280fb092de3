"""Make the Python that the nodes of the test cluster run: `python scripts/node_environment.py FOLDER`

The package lies in it as its wheel installs it, and nothing of this checkout does; so what the wheel forgets is missed
there. What it depends on, hundreds of megabytes, comes from the environment of the Python that runs this: a node finds
it in `packages` beside the environment, everybody else where it is. Nothing is done where nothing has changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from sparkprep.emr.stage.package import copy_sources

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = Path(sysconfig.get_path("purelib"))
MARK = ".made-of"


def make(environment: Path) -> None:
    """Make the environment anew, unless it was made of the same files by the same Python at the same place."""
    with tempfile.TemporaryDirectory() as folder:
        source = copy_sources(ROOT, Path(folder) / "source")
        made_of = fingerprint(source, environment)
        mark = environment / MARK
        if mark.is_file() and mark.read_text() == made_of:
            return
        wheels = Path(folder) / "wheels"
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source)
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", environment)
        python = environment / "bin" / "python"
        pip("--python", python, "install", "--no-deps", *wheels.glob("*.whl"))
    site = next(environment.glob("lib/python*/site-packages"))
    beside = os.path.relpath(environment.parent / "packages", site)
    (site / "dependencies.pth").write_text(f"{beside}\n{PACKAGES}\n")
    run(python, "-m", "sparkprep.startup.warm")  # as on a real node: no job waits for its kernels to be compiled
    mark.write_text(made_of)


def fingerprint(source: Path, environment: Path) -> str:
    """Return the SHA-256, in hexadecimal, of all that decides what the environment holds."""
    digest = hashlib.sha256(f"{sys.version}\n{PACKAGES}\n{environment}\n".encode())
    for script in (Path(__file__), ROOT / "constraints.txt"):
        digest.update(script.read_bytes())
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source)}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def pip(*words: str | Path) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words)


def run(*words: str | Path) -> None:
    """Run a command where no PYTHONPATH, and no working folder, puts this checkout before what is installed."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(words, check=True, cwd="/", env=environ)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(Path(sys.argv[1]).resolve())
