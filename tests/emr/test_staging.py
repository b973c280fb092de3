"""What a cluster needs lies on S3 as one set: sent once, complete and for a node's kind of machine, or not at all."""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_buckets
from checkout import ROOT

import sparkprep
from sparkprep.emr import places
from sparkprep.emr.places import Staged
from sparkprep.emr.stage import staging, wheelhouse
from sparkprep.emr.stage.package import Package, find_package, pip
from sparkprep.errors import UserError

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n{requires}\n"
NEEDS = (
    'Requires-Dist: fast>=1\nRequires-Dist: windows-only; sys_platform == "win32"\n'
    'Requires-Dist: pyspark; extra == "spark"\nRequires-Dist: pure[more]\n'
)
PURE = "pure-2.0-py2.py3-none-any.whl"
FAST = "fast-1.5-cp311-cp311-manylinux_2_28_x86_64.whl"


def wheel(folder: Path, file: str, requires: str = "", python: str = ">=3.9") -> Path:
    """A wheel without a module, which pip takes for sound."""
    name, version = file.split("-")[:2]
    tag = file.removesuffix(".whl").split("-", 2)[2]
    inside = f"{name}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / file, "w") as archive:
        about = METADATA.format(name=name, version=version, python=python, requires=requires)
        archive.writestr(zipfile.ZipInfo(f"{inside}/METADATA"), about)
        archive.writestr(zipfile.ZipInfo(f"{inside}/WHEEL"), f"Wheel-Version: 1.0\nTag: {tag}\n")
    return folder / file


class SmallPackage(Package):
    """sparkprep's own files, with a wheel that needs little."""

    requires = NEEDS

    def write_wheel(self, folder: Path) -> Path:
        return wheel(folder, "sparkprep-0.1.0-py3-none-any.whl", self.requires, ">=3.11")


@pytest.fixture
def package(tmp_path: Path) -> SmallPackage:
    pins = tmp_path / "constraints.txt"
    pins.write_text("fast==1.5\nnumpy==2.4.6\n")
    return SmallPackage(None, {**find_package().shared, "constraints.txt": pins})


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """All that the small package needs, and other wheels that must be left aside."""
    folder = tmp_path / "wheels"
    for file in (FAST, "fast-1.9-cp311-cp311-manylinux_2_28_x86_64.whl", "other-1.0-py3-none-any.whl"):
        wheel(folder, file)
    wheel(folder, PURE, 'Provides-Extra: more\nRequires-Dist: extra-one; extra == "more"\n')
    wheel(folder, "extra_one-1.0-cp39-abi3-manylinux2014_x86_64.whl")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "house").mkdir()
    return tmp_path / "house"


def test_a_wheelhouse_holds_the_pinned_versions_of_what_a_node_needs_and_nothing_else(
    package: SmallPackage, wheels: Path, folder: Path
) -> None:
    house = wheelhouse.build_wheelhouse(folder, package, wheels)
    assert {each.name: each.version for each in house.wheels} == {
        **{"sparkprep": "0.1.0", "fast": "1.5", "pure": "2.0", "extra-one": "1.0"}
    }
    lines = (folder / "requirements.txt").read_text().splitlines()[1:]
    digest = hashlib.sha256((wheels / FAST).read_bytes()).hexdigest()
    assert f"fast==1.5 --hash=sha256:{digest}" in lines
    assert len(lines) == 4
    manifest = json.loads((folder / "wheelhouse.json").read_text())
    assert (manifest["python"], manifest["machine"]) == ("3.11", "x86_64")
    assert manifest["bytes"] == sum((folder / each.file).stat().st_size for each in house.wheels)


@pytest.mark.parametrize("tag", ["cp312-cp312-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_28_aarch64"])
def test_wheels_for_another_python_or_machine_are_named(
    package: SmallPackage, wheels: Path, folder: Path, tag: str
) -> None:
    (wheels / FAST).rename(wheels / f"fast-1.5-{tag}.whl")
    with pytest.raises(
        UserError, match=rf"requires fast>=1.* for Python 3.11 on x86_64.*there is fast-1.5-{tag}.whl,.*does not do"
    ):
        wheelhouse.build_wheelhouse(folder, package, wheels)


