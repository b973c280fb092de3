"""Every example of every --help is run, on tiny inputs under the names that it gives; s3:// is a local server."""

import importlib
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import s3_buckets
import workplace
from help_examples import examples, faces

from sparkprep import cli
from trainer.commands import upload as upload_cli

ELSEWHERE = {
    "make train-final SEED_MODEL=seed_model.bin LR=0.002 DATA=shards OUT=logGPT": "124M for 2,360 steps: wants a GPU",
    "python train/train_final.py --seed-model seed_model.bin --learning-rate 0.002 --data shards --output logGPT": (
        "the same without make"
    ),
    "python train/train_final.py … --dry-run": "its words are in tests/trainer/final/, with a tiny seed",
    "python train/train_final.py … --then upload=my-bucket/experiments/full_gpt,shutdown --shutdown-anyway-after 6": (
        "tests/trainer/final/ does it with a command that shuts nothing down"
    ),
    "python train/train_final.py --rehearse": "tests/trainer/final/ goes the whole way",
    "make train-final REHEARSE=1": "the same by make",
    "%(prog)s --size 10k --compare pages/": "`make demo` does, with pages that it has extracted",
    "python train/train_gpt2.py -o my_first_experiment -b 32 -x 20": "124M and half a million tokens a step: a GPU",
    "python train/train_gpt2.py -o logGPT -1d 12 -1c 768 -1h 12 -b 32 -y 1 -e seed_model.bin -ss 2365 -l 0.002": (
        "the same from a seed; tests/trainer/loop/ does it in small"
    ),
    **dict.fromkeys(
        (
            "%(prog)s probe --data shards --budget 40",
            "%(prog)s plan --data shards --budget 40",
            "%(prog)s run --data shards --budget 40",
            "%(prog)s run --data shards --budget 40 --continue seed_model.bin",
            "%(prog)s run --data demo/shards -1d 1 -1c 64 -1h 1 -b 8 -t 64 -d 2048 --steps 400 --val-tokens 8192 "
            "--budget 0.1",
        ),
        "124M, or minutes: tests/trainer/tune/ does it with a tiny model",
    ),
    **dict.fromkeys(
        ("%(prog)s tuning", "%(prog)s demo/tuning", "%(prog)s demo/tuning --format pdf --output paper"),
        "wants a study: tests/trainer/commands/test_tune_report.py makes one",
    ),
    **dict.fromkeys(
        ("%(prog)s clean", "%(prog)s s3://bucket/clean", "%(prog)s clean --no-open --port 8017"),
        "serves a page until it is ended: tests/dedup/audit/ does so in a browser",
    ),
    **dict.fromkeys(
        (
            "%(prog)s stage s3://bucket/sparkprep",
            "%(prog)s launch s3://bucket/sparkprep",
            "%(prog)s launch s3://bucket/sparkprep --input s3://bucket/docs --output s3://bucket/run",
            "%(prog)s submit j-2AXXXXXXGAPLF --input s3://bucket/docs --output s3://bucket/run",
            "%(prog)s status j-2AXXXXXXGAPLF --follow",
            "%(prog)s fetch j-2AXXXXXXGAPLF run --parts logs,reports,shards",
            "%(prog)s terminate j-2AXXXXXXGAPLF",
        ),
        "a cluster: tests/emr/ goes the whole way, with its ids",
    ),
}
"""Examples that no test runs as they stand, and why."""
WITH_SPARK = (
    "sparkprep.decontaminate.cli",
    "sparkprep.dedup.cli",
    "sparkprep.explain_cli",
    "sparkprep.dedup.crawls.cli",
    "sparkprep.extract.cli",
    "sparkprep.filter.cli",
    "sparkprep.tokens.shards_cli",
    "sparkprep.tokens.tokenize_cli",
)
TAKE_LONG = (*WITH_SPARK, "sparkprep.estimate.cli", "trainer.settings", "sparkprep.sample.__main__")
"""Faces whose examples are run by the slow tests, each in a process of its own."""


def all_examples() -> list[tuple[str, str]]:
    """The module of each example, and the line as it stands."""
    return [(face, line) for face in faces() for line in examples(importlib.import_module(face).EPILOG)]


def program_of(face: str) -> str:
    """What stands for %(prog)s in a face's help."""
    verb = next((verb.name for verb in cli.VERBS if verb.module == face), None)
    scripts = {
        "tune": "tune_lr.py",
        "tune_next": "tune_lr.py next",
        "tune_report": "tune_lr.py report",
        "calculate": "tune_lr.py calculate",
        "inference": "inference_gpt2.py",
        "upload": "upload_to_s3.py",
    }
    name = face.rsplit(".", 1)[1]
    if face == "sparkprep.sample.__main__":
        return "python -m sparkprep.sample"
    return f"sparkprep {verb}" if verb else f"python train/{scripts.get(name, f'{name}.py')}"


