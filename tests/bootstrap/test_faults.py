"""Where the bootstrap of a node fails, its last line says why, its code is not 0, and nothing is lost."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT
from debian_node import STAGED, Done, Node

from sparkprep.emr.places import NODE_ENVIRONMENT, STOP_AFTER

pytestmark = pytest.mark.bootstrap
SCRIPT = ROOT / "emr" / "bootstrap.sh"


@pytest.fixture
def staged(fresh: Node, tmp_path: Path) -> Path:
    """The staged folder, which a test may change; afterwards it is as before, and the node has no environment."""
    kept = tmp_path / "kept"
    shutil.copytree(fresh.staged, kept, copy_function=_link)
    yield fresh.staged
    shutil.rmtree(fresh.staged)
    shutil.copytree(kept, fresh.staged, copy_function=_link)
    fresh.run("root", "rm", "-rf", NODE_ENVIRONMENT)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def rewrite(path: Path, content: bytes) -> None:
    """Put another file in the place of a link, whose other ends stay as they are."""
    path.unlink()
    path.write_bytes(content)


def failed(done: Done) -> str:
    """What the last line says, after looking that it is the line of a failure."""
    assert done.code == 1, done.output
    _, mark, reason = done.last.partition(" s: ")
    assert mark, done.output
    assert "FAILED after" in done.last
    return reason


def wheel_of(staged: Path, name: str) -> Path:
    (wheel,) = (staged / "wheelhouse").glob(f"{name}-*.whl")
    return wheel


def test_the_script_is_clean_and_strict() -> None:
    subprocess.run(["shellcheck", "--severity=style", SCRIPT], check=True)
    assert "\nset -Eeuo pipefail\n" in SCRIPT.read_text(), "which shellcheck does not miss"


def test_a_copy_from_s3_that_never_succeeds_is_named_after_four_attempts(fresh: Node) -> None:
    fresh.fails("aws", 99)
    fresh.asked("aws")
    reason = failed(fresh.bootstrap())
    fresh.fails("aws", 0)
    assert reason.startswith(f"{STAGED.requirements} could not be copied, in 4 attempts")
    assert len(fresh.asked("aws")) == 4


def test_a_prefix_that_nothing_was_staged_to_is_named(fresh: Node) -> None:
    assert "s3://bucket/else/wheelhouse/requirements.txt" in failed(fresh.bootstrap("s3://bucket/else/"))


def test_a_prefix_whose_blank_was_not_quoted_is_refused(fresh: Node) -> None:
    assert "put a prefix with blanks in quotes" in failed(fresh.bootstrap(*STAGED.prefix.split()))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "no s3://BUCKET/PREFIX"),
        (("s3://bucket",), "'s3://bucket' is no s3://BUCKET/PREFIX"),
        (("/folder",), "'/folder' is no s3://BUCKET/PREFIX"),
        ((STAGED.prefix, STOP_AFTER, "1.5"), "a whole number of hours"),
        ((STAGED.prefix, STOP_AFTER), "a value is missing"),
        ((STAGED.prefix, "--index", "pypi.org"), "the URL of a package index"),
        ((STAGED.prefix, "--hours", "3"), "--hours is no option"),
    ],
)
def test_arguments_that_are_none_are_refused(fresh: Node, words: tuple[str, ...], named: str) -> None:
    assert named in failed(fresh.bootstrap(*(words or ("",))))


def test_a_hard_stop_needs_to_know_which_node_this_is(fresh: Node) -> None:
    assert "instance.json does not say whether" in failed(fresh.bootstrap(STAGED.prefix, STOP_AFTER, "3"))


def test_wheels_for_another_python_are_refused_by_name(fresh: Node, staged: Path) -> None:
    wheel = wheel_of(staged, "pandas")
    wheel.rename(wheel.with_name(wheel.name.replace("cp311-cp311", "cp312-cp312")))
    reason = failed(fresh.bootstrap())
    assert "cp312-cp312" in reason
    assert "is not for this node, which has Python 3.11 on x86_64" in reason
    assert not (fresh.root / NODE_ENVIRONMENT.lstrip("/")).exists()


@pytest.mark.parametrize(("key", "value"), [("machine", "aarch64"), ("python", "3.13")])
def test_a_wheelhouse_for_another_kind_of_node_is_refused_before_a_wheel_is_copied(
    fresh: Node, staged: Path, key: str, value: str
) -> None:
    manifest = staged / "wheelhouse" / "wheelhouse.json"
    rewrite(manifest, json.dumps(json.loads(manifest.read_text()) | {key: value}).encode())
    fresh.asked("aws")
    reason = failed(fresh.bootstrap())
    assert value in reason.split("and this node has")[0]
    assert not [line for line in fresh.asked("aws") if "--recursive" in line]


def test_a_package_without_a_wheel_is_never_built(fresh: Node, staged: Path) -> None:
    wheel = wheel_of(staged, "tqdm")
    wheel.rename(wheel.with_name("tqdm-4.70.1.tar.gz"))
    assert "tqdm-4.70.1.tar.gz is no wheel, and nothing is built on a node" in failed(fresh.bootstrap())


def test_pyspark_among_the_wheels_is_refused(fresh: Node, staged: Path) -> None:
    requirements = staged / "wheelhouse" / "requirements.txt"
    rewrite(requirements, requirements.read_bytes() + b"pyspark==3.5.9 --hash=sha256:" + b"0" * 64 + b"\n")
    assert "holds pyspark" in failed(fresh.bootstrap())


def test_a_wheel_that_is_not_the_one_that_was_staged_is_refused_by_its_hash(fresh: Node, staged: Path) -> None:
    wheel = wheel_of(staged, "six")
    rewrite(wheel, wheel.read_bytes() + b"\0")
    done = fresh.bootstrap()
    assert "pip could not install the wheels" in failed(done)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.output


def test_dnf_that_never_succeeds_is_named(fresh: Node) -> None:
    python = fresh.root / "usr/bin/python3.11"
    python.rename(python.with_name("python3.11-not-yet"))
    fresh.fails("dnf", 99)
    reason = failed(fresh.bootstrap())
    fresh.fails("dnf", 0)
    python.with_name("python3.11-not-yet").rename(python)
    assert reason.startswith("Python 3.11 could not be installed by dnf, in 4 attempts")


@pytest.mark.parametrize(("folder", "megabytes"), [("/opt", 300), ("/tmp", 100)])
def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(fresh: Node, folder: str, megabytes: int) -> None:
    with fresh.small_disk(folder, megabytes):
        reason = failed(fresh.bootstrap())
    assert reason.startswith("the disk of /")
    assert "MB are free there" in reason


def test_a_disk_that_fills_up_under_way_is_told(fresh: Node, staged: Path) -> None:
    manifest = staged / "wheelhouse" / "wheelhouse.json"
    rewrite(manifest, json.dumps(json.loads(manifest.read_text()) | {"installed_bytes": 1000}).encode())
    with fresh.small_disk("/opt", 250):
        assert "No space left on device" in failed(fresh.bootstrap())


def test_an_environment_that_was_there_stays_where_another_cannot_be_made(fresh: Node, staged: Path) -> None:
    fresh.run("root", "bash", "-c", f"mkdir -p {NODE_ENVIRONMENT}/bin; cd {NODE_ENVIRONMENT}; touch bin/mine .made-of")
    wheel = wheel_of(staged, "six")
    rewrite(wheel, wheel.read_bytes() + b"\0")
    done = fresh.bootstrap()
    failed(done)
    assert "the environment that was there before is back" in done.output
    assert (fresh.root / NODE_ENVIRONMENT.lstrip("/") / "bin" / "mine").exists()
    assert [path.name for path in (fresh.root / "opt").iterdir()] == ["sparkprep"]


def test_a_run_that_is_told_to_end_says_so_and_leaves_nothing(fresh: Node, staged: Path) -> None:
    fresh.bootstrap("s3://bucket/else")  # puts the script there
    words = ("timeout", "--signal=TERM", "4", "bash", "/home/hadoop/bootstrap.sh", STAGED.prefix)
    done = fresh.run("hadoop", *words)
    assert "it was told to end (SIGTERM)" in done.last, done.output
    assert list((fresh.root / "tmp").glob("tmp.*")) == []
    assert not (fresh.root / NODE_ENVIRONMENT.lstrip("/") / ".made-of").exists()
