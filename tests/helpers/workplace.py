"""A folder in which commands of helps and documents find what they name: tiny models, shards, runs, documents."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import warc_files
from checkout import ROOT
from made_runs import make_run

from sparkprep import cli
from sparkprep.llmc import shard
from sparkprep.sample import embedded
from trainer.checkpoints import model_file
from trainer.commands import convert_hf
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.runs import parameters as run_parameters


def link_checkout(folder: Path) -> None:
    """Give a folder the scripts of the checkout, and as .venv the environment that runs the tests."""
    for name in ("train", "jobs", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)


def environment(folder: Path) -> dict[str, str]:
    """Of a shell in which the environment is activated, with this checkout's code, or the folder's if it is a copy."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    checkout = folder if (folder / "sparkprep").is_dir() else ROOT
    code = os.pathsep.join((str(checkout), str(checkout / "train")))
    return {**os.environ, "PATH": path, "PYTHONPATH": code, "PWD": str(folder), "OMP_NUM_THREADS": "1"}


def run_shell(command: str, folder: Path, timeout: float = 900) -> str:
    """Run a command line as it stands; return what it printed. AssertionError with all that it said where it fails."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_model(path: Path) -> None:
    """A model of one layer and 8 channels with GPT-2's vocabulary and positions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = GPT2(GPT2Shape(1, 1, 8))
    model.initialise()
    model_file.write(str(path), model.shape, model.flat, 3)


def write_run(folder: Path) -> None:
    make_run(folder, steps=20)
    sizes = [("total batch size", "4096"), ("sequence length T", "64"), ("num_layers L", "2"), ("channels C", "64")]
    table = [("learning rate (LR)", "6e-4"), *sizes, ("num_parameters", "3391744")]
    run_parameters.append(str(folder), [table])


def write_shard(path: Path, documents: int = 60, length: int = 30) -> None:
    """A shard of random documents of so many tokens, each after an end-of-text."""
    tokens = np.random.default_rng(0).integers(0, 50256, (documents, length))
    tokens[:, 0] = 50256
    path.parent.mkdir(parents=True, exist_ok=True)
    shard.write(str(path), tokens.ravel())


def write_questions(path: Path, count: int = 6) -> None:
    endings = ["barks.", "reads a long book about the life of old sailors.", "flies away.", "sings."]
    questions = [{"ctx": f"{number} dogs: one", "endings": endings, "label": number % 4} for number in range(count)]
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))


def write_grading(folder: Path) -> None:
    """A result of a dedup job by hand, kept documents alone, and two forms of a truth about them."""
    (folder / "out" / "kept").mkdir(parents=True)
    (folder / "out" / "removed").mkdir()
    pq.write_table(pa.table({"id": ["a", "c"]}), folder / "out" / "kept" / "part-0.parquet")
    removed = {"id": ["b"], "kept_id": ["a"], "jaccard": [0.9]}
    pq.write_table(pa.table(removed), folder / "out" / "removed" / "part-0.parquet")
    pq.write_table(pa.table({"id_a": ["a"], "id_b": ["b"], "jaccard": [0.9]}), folder / "truth.pairs.parquet")
    pq.write_table(pa.table({"id": ["a", "c"]}), folder / "kept.snappy.parquet")
    clusters = {"id": ["a", "b", "c"], "cluster_id": [0, 0, 1]}
    pq.write_table(pa.table(clusters), folder / "clusters.parquet")


def write_documents(folder: Path) -> None:
    """crawl/, docs.jsonl(.gz), tokens.parquet, pairs.parquet of the embedded thousand; arc.jsonl.gz; warcs/, a list."""
    (folder / "warcs").mkdir()
    (folder / "warcs" / "CC-MAIN-0.warc.gz").write_bytes(warc_files.archive(warc_files.responses(20)))
    (folder / "warc.paths.gz").write_bytes(gzip.compress(b"warcs/CC-MAIN-0.warc.gz\n"))
    subset = embedded("1k")
    documents = pq.read_table(subset.documents)
    paired = {key for column in pq.read_table(subset.pairs).columns[:2] for key in column.to_pylist()}
    ids = documents["id"].to_pylist()
    alone = next(row for row, key in enumerate(ids) if key not in paired)
    ids[alone] = "d000123"  # whom an example asks about
    documents = documents.set_column(documents.column_names.index("id"), "id", pa.array(ids))
    (folder / "crawl").mkdir()
    pq.write_table(documents, folder / "crawl" / "part-0.parquet")
    shutil.copy(subset.pairs, folder / "pairs.parquet")
    rows = documents.append_column("score", pa.array(range(len(documents)))).slice(0, 50).to_pylist()
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    subprocess.run(["gzip", "--keep", "docs.jsonl"], cwd=folder, check=True)
    asked = {"question": "Which of these is it that an old sailor reads?", "choices": {"text": ["A book", "A sea"]}}
    (folder / "arc.jsonl.gz").write_bytes(gzip.compress(json.dumps(asked).encode()))
    tokens = {"id": range(9), "input_ids": [[n, n + 1] * 60 for n in range(9)]}
    pq.write_table(pa.table(tokens), folder / "tokens.parquet")


def write_trainers(folder: Path) -> None:
    """What the commands of the trainer and of the verbs without Spark name."""
    for name in ("model.bin", "log/model_00004725.bin", "logGPT/model_00004725.bin", "seed_model.bin"):
        write_model(folder / name)
    for name in ("log/d12", "log/d12_lr1e-3", "logGPT", "other_run"):
        write_run(folder / name)
    write_shard(folder / "fineweb_train_000001.bin")
    write_questions(folder / "hellaswag_val.jsonl")
    (folder / "input.txt").write_text("First Citizen:\nBefore we proceed any further.\n\nAll:\nSpeak.\n" * 4000)
    (folder / "story.txt").write_text("Once upon a time")
    (folder / "data").mkdir(exist_ok=True)
    for words in (
        ("tokenizer", "data/gpt2_tokenizer.bin"),
        ("tokenizer", "gpt2_tokenizer.bin"),
        ("hellaswag", "hellaswag_val.jsonl", "data/hellaswag_val.bin"),
        ("hellaswag", "hellaswag_val.jsonl", "hellaswag_val.bin"),
    ):
        inside = [str(folder / word) if "." in word else word for word in words]
        assert cli.main(["convert", *inside]) == 0
    assert convert_hf.main(["export", str(folder / "model.bin"), str(folder / "gpt2-mine")]) == 0
