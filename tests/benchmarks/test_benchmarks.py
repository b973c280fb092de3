"""The benchmarks run: each script at a tiny size, those that start several Sparks among the slow tests."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from checkout import BENCHMARKS
from warc_files import archive, responses

# A parent that ignores SIGCHLD, as PySpark's daemon does: the kernel then forgets what its children used.
FORGETFUL = """\
import signal, subprocess, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
burn = "import time\\nwhile time.process_time() < 1: pass"
child = subprocess.Popen([sys.executable, "-c", burn])
while child.poll() is None: time.sleep(0.05)
"""


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as a module, its neighbours importable as when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)


def run(name: str, *args: str | Path) -> list[str]:
    """Run a script as its README says; what it printed, by lines."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, *args], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """40 documents of 100 words; numbers 35 to 39 are numbers 0 to 4 again, but for the first word."""
    rng = np.random.default_rng(1)
    words = [[f"w{n}" for n in rng.integers(0, 5000, 100)] for _ in range(35)]
    words += [["other", *document[1:]] for document in words[:5]]
    path = tmp_path / "docs.parquet"
    ids = [f"d{number:02}" for number in range(40)]
    pq.write_table(pa.table({"id": ids, "text": [" ".join(document) for document in words]}), path)
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.parquet"
    ids = {"id_a": [f"d{n:02}" for n in range(5)], "id_b": [f"d{n + 35}" for n in range(5)]}
    pq.write_table(pa.table({**ids, "jaccard": [95 / 97] * 5}), path)
    return path


def ids_of(path: Path) -> list[str]:
    return sorted(pq.read_table(path)["id"].to_pylist())


EARLIER = [f"d{number:02}" for number in range(35)]


def test_processor_time_of_processes_that_ended_unwaited_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = script("measure", monkeypatch)
    group = measure.ControlGroup.make()
    if group is None:
        pytest.skip("no control group can be made here")
    group.close()
    measured = measure.measure([sys.executable, "-c", FORGETFUL])
    assert measured.rc == 0
    assert measured.note == ""
    assert 1 <= measured.cpu_s < 5


def test_the_greatest_memory_is_told_and_output_can_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measure = script("measure", monkeypatch)
    code = "import time; x = bytearray(b'x') * 200_000_000; time.sleep(1); del x; time.sleep(0.5); print('said')"
    measured = measure.measure([sys.executable, "-c", code], output=tmp_path / "said")
    assert 200 <= measured.peak_rss_mb < 400
    assert measured.worker_peaks_mb == ()
    assert (tmp_path / "said").read_text() == "said\n"


def test_without_a_control_group_the_figures_say_so() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    figures = json.loads(run("measure.py", "--sampled", "--", sys.executable, "-c", burn)[-1])
    assert "lower bound" in figures["note"]
    assert 0.2 <= figures["cpu_s"] < 3


def test_a_failing_command_ends_a_benchmark_with_its_last_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measure = script("measure", monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit, match=r"(?s)the reason.*ended with 3"):
        measure.measure_checked([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])


def test_the_kernel_is_timed_against_datasketch(corpus: Path) -> None:
    name, value = run("kernel.py", "--data", corpus, "--runs", "1")[-1].split()
    assert name == "ratio"
    assert float(value) > 1


def test_main_text_is_compared_with_gold(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(archive(responses(3)))
    gold = {"uri": [f"https://example.org/{n}" for n in range(3)], "gold_text": ["This is the paragraph of page"] * 3}
    pq.write_table(pa.table(gold), tmp_path / "gold.parquet")
    lines = run("extract.py", "--pages", tmp_path / "a.warc.gz", "--gold", tmp_path / "gold.parquet", "--count", "5")
    (ours,) = [line.split("|")[3:6] for line in lines if "blocks (default)" in line]
    precision, recall, f1 = map(float, ours)
    assert recall == 1
    assert 0 < precision < f1 < 1


def test_the_datasketch_loop_removes_the_later_of_a_pair(
    monkeypatch: pytest.MonkeyPatch, corpus: Path, tmp_path: Path
) -> None:
    peer = script("peer_datasketch", monkeypatch)
    assert peer.deduplicate(corpus, tmp_path / "kept.parquet") == 5
    assert ids_of(tmp_path / "kept.parquet") == EARLIER


def test_mllib_gets_the_least_hash_tables_that_find_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = script("peer_mllib", monkeypatch)
    assert [peer.tables(threshold) for threshold in (0.5, 0.8, 0.99, 1.0)] == [7, 3, 1, 1]


def test_long_documents_come_in_row_groups_of_the_stated_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory = script("memory", monkeypatch)
    kernel = script("kernel", monkeypatch)
    case = memory.Case("tiny", groups=2, rows=20, size=3000)
    megabytes = memory.write(case, tmp_path / "tiny.parquet", seed=1)
    file = pq.ParquetFile(tmp_path / "tiny.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(2)] == [20, 20]
    texts = file.read()["text"]
    sizes = pc.binary_length(texts)
    assert megabytes == pytest.approx(pc.sum(sizes).as_py() / 1e6)
    assert 2500 < pc.mean(sizes).as_py() < 3500
    last = [set(kernel.shingles(text)) for text in texts.to_pylist()[17:20]]
    assert len(last[0] & last[1]) / len(last[0] | last[1]) < 0.1
    assert len(last[1] & last[2]) / len(last[1] | last[2]) > 0.8


def test_a_digest_knows_rows_and_not_files(monkeypatch: pytest.MonkeyPatch, corpus: Path, tmp_path: Path) -> None:
    invariance = script("invariance", monkeypatch)
    table = pq.read_table(corpus)
    for name, rows, files, order in (
        ("one", table, 1, None),
        ("three", table, 3, np.random.default_rng(1)),
        ("twice", pa.concat_tables([table, table.slice(7, 1)]), 1, None),
        ("other", table.set_column(0, "id", pa.array([*ids_of(corpus)[:-1], "d99"])), 1, None),
    ):
        invariance.split(rows, tmp_path / name, files, order)
    found = {name: invariance.digest(tmp_path / name) for name in ("one", "three", "twice", "other")}
    assert len(list((tmp_path / "three").iterdir())) == 3
    assert found["one"] == found["three"]
    assert found["one"][0] == 40
    assert len({hashed for _, hashed in found.values()}) == 3


@pytest.mark.parametrize("name", ["job.py", "tokens.py", "tokenizer.py", "peers.py", "memory.py", "invariance.py"])
def test_a_script_explains_itself(name: str) -> None:
    assert run(name, "--help")[0].startswith(f"usage: {name}")


def test_the_job_that_is_timed_bears_its_present_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python, job, *_ = script("tokens", monkeypatch).job(tmp_path / "docs", tmp_path / "out")
    told = subprocess.run([python, job, "--help"], capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stderr) == (0, "")  # a former name says on stderr that it goes


def test_figures_of_the_trainer_need_pytorch_and_few_packages_more(tmp_path: Path) -> None:
    absent = (
        "import sys\nfor name in ('pyspark', 'orjson', 'boto3', 'zstandard', 'fastokens'): sys.modules[name] = None\n"
    )
    (tmp_path / "sitecustomize.py").write_text(absent)
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = ["bash", str(BENCHMARKS / "on_gpu.sh"), str(tmp_path / "figures")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ratio to transformers GPT2LMHeadModel: " in (tmp_path / "figures" / "training.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("script", "said"), [("job.py", "40 documents, 5 removed"), ("tokens.py", "--shards")])
def test_a_job_is_compared_with_a_copy(script: str, said: str, corpus: Path, tmp_path: Path) -> None:
    lines = run(script, "--data", corpus, "--runs", "1", "--driver-memory", "1g", "--temp", tmp_path / "t")
    assert any(said in line for line in lines)
    name, value = lines[-1].split()
    assert name == "ratio"
    assert float(value) > 0
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.slow
def test_peers_are_graded_alike(corpus: Path, pairs: Path, tmp_path: Path) -> None:
    lines = run("peers.py", "--data", corpus, "--pairs", pairs, "--temp", tmp_path / "t")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line][2:]
    assert [row[0] for row in cells] == ["datasketch LSH loop", "Spark MLlib", "sparkprep"]
    assert [row[4:] for row in cells] == [["1.0000", "1.0000", "5"]] * 3


@pytest.mark.slow
def test_memory_is_told_worker_by_worker(tmp_path: Path) -> None:
    lines = run("memory.py", "--case", "50MB", "--scale", "0.001", "--temp", tmp_path / "t")
    assert any(line.startswith("20 documents, 2 removed") for line in lines)
    assert any(line.startswith("Python worker 1: peak") and line.endswith("ok") for line in lines)
    assert lines[-1] == "all within the limit"


@pytest.mark.slow
def test_files_and_their_order_do_not_change_the_rows(corpus: Path, tmp_path: Path) -> None:
    assert run("invariance.py", "--data", corpus, "--variants", "4", "--temp", tmp_path / "t")[-1] == "same"
