"""What scale.py and skewed.py measure and check: event logs, stages, wrong answers; whole runs are slow tests."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkout import BENCHMARKS


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def right_answer(skewed: ModuleType, shape: Any) -> Any:
    """The answer of rule leader to a chain: every second document goes for the one before."""
    ranks = np.arange(shape.documents)
    removed = ranks[1::2]
    return skewed.Answer(ranks[::2], removed, removed - 1, np.full(len(removed), 77 / 87), np.zeros(len(removed), bool))


def test_a_right_answer_has_no_fault_and_a_wrong_one_has(script: Any) -> None:
    skewed, corpus = script("skewed"), script("skewed_corpus")
    shape = corpus.chain(100, 1)
    right = right_answer(skewed, shape)
    assert skewed.check(shape, right, "leader", 0.9999).faults == []
    off = right.jaccard.copy()
    off[3] += 1e-6
    wrong = {
        "not the documents": replace(right, kept=right.kept[1:]),
        "for one that went": replace(right, kept_for=np.append(right.kept_for[:-1], 1)),
        "for a later one": replace(right, kept_for=right.removed + 1 - 2 * (right.removed == 99)),
        "not similar": replace(right, kept_for=np.append(right.kept_for[:-1], 0)),
        "similarity in removed/": replace(right, jaccard=off),
        "`exact`": replace(right, exact=~right.exact),
    }
    for said, answer in wrong.items():
        assert any(said in fault for fault in skewed.check(shape, answer, "leader", 0.9999).faults), said
    missed = replace(
        right, kept=np.arange(100), **{n: getattr(right, n)[:0] for n in ("removed", "kept_for", "jaccard", "exact")}
    )
    assert any("99 pairs were not found" in fault for fault in skewed.check(shape, missed, "leader", 0.9999).faults)


def test_a_component_keeps_its_first(script: Any) -> None:
    skewed, corpus = script("skewed"), script("skewed_corpus")
    shape = corpus.chain(30, 1)
    gone = np.arange(1, 30)
    jaccard = np.array([77 / 87, 72 / 92, *((82 - 5 * n) / (82 + 5 * n) for n in range(3, 17)), *[0.0] * 13])
    answer = skewed.Answer(np.array([0]), gone, np.zeros(29, np.int64), jaccard, np.zeros(29, bool))
    assert skewed.check(shape, answer, "component", 0.9999).faults == []
    split = replace(
        answer,
        kept=np.array([0, 9]),
        **{n: np.delete(getattr(answer, n), 8) for n in ("removed", "kept_for", "jaccard", "exact")},
    )
    assert skewed.check(shape, split, "component", 0.9999).missed == 1


def test_stages_and_their_tasks_are_read_from_an_event_log(script: Any, tmp_path: Path) -> None:
    event_log = script("event_log")
    said = event_log.settings(tmp_path / "events")
    assert f"spark.eventLog.dir={(tmp_path / 'events').as_uri()}" in said
    info = {"Stage ID": 4, "Submission Time": 1000, "Completion Time": 9000}
    label = {"spark.job.description": "sparkprep: verify"}

    def task(milliseconds: int, failed: bool = False) -> dict[str, Any]:
        metrics = {"Shuffle Write Metrics": {"Shuffle Bytes Written": 10}, "Disk Bytes Spilled": 1}
        times = {"Launch Time": 1000, "Finish Time": 1000 + milliseconds, "Failed": failed}
        return {"Event": "SparkListenerTaskEnd", "Stage ID": 4, "Task Info": times, "Task Metrics": metrics}

    events = [
        {"Event": "SparkListenerStageSubmitted", "Stage Info": info, "Properties": label},
        *map(task, (500, 500, 7000)),
        task(9000, failed=True),
        {"Event": "SparkListenerStageCompleted", "Stage Info": info},
    ]
    (tmp_path / "events" / "local-1").write_text("".join(json.dumps(event) + "\n" for event in events))
    (stage,) = event_log.read(tmp_path / "events")
    assert (stage.number, stage.label, stage.begin, stage.end) == (4, "verify", 1.0, 9.0)
    assert (stage.tasks, stage.written, stage.spilled) == ([0.5, 0.5, 7.0], 30, 3)
    assert event_log.shuffled([stage]) == {"verify": 30}
    assert event_log.skewed([stage], 5.0, 10.0) == [stage]
    assert event_log.skewed([stage], 5.0, 15.0) == event_log.skewed([stage], 8.0, 10.0) == []


def test_a_stage_gets_the_processor_time_and_the_memory_of_its_time(script: Any) -> None:
    scale, event_log, measure = script("scale"), script("event_log"), script("measure")
    looks = [
        measure.Look(float(t), 2.0 * t, {"JVM": 10**6 * t, "Python": 0, "worker": 10**6 * (5 if t == 6 else 1)}, 10**6)
        for t in range(11)
    ]
    first = event_log.SparkStage(0, "sketch", begin=2.0, end=5.0, tasks=[1.5, 2.5])
    run = [{"name": "sketch", "seconds": 3.0}, {"name": "verify", "seconds": 4.0}]
    found = {stage["name"]: stage for stage in scale._by_stage(run, [first], looks)}
    assert {name: stage["cpu_s"] for name, stage in found.items()} == {"start": 4, "sketch": 6, "verify": 8, "end": 2}
    assert {name: stage["worker_mb"] for name, stage in found.items()} == {
        "start": 1,
        "sketch": 1,
        "verify": 5,
        "end": 1,
    }
    assert (found["sketch"]["JVM_mb"], found["sketch"]["longest_task_s"]) == (4, 2.5)


def test_growth_is_the_exponent_between_the_two_largest_sizes(script: Any) -> None:
    scale = script("scale")
    sizes = [{"documents": n} for n in (10, 100, 1000)]
    assert scale._exponent(sizes, [1.0, 2.0, 40.0]) == pytest.approx(1.30103)
    assert scale._exponent(sizes, [1.0, 0.1, 40.0]) is None
    assert scale._exponent(sizes[:1], [1.0]) is None


@pytest.fixture
def composed(tmp_path: Path) -> Path:
    """60 documents of 100 words; the last 20 are copies of the first 20, two words of each changed."""
    rng = np.random.default_rng(1)
    words = [[f"w{n}" for n in rng.integers(0, 9000, 100)] for _ in range(40)]
    words += [["other", *document[1:-1], "end"] for document in words[:20]]
    ids = [f"{number:016x}" for number in range(60)]
    cluster = [number % 40 for number in range(60)]
    truth = {
        "id": ids,
        "cluster_id": cluster,
        "variant": [0] * 40 + [1] * 20,
        "jaccard_base": [1.0] * 40 + [94 / 98] * 20,
    }
    folder = tmp_path / "composed"
    for name, table in (("docs", {"id": ids, "text": [" ".join(each) for each in words]}), ("truth", truth)):
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.table(table), folder / name / "part-00000.parquet")
    return folder


def test_a_result_is_held_against_the_truth(script: Any, composed: Path, tmp_path: Path) -> None:
    held = script("scale_truth").hold
    ids = pq.read_table(composed / "docs")["id"].to_pylist()
    removed = {"id": ids[40:58], "kept_id": ids[:18], "jaccard": [94 / 98] * 18}

    def result(kept: list[str], rows: dict[str, list[Any]]) -> Any:
        for name, table in (("kept", {"id": kept}), ("removed", rows)):
            (tmp_path / "out" / name).mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(table), tmp_path / "out" / name / "part-00000.parquet")
        return held(composed, tmp_path / "out", 0.8)

    good = result(ids[:40] + ids[58:], removed)
    assert (good.pairs, good.missed, good.removed, good.faults, good.strangers) == (20, 2, 18, 0, 0)
    assert (good.recall, good.computed) == (0.9, 18)
    bad = result(ids[1:40] + ids[58:], {**removed, "kept_id": [*ids[:17], ids[30]], "jaccard": [94 / 98] * 17 + [0.7]})
    assert (bad.without_kept, bad.below, bad.strangers, bad.differing) == (1, 1, 1, 1)


@pytest.mark.scale
def test_sizes_are_measured_and_drawn(composed: Path, tmp_path: Path) -> None:
    words = ["--corpus", composed, "--save", tmp_path / "figures", "--plot", tmp_path / "scale.png", "--temp", tmp_path]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "scale.py", *words, "--driver-memory", "1g"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 documents" in done.stdout
    assert "recall 1.00000 (0 of 20 true pairs both stay); of 20 removed 0 without a kept document" in done.stdout
    (kept,) = (tmp_path / "figures").iterdir()
    figures = json.loads(kept.read_text())
    assert figures["cpu_s"] >= sum(stage["cpu_s"] for stage in figures["stages"]) * 0.9 > 0
    assert max(stage["JVM_mb"] for stage in figures["stages"]) > 100
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.scale
def test_a_shape_is_run_and_checked(tmp_path: Path) -> None:
    words = ["--shape", "chain", "--documents", "200", "--rule", "component", "--temp", tmp_path]
    done = subprocess.run([sys.executable, BENCHMARKS / "skewed.py", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule component: 1 kept, 0 exact, 199 near" in done.stdout
    assert done.stdout.splitlines()[-1] == "all as it should be"
