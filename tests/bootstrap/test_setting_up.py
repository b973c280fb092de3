"""A node that was set up has what was staged and nothing else, and its users load the kernels compiled there."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT
from debian_node import STAGED, Done, Node, linked
from packaging.utils import canonicalize_name

from sparkprep import __version__
from sparkprep.emr.places import NODE_ENVIRONMENT, NODE_NUMBA_CACHE, STOP_AFTER, Staged
from sparkprep.emr.stage.package import Package, copy_sources, find_package
from sparkprep.emr.stage.wheelhouse import Wheelhouse, build_wheelhouse

pytestmark = pytest.mark.bootstrap
CHECK = ("-m", "sparkprep.startup.node", "check")
COUNT = "from sparkprep.startup.kernels import *; call_all(); print(*compiled_and_loaded())"
MADE = f"{NODE_ENVIRONMENT}/.made-of"


def compiled_and_loaded(done: Done) -> tuple[int, int]:
    assert done.code == 0, done.output
    compiled, loaded = done.last.split()
    return int(compiled), int(loaded)


def test_the_environment_holds_the_wheels_that_were_staged_and_no_pyspark(
    first: tuple[Node, Done], wheelhouse: Wheelhouse
) -> None:
    node, done = first
    assert done.code == 0, done.output
    assert f"has sparkprep {__version__}" in done.last
    pins = {f"{wheel.name}=={wheel.version}" for wheel in wheelhouse.wheels}
    freeze = node.python("hadoop", "-m", "pip", "--disable-pip-version-check", "freeze").output.split()
    assert {f"{canonicalize_name(name)}=={version}" for name, version in (line.split("==") for line in freeze)} == pins
    assert node.python("hadoop", "-c", "import pyspark").last.endswith("No module named 'pyspark'")


def test_nothing_is_left_behind_but_the_environment(first: tuple[Node, Done]) -> None:
    node, _ = first
    assert list((node.root / "tmp").glob("tmp.*")) == []
    assert [path.name for path in (node.root / "opt").iterdir()] == ["sparkprep"]


@pytest.mark.parametrize("user", ["hadoop", "yarn"])
def test_another_process_of_a_cluster_user_loads_what_was_compiled_and_compiles_nothing(node: Node, user: str) -> None:
    done = node.python(user, "-c", COUNT)
    compiled, loaded = compiled_and_loaded(done)
    assert (compiled, loaded > 10) == (0, True)
    assert "note:" not in done.output
    named = node.python(user, "-c", COUNT, NUMBA_CACHE_DIR=NODE_NUMBA_CACHE)
    assert compiled_and_loaded(named) == (compiled, loaded), "with the variable of Spark's environment it is the same"


def test_a_kernel_that_one_user_compiles_further_is_loaded_by_another(node: Node) -> None:
    code = "import numpy as np; from sparkprep.dedup.kernels import components as c; x = np.zeros(2, np.int32); "
    code += "c.connected_components(2, x, x); print(*(sum(n.values()) for n in c.connected_components.stats[-2:]))"
    hits, misses = node.python("yarn", "-c", code).last.split()
    assert (int(hits), int(misses)) == (0, 1)
    hits, misses = node.python("hadoop", "-c", code).last.split()
    assert (int(hits), int(misses)) == (1, 0)


def test_who_may_not_write_there_works_on_a_copy_and_is_told(node: Node) -> None:
    done = node.python("stranger", "-c", COUNT)
    assert compiled_and_loaded(done)[0] == 0
    assert re.search(r"note: compiled kernels are kept in \S+/sparkprep-kernels-", done.output)
    assert NODE_NUMBA_CACHE in done.output


def test_where_nothing_can_be_written_the_job_works_and_says_what_that_costs(node: Node) -> None:
    with node.read_only():
        done = node.python("stranger", "-c", COUNT)
    compiled, loaded = compiled_and_loaded(done)
    assert (compiled > 10, loaded) == (True, 0)
    assert "each process compiles what it needs, which takes a minute" in done.output


def test_a_second_run_is_quick_and_copies_no_wheel(node: Node) -> None:
    before = (node.root / MADE.lstrip("/")).stat().st_mtime_ns
    node.asked("aws")
    done = node.bootstrap()
    assert done.code == 0, done.output
    assert "already" in done.last
    assert [line for line in node.asked("aws") if "requirements.txt" not in line] == []
    assert (node.root / MADE.lstrip("/")).stat().st_mtime_ns == before
    assert done.seconds < 20


def test_an_installed_sparkprep_can_stage_a_cluster_itself(node: Node) -> None:
    wheels = f"/srv/s3/{STAGED.wheelhouse.removeprefix('s3://')}"
    staged = Staged("s3://bucket/another")  # a prefix with a blank is refused
    words = ("emr", "stage", staged.prefix, "--wheels-in", wheels, "--dry-run", "--samples")
    done = node.python("hadoop", "-m", "sparkprep", *words)
    assert done.code == 0, done.output
    for path in (staged.bootstrap, staged.job("shards.py"), staged.requirements):
        assert path in done.output


def test_a_second_run_mends_an_environment_that_does_not_work(node: Node) -> None:
    site = node.root / f"{NODE_ENVIRONMENT.lstrip('/')}/lib/python3.11/site-packages"
    shutil.rmtree(site / "orjson")
    done = node.bootstrap()
    assert done.code == 0, done.output
    assert "does not work: it is made anew" in done.output
    assert node.python("yarn", *CHECK).code == 0


def test_what_s3_refuses_at_first_is_asked_for_again(node: Node) -> None:
    node.fails("aws", 2)
    done = node.bootstrap()
    assert done.code == 0, done.output
    assert done.output.count("trying again") == 2


def test_commands_are_found_though_the_path_is_short(node: Node) -> None:
    done = node.bootstrap(path="/usr/bin:/bin")  # aws lies in /usr/local/bin
    assert done.code == 0, done.output


@pytest.mark.parametrize("is_primary", [True, False])
def test_the_primary_node_alone_arms_the_hard_stop(node: Node, is_primary: bool) -> None:
    node.is_primary(is_primary)
    for name in ("systemd-run", "systemctl"):
        node.asked(name)
    done = node.bootstrap(STAGED.prefix, STOP_AFTER, "3")
    assert done.code == 0, done.output
    stop = "--quiet --unit=sparkprep-stop --on-boot=3h /sbin/shutdown -h now"
    assert node.asked("systemd-run") == ([stop] if is_primary else [])
    assert node.asked("systemctl") == (["stop sparkprep-stop.timer"] if is_primary else [])


def test_without_python_3_11_dnf_is_asked_for_it(node: Node) -> None:
    python = node.root / "usr/bin/python3.11"
    python.rename(python.with_name("python3.11-not-yet"))
    node.fails("dnf", 1)
    done = node.bootstrap()
    assert done.code == 0, done.output
    assert node.asked("dnf") == ["install -y -q python3.11 python3.11-pip"] * 2


@pytest.fixture
def newer(wheelhouse: Wheelhouse, tmp_path: Path) -> Iterator[Path]:
    """The wheelhouse of a later version."""
    source = copy_sources(ROOT, tmp_path / "source")
    module = source / "sparkprep" / "__init__.py"
    module.write_text(module.read_text().replace(f'__version__ = "{__version__}"', '__version__ = "9.8.7"'))
    folder = tmp_path / "newer"
    folder.mkdir()
    yield build_wheelhouse(folder, Package(source, find_package().shared), wheels_in=wheelhouse.folder).folder
    shutil.rmtree(folder)


def test_another_version_that_is_staged_takes_the_place_of_the_one_before_with_what_an_index_adds(
    node: Node, newer: Path
) -> None:
    shutil.rmtree(node.staged / "wheelhouse")
    linked(newer, node.staged / "wheelhouse")
    index = node.s3 / "index" / "tqdm"
    index.mkdir(parents=True)
    (wheel,) = (node.staged / "wheelhouse").glob("tqdm-*.whl")
    wheel.rename(index / wheel.name)
    (index / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="{wheel.name}">{wheel.name}</a></body></html>'
    )
    done = node.bootstrap(STAGED.prefix, "--index", "file:///srv/s3/index")
    assert done.code == 0, done.output
    assert done.last.endswith("has sparkprep 9.8.7")
    assert re.search(r"\d\d kernels compiled, and 0 found compiled", done.output)
    assert compiled_and_loaded(node.python("yarn", "-c", COUNT))[0] == 0