@pytest.mark.parametrize("tag", ["cp311-cp311-manylinux_2_35_x86_64", "cp312-abi3-any", "py3-none-macosx_14_0_arm64"])
def test_a_wheel_that_no_node_can_use_is_refused_whoever_has_put_it_there(folder: Path, tag: str) -> None:
    wheel(folder, f"fast-1.5-{tag}.whl")
    with pytest.raises(UserError, match=rf"fast-1.5-{tag}.whl: is for {tag}, and a node has Python 3.11"):
        wheelhouse.look_at_wheels(folder)


def test_a_wheel_that_is_cut_off_is_named(folder: Path) -> None:
    damaged = wheel(folder, FAST)
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.raises(UserError, match=rf"{FAST}: no sound wheel"):
        wheelhouse.look_at_wheels(folder)


def test_a_package_that_is_missing_is_named(package: SmallPackage, wheels: Path, folder: Path) -> None:
    next(wheels.glob("extra_one-*")).unlink()
    with pytest.raises(UserError, match=rf"{PURE} requires extra-one;.*there is none"):
        wheelhouse.build_wheelhouse(folder, package, wheels)


@pytest.mark.parametrize("name", ["pyspark", "torch"])
def test_what_must_never_be_on_a_node_is_refused(package: SmallPackage, wheels: Path, folder: Path, name: str) -> None:
    wheel(wheels, f"{name}-3.5.9-py3-none-any.whl")
    wheel(wheels, PURE, f"Requires-Dist: {name}\n")
    with pytest.raises(UserError, match=f"{PURE} requires {name}: it "):
        wheelhouse.build_wheelhouse(folder, package, wheels)


def test_what_only_a_node_would_need_is_missed_wherever_this_is_run(
    package: SmallPackage, wheels: Path, folder: Path
) -> None:
    on_node = 'Requires-Dist: needed; python_full_version == "3.11.0" and implementation_version == "3.11.0"\n'
    wheel(wheels, PURE, on_node)
    with pytest.raises(UserError, match=f"{PURE} requires needed.*there is none"):
        wheelhouse.build_wheelhouse(folder, package, wheels)


@pytest.fixture
def small(package: SmallPackage, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallPackage]:
    monkeypatch.setattr(staging, "find_package", lambda: package)
    return package


@pytest.fixture
def sample(tmp_path: Path) -> str:
    folder = tmp_path / "tiny"
    (folder / "parts").mkdir(parents=True)
    (folder / "documents.parquet").write_bytes(b"documents")
    (folder / "parts" / "one.parquet").write_bytes(b"one")
    (folder / "pairs.parquet").write_bytes(b"pairs")
    return str(folder)


@pytest.fixture
def prefix(bucket: str) -> str:
    s3_buckets.clear()
    return f"{bucket}/a cluster/staged"


KEYS = {
    *("bootstrap.sh", "jobs/extract.py", "jobs/filter.py", "jobs/dedup.py", "jobs/tokens.py", "jobs/shards.py"),
    "jobs/grade.py",
    *("samples/tiny/documents.parquet", "samples/tiny/parts/one.parquet", "truth/tiny/pairs.parquet"),
    *("wheelhouse/requirements.txt", "wheelhouse/wheelhouse.json", f"wheelhouse/{FAST}"),
    *("wheelhouse/sparkprep-0.1.0-py3-none-any.whl", f"wheelhouse/{PURE}"),
    "wheelhouse/extra_one-1.0-cp39-abi3-manylinux2014_x86_64.whl",
}


def stage(prefix: str, wheels: Path, sample: str, *, dry_run: bool = False) -> tuple[staging.Staging, list[str]]:
    told: list[str] = []
    done = staging.stage(prefix, wheels_in=str(wheels), samples=[sample], dry_run=dry_run, tell=told.append)
    return done, told


def there() -> set[str]:
    return {key.removeprefix("a cluster/staged/") for key in s3_buckets.objects("a cluster/staged/")}


