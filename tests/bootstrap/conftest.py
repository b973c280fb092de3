"""A Debian and a wheelhouse, made once and kept between runs, and nodes of them.

They lie in $SPARKPREP_BOOTSTRAP_CACHE, by default ~/.cache/sparkprep/bootstrap-test: some 500 MB.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import debian_node
import pytest
from checkout import ROOT
from debian_node import Done, Node

from sparkprep.emr.stage.package import find_package
from sparkprep.emr.stage.wheelhouse import Wheelhouse, build_wheelhouse
from sparkprep.sample.build import default_cache

NewNode = Callable[[], Node]


@pytest.fixture(scope="session")
def cache() -> Path:
    if os.getuid() != 0:
        pytest.skip("only root may make a Debian in a folder")
    if shutil.which("debootstrap") is None:
        pytest.skip("no debootstrap here: apt install debootstrap")
    folder = Path(os.environ.get("SPARKPREP_BOOTSTRAP_CACHE") or default_cache() / "bootstrap-test")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def wheelhouse(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wheelhouse]:
    """The wheels of this checkout, and of what it needs: those come from an index once."""
    pins = b"".join((ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml"))
    kept = cache / f"wheels-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not kept.exists():
        aside = kept.with_name(f"{kept.name}-aside")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        build_wheelhouse(aside, find_package())
        aside.rename(kept)
    folder = tmp_path_factory.mktemp("wheelhouse")
    yield build_wheelhouse(folder, find_package(), wheels_in=kept)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def new_node(cache: Path, wheelhouse: Wheelhouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewNode]:
    """What makes a node on which nothing was run yet, with a staged prefix of its own."""
    base, nodes = debian_node.debian(cache), []

    def make() -> Node:
        folder = tmp_path_factory.mktemp("node", numbered=True)
        s3 = folder / "s3"
        started = debian_node.started(base, folder / "disk", s3)
        debian_node.linked(wheelhouse.folder, s3 / debian_node.STAGED.wheelhouse.removeprefix("s3://"))
        nodes.append(started)
        return started.__enter__()

    yield make
    for each in nodes:
        each.__exit__(None, None, None)


@pytest.fixture(scope="module")
def fresh(new_node: NewNode) -> Node:
    """A node on which no bootstrap has succeeded, nor will."""
    return new_node()


@pytest.fixture(scope="module")
def first(new_node: NewNode) -> tuple[Node, Done]:
    """A node that was set up, and how that went."""
    node = new_node()
    return node, node.bootstrap()


@pytest.fixture
def node(first: tuple[Node, Done]) -> Node:
    """A node that was set up; each test leaves it so."""
    return first[0]
