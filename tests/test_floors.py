"""The floors of the house: nothing imports upwards, tried in fresh processes, where nothing is loaded yet."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT

# Room -> what must not be loaded when all its modules are imported.
FORBIDDEN = {
    "sparkprep.dedup.kernels": {"pyspark", "py4j"},
    "sparkprep.filter.kernels": {"pyspark", "py4j"},
    "sparkprep.decontaminate.kernels": {"pyspark", "py4j"},
    "sparkprep.tokenizer": {"pyspark", "py4j", "numba", "pandas"},
    "sparkprep.llmc": {"pyspark", "py4j", "numba", "pandas"},
    "sparkprep.io": {"pyspark", "py4j", "numba", "pandas"},
    "sparkprep.grade": {"pyspark", "py4j", "numba"},
    "sparkprep.emr": {"pyspark", "py4j", "numba"},
    "sparkprep": {"torch", "transformers"},
    "trainer": {"pyspark", "py4j", "numba"},
}
_IMPORT_ALL = """\
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name != "triton":  # comes with PyTorch's CUDA builds, for the kernels of a GPU alone
                raise
print(" ".join({name.split(".")[0] for name in sys.modules}))
"""


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'train'}", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_loads_nothing_that_stands_above_it(room: str) -> None:
    if room == "trainer":
        pytest.importorskip("torch", reason="the trainer is not installed in this environment")
    loaded = set(python(_IMPORT_ALL, room).stdout.split())
    assert not loaded & FORBIDDEN[room]


def test_the_version_is_told_without_the_kernels() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['sparkprep', '--version']\n"
        "try: runpy.run_module('sparkprep', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'numba', 'numpy', 'pyarrow', 'pyspark'}, loaded\n"
    )
    assert python(code).stdout.startswith("sparkprep ")


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a file imports, inside functions and for types alone as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module of a package."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_no_module_imports_itself_by_a_detour_not_even_for_types() -> None:
    files = modules_of(ROOT / "sparkprep") | modules_of(ROOT / "train" / "trainer")
    # A package is no member of a circle: its own file imports nothing of what lies in it, but for the lazy ones.
    graph = {
        name: {other for other in imports_of(path) if other in files and files[other].name != "__init__.py"} - {name}
        for name, path in files.items()
        if path.name not in ("__init__.py", "__main__.py")
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


# Rooms and modules of a package from the ground up: each may import from the floors below it, and from itself.
GROUND_UP = {
    "sparkprep": (
        ("safe", "units", "pasted", "commands", "background"),
        ("errors",),
        ("kinds", "parser"),
        ("options", "console", "arguments"),
        ("io", "summary"),
        ("tokenizer", "spark", "pages", "journey"),
        ("documents",),
        ("llmc", "sample"),
        ("dedup", "grade"),
        ("extract",),
        ("tokens", "filter", "decontaminate"),
        ("startup",),
        ("emr",),
        ("estimate",),
        ("cli", "explain_cli"),
    ),
    "sparkprep.dedup": (
        ("kernels", "contents", "wording"),
        ("settings",),
        ("keep", "thresholds"),
        ("columns",),
        ("signatures", "index", "search_tables"),
        ("workspace", "inputs"),
        ("noted", "ties", "candidates", "verify"),
        ("resolve",),
        ("report", "crawls"),
        ("audit",),
        ("result",),
        ("pipeline",),
        ("cli",),
    ),
    "sparkprep.emr": (
        ("places", "aws"),
        ("jobs", "cluster"),
        ("cost",),
        ("plan", "running", "stage"),
        ("serverless",),
        ("verbs",),
        ("cli",),
    ),
    "sparkprep.estimate": (
        ("settings", "ratio"),
        ("sample",),
        ("lines", "scan"),
        ("expected",),
        ("run",),
        ("cli",),
    ),
    "sparkprep.filter": (
        ("rules", "contents"),
        ("kernels", "settings", "personal"),
        ("questions", "judging", "result"),
        ("metrics", "report"),
        ("pipeline", "explain"),
        ("cli",),
    ),
    "sparkprep.decontaminate": (
        ("kernels", "settings", "contents", "benchmarks", "tally"),
        ("index",),
        ("searching", "result"),
        ("metrics", "report"),
        ("pipeline", "explain"),
        ("cli",),
    ),
    "trainer": (
        ("flags", "device", "confidence", "xorshift", "run_files", "progress", "launch"),
        ("models", "data"),
        ("optim", "checkpoints", "runs"),
        ("settings", "evaluate", "generate"),
        ("loop", "convert"),
        ("final",),
        ("tune",),
        ("commands",),
    ),
    "trainer.tune": (
        ("experiments", "ledger"),
        ("settings", "literature", "tables", "runner"),
        ("posterior", "calculators"),
        ("fit", "parabola"),
        ("advice", "u_curves"),
        ("strategies", "plots", "loss_curves"),
        ("findings",),
        ("figures",),
        ("report",),
        ("trial",),
        ("costs",),
        ("plan", "study"),
        ("tuner",),
    ),
}


@pytest.mark.parametrize("package", GROUND_UP)
def test_a_room_imports_only_from_the_floors_below(package: str) -> None:
    folder = ROOT / ("train" if package.startswith("trainer") else "") / package.replace(".", "/")
    floor = {room: height for height, rooms in enumerate(GROUND_UP[package]) for room in rooms}
    modules = {path: path.relative_to(folder).parts[0].removesuffix(".py") for path in folder.rglob("*.py")}
    assert set(modules.values()) - {"__init__", "__main__"} == set(floor), "a new room must be given its floor"
    for path, room in modules.items():
        for other in imports_of(path):
            below = other.removeprefix(f"{package}.").split(".")[0]
            if room in floor and other.startswith(f"{package}.") and below in floor and below != room:
                assert floor[below] < floor[room], f"{path.relative_to(ROOT)} imports {other}"