@pytest.fixture(scope="module")
def folder(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are typed, with what they name, also in s3://my-bucket."""
    folder = tmp_path_factory.mktemp("workplace")
    workplace.link_checkout(folder)
    workplace.write_trainers(folder)
    workplace.write_grading(folder)
    s3_buckets.client().create_bucket(Bucket="my-bucket")
    shard = str(folder / "fineweb_train_000001.bin")
    s3_buckets.client().upload_file(shard, "bucket", "run/shards/fineweb_train_000001.bin")
    assert upload_cli.main(["my-bucket", str(folder / "log" / "d12"), "cluster-1", "--quiet"]) == 0
    return folder


def test_each_example_that_is_not_run_is_one_and_has_its_reason() -> None:
    assert set(ELSEWHERE) <= {line for _, line in all_examples()}


def main_of(face: str) -> Callable[[list[str]], int]:
    """The function that takes the words behind `program_of`."""
    verb = next((verb.name for verb in cli.VERBS if verb.module == face), None)
    return (lambda words: cli.main([verb, *words])) if verb else importlib.import_module(face).main


QUICK = [
    pytest.param(face, line, id=line)
    for face, line in all_examples()
    if face not in TAKE_LONG and line not in ELSEWHERE and "--size" not in line
]


MAKERS = ("sparkprep.llmc.convert_cli", "trainer.commands.convert_hf")
"""Faces whose third word, or second where there are but two, is what they make."""


@pytest.mark.parametrize(("face", "line"), QUICK)
def test_an_example_of_a_help_works(
    face: str, line: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(shutil.copytree(folder, tmp_path / "here", symlinks=True))
    monkeypatch.chdir(here)
    words = shlex.split(line.replace("%(prog)s", ""))
    if face in MAKERS:
        made = here / words[2 if len(words) > 2 else 1]
        shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)
    assert main_of(face)(words) == 0


SLOW = [
    pytest.param(face, line, id=line)
    for face, line in all_examples()
    if line not in ELSEWHERE and (face in TAKE_LONG or "--size" in line)
]


@pytest.fixture(scope="module")
def with_documents(folder: Path) -> Path:
    """The same folder with what the jobs read, and shards for the trainer's defaults."""
    workplace.write_documents(folder)
    workplace.write_shard(folder / "data" / "fineweb_train_000001.bin", 2000, 100)
    workplace.write_shard(folder / "data" / "fineweb_val_000000.bin", 1000, 100)
    client = s3_buckets.client()
    client.upload_file(str(folder / "crawl" / "part-0.parquet"), "bucket", "docs/part-0.parquet")
    for command in (
        "sparkprep extract --input warcs/ --output pages/",
        "sparkprep filter --input crawl --output good/",
        "sparkprep dedup --input crawl --output clean/",
        "sparkprep dedup --input crawl --output s3://bucket/clean/",
        "sparkprep dedup --input crawl --output jan --index crawls.index --crawl jan",
        "cp -r crawl feb",
        "sparkprep decontaminate --input crawl --output apart --benchmark hellaswag_val.jsonl",
        "sparkprep tokenize --input clean/ --output tokens/",
        "sparkprep shards --input tokens/ --output shards/",
        "sparkprep dedup --size 10k --output out/ --overwrite",
    ):
        if command.endswith("--overwrite"):
            workplace.run_shell("rm -r out", folder)
        workplace.run_shell(command, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("face", "line"), SLOW)
def test_an_example_of_a_help_that_takes_long_works(face: str, line: str, with_documents: Path, tmp_path: Path) -> None:
    words = line.replace("%(prog)s", program_of(face))
    output = re.search(r"--output ((?!s3:)\S+)", words)
    # What an example before made is there no more, as for somebody who types this one alone.
    made = {output[1].rstrip("/")} if output and "--verify" not in words else set()
    here = Path(shutil.copytree(with_documents, tmp_path / "here", symlinks=True))
    for name in made | ({"shards"} if "--shards" in words else set()):
        shutil.rmtree(here / name, ignore_errors=True)
    if "s3://" in words and not {"explain", "estimate"} & set(words.split()):
        words += " --overwrite"  # the bucket is one for all
    workplace.run_shell(words, here, timeout=600)