def test_all_of_it_is_sent_once_and_the_manifest_names_it(
    prefix: str, small: SmallPackage, wheels: Path, sample: str
) -> None:
    done, told = stage(prefix, wheels, sample)
    assert there() == KEYS | {"staged.json"}
    assert set(done.uploaded) == KEYS
    manifest = staging.read_staged(Staged(prefix))
    sent = s3_buckets.objects("a cluster/staged/")
    for file in manifest["files"]:
        content = sent[f"a cluster/staged/{file['key']}"].encode("latin-1")
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {file["key"] for file in manifest["files"]} == KEYS
    again, told = stage(prefix, wheels, sample)
    assert again.uploaded == ()
    assert f"holds all {len(KEYS)} files as they are" in told[-1]


def test_a_further_staging_sends_what_is_missing_or_another_and_deletes_old_wheels(
    prefix: str, small: SmallPackage, wheels: Path, sample: str
) -> None:
    stage(prefix, wheels, sample)
    s3_buckets.put("a cluster/staged/jobs/dedup.py", "changed by hand")
    s3_buckets.put("a cluster/staged/wheelhouse/fast-1.4-py3-none-any.whl", "old")
    s3_buckets.put("a cluster/staged/logs/of-a-cluster", "not ours")
    (Path(sample) / "documents.parquet").write_bytes(b"others")
    done, _ = stage(prefix, wheels, sample)
    assert set(done.uploaded) == {"jobs/dedup.py", "samples/tiny/documents.parquet"}
    assert done.deleted == ("wheelhouse/fast-1.4-py3-none-any.whl",)
    assert there() == KEYS | {"staged.json", "logs/of-a-cluster"}


def test_a_staging_that_was_cut_off_leaves_no_manifest_and_the_next_goes_on(
    prefix: str, small: SmallPackage, wheels: Path, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(prefix, wheels, sample)
    (Path(sample) / "documents.parquet").write_bytes(b"others")
    with monkeypatch.context() as patch:
        patch.setattr(staging, "upload", lambda *words: "x: cannot be sent")
        with pytest.raises(UserError, match="cannot be sent; what was sent stays"):
            stage(prefix, wheels, sample)
    with pytest.raises(UserError, match=r"holds no staged.json.*stage it: sparkprep emr stage"):
        staging.read_staged(Staged(prefix))
    done, _ = stage(prefix, wheels, sample)
    assert done.uploaded == ("samples/tiny/documents.parquet",)


def test_truth_lies_apart_from_documents_also_where_an_earlier_version_staged_it_beside_them(
    prefix: str, small: SmallPackage, wheels: Path, sample: str
) -> None:
    stage(prefix, wheels, sample)
    s3_buckets.put("a cluster/staged/samples/tiny/pairs.parquet", "pairs")
    s3_buckets.put("a cluster/staged/samples/other/pairs.parquet", "of a subset that is not staged now")
    done, _ = stage(prefix, wheels, sample)
    assert done.deleted == ("samples/tiny/pairs.parquet",)
    assert there() == KEYS | {"staged.json", "samples/other/pairs.parquet"}


def test_subsets_of_an_earlier_staging_stay(prefix: str, small: SmallPackage, wheels: Path, sample: str) -> None:
    stage(prefix, wheels, sample)
    done = staging.stage(prefix, wheels_in=str(wheels), samples=[], tell=lambda line: None)
    assert done.uploaded == ()
    assert there() == KEYS | {"staged.json"}
    assert {file.key for file in done.files} == KEYS


def test_a_dry_run_asks_nothing_of_s3_and_tells_keys_and_bytes(
    small: SmallPackage, wheels: Path, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done, told = stage("s3://somewhere/staged", wheels, sample, dry_run=True)
    keys = {match[1] for line in told if (match := re.search(r"would put +\d.* s3://somewhere/staged/(.+)$", line))}
    assert keys == KEYS == {file.key for file in done.files}


@pytest.mark.parametrize("prefix", ["s3://bucket", "s3://bucket/", "/folder", "s3://bucket/a//b", "s3:///key"])
def test_a_prefix_that_is_no_folder_of_a_bucket_is_refused(prefix: str) -> None:
    with pytest.raises(UserError, match=re.escape(prefix.rstrip("/"))):
        staging.stage(prefix)


def test_a_bucket_that_is_not_there_is_told_before_anything_is_built(bucket: str) -> None:
    told: list[str] = []
    with pytest.raises(UserError, match="s3://elsewhere/staged: no such bucket"):
        staging.stage("s3://elsewhere/staged", tell=told.append)
    assert told == []


@pytest.mark.parametrize("missing", ["ListBucket", "PutObject", "GetObject", "DeleteObject"])
def test_a_right_that_is_missing_is_told_before_anything_is_built(
    prefix: str, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    told: list[str] = []
    may = [f"s3:{right}" for right in ("ListBucket", "PutObject", "GetObject", "DeleteObject") if right != missing]
    with s3_buckets.only_known_users(os.environ["AWS_ENDPOINT_URL"], may) as user, monkeypatch.context() as patch:
        for name, value in user.items():
            patch.setenv(name, value)
        with pytest.raises(UserError, match=f"^{prefix}: .*access denied"):
            staging.stage(prefix, tell=told.append)
    assert told == []


def test_a_sample_that_is_neither_a_size_nor_a_folder_is_refused(small: SmallPackage) -> None:
    with pytest.raises(UserError, match="samples='2k': is no folder with files; the sizes are 1k and 10k"):
        staging.stage("s3://bucket/staged", samples=["2k"], dry_run=True)


def test_a_folder_of_wheels_that_is_not_there_is_named(small: SmallPackage, sample: str) -> None:
    with pytest.raises(UserError, match="wheels_in='/nowhere': is no folder"):
        stage("s3://bucket/staged", Path("/nowhere"), sample)


def test_what_another_version_has_staged_is_refused(
    prefix: str, small: SmallPackage, wheels: Path, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(prefix, wheels, sample)
    monkeypatch.setattr(staging, "__version__", "7.0")
    with pytest.raises(UserError, match=f"was staged by sparkprep {sparkprep.__version__}, and this is 7.0"):
        staging.read_staged(Staged(prefix))


def test_the_bootstrap_and_the_launcher_mean_the_same_places() -> None:
    script = (ROOT / "emr" / "bootstrap.sh").read_text()
    names = dict(re.findall(r"^readonly (\w+)=(\S+)$", script, re.MULTILINE))
    environment = names["ENVIRONMENT"]
    assert environment == places.NODE_ENVIRONMENT
    assert names["PYTHON"].replace("$ENVIRONMENT", environment) == places.NODE_PYTHON
    assert names["KERNELS"].replace("$ENVIRONMENT", environment) == places.NODE_NUMBA_CACHE
    assert f"{places.STOP_AFTER} |" in script
    assert f"python{places.PYTHON_VERSION}" in script
    staged = Staged("$prefix")
    for path in (staged.requirements, f"{staged.wheelhouse}/{wheelhouse.MANIFEST}"):
        assert f'"{path}"' in script


@pytest.mark.slow
def test_an_installed_sparkprep_packs_a_wheel_with_all_that_is_in_the_one_it_came_from(tmp_path: Path) -> None:
    built = find_package().write_wheel(tmp_path / "built")
    again = find_package().write_wheel(tmp_path / "again")
    assert again.read_bytes() == built.read_bytes(), "the same sources make the same wheel"
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    (environment / "lib/python3.11/site-packages/own.pth").write_text(sysconfig.get_path("purelib"))
    pip("--python", python, "install", "--no-deps", "--no-index", "--ignore-installed", "--compile", built)
    code = "import sys; from pathlib import Path; from sparkprep.emr.stage.package import find_package\n"
    code += "p = find_package(); assert p.root is None; print(p.write_wheel(Path(sys.argv[1])))"
    packed = subprocess.check_output([python, "-I", "-c", code, tmp_path / "packed"], text=True, cwd="/").strip()
    assert contents(Path(packed)) == contents(built)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        contents = {name: archive.read(name) for name in archive.namelist()}
    record = next(name for name in contents if name.endswith("/RECORD"))
    contents[record] = b"\n".join(sorted(contents[record].split()))
    return contents


@pytest.mark.slow
def test_the_pins_give_a_complete_set_of_wheels_for_a_node(folder: Path) -> None:
    """It asks the package index, and is what tells of a wheel that a project has stopped to build."""
    house = wheelhouse.build_wheelhouse(folder, find_package())
    names = {wheel.name for wheel in house.wheels}
    assert names > {"sparkprep", "numpy", "numba", "llvmlite", "pyarrow", "pandas", "boto3", "tiktoken", "fastokens"}
    assert not names & set(wheelhouse.NEVER)
