"""What is compiled beforehand is what tasks ask for: none of them compiles anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT

COMPILE = (
    "from sparkprep.startup.kernels import call_all, compiled_and_loaded; call_all(); print(*compiled_and_loaded())"
)
# The functions that run in Spark's tasks, and on the driver, with rows as these get them.
AS_TASKS = """
import json
import pickle
import sys
import numpy as np
import pyarrow as pa
from sparkprep.decontaminate.index import read_index
from sparkprep.decontaminate.searching import Columns as Searched, Search
from sparkprep.decontaminate.settings import DecontaminateSettings
from sparkprep.dedup import candidates, signatures, verify
from sparkprep.dedup.columns import TEXTS as ROWS
from sparkprep.dedup.kernels import clusters
from sparkprep.dedup.kernels.bands import choose, in_sequence
from sparkprep.dedup.resolve import grouping
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY
from sparkprep.filter.kernels.judge import judge
from sparkprep.filter.questions import questions_of
from sparkprep.filter.rules import SETS
from sparkprep.filter.settings import FilterSettings
from sparkprep.startup.kernels import TEXTS, compiled_and_loaded
from sparkprep.tokens.xxhash64 import xxhash64

def received(batch):
    # As from another process: Arrow's memory may then not be written, as it may where a file was read.
    return pa.ipc.read_record_batch(batch.serialize().to_pybytes(), batch.schema)


columns = signatures.Columns("text", "id", None, None)
with open(sys.argv[1], "w") as file:
    file.write(json.dumps({"text": TEXTS[0]}) + "\\n")
index = read_index(DecontaminateSettings(benchmark=sys.argv[1], ngram_words=4))[0]
search = Search(pickle.loads(pickle.dumps(index)), Searched("text", "id"), None)
sketched = []
for kind in (pa.string(), pa.large_string()):
    ids = pa.array([b"a", b"b", b"c"], pa.binary()).cast(kind)
    batch = pa.RecordBatch.from_pydict({"id": ids, "text": pa.array([*TEXTS, None]).cast(kind)})
    for sets in SETS, SETS[:1]:
        questions = pickle.loads(pickle.dumps(questions_of(FilterSettings(rules=sets))))
        for each in (batch, received(batch)):
            judge(each["text"], questions)
            assert search._findings(each["text"])
    sketched += [signatures.signature_rows(each, 0, columns, Settings()) for each in (batch, received(batch))]
sketched += map(received, sketched[:])
blobs = [blob for _, blob in candidates.first_entries(iter(sketched), partitions=1)]
slots = in_sequence(*choose(0.8)).slots
blobs += [blob for _, blob in candidates.further_entries(iter(sketched), partitions=1, slots=slots)]
list(candidates.search_buckets(iter(blobs), cap=10))
in_hot = {"bucket": pa.array([7, 7, 7]), "most": pa.array([16, 1, 1])}
hot = pa.RecordBatch.from_pydict({**in_hot, **{name: sketched[0][name] for name in (KEY, "tiny")}})
for batch in (hot, received(hot)):
    list(candidates._compare_along_keep_order(iter([batch]), 0.8, 2))
columns = [pa.array([0, 1]), pa.array([0, 0]), pa.array([[], [0]], pa.list_(pa.int64())), pa.array(TEXTS), pa.nulls(2)]
named = dict(zip([KEY, "group", "partners", "text", "hashes"], columns, strict=True))
grouped = pa.RecordBatch.from_arrays([named[name].cast(ROWS.field(name).type) for name in ROWS.names], schema=ROWS)
for batch in (grouped, received(grouped)):
    list(verify.compare_groups([batch], width=5))
pairs, copies = np.array([[0, 1], [0, 2]]), np.array([[1, 3], [2, 4]])
for rows in range(3):
    for rule in (clusters.leader, clusters.component):
        rule(5, copies[:rows], pairs[:rows, 0], pairs[:rows, 1], np.full(rows, 0.9))
grouping.assign(pairs, np.arange(3), np.ones(3, np.int64), 100)
for ids in (pa.array(["a", None]), pa.array([1, 2]), pa.array([[1], [2, 3]])):
    xxhash64(ids, 1), xxhash64(ids, 1 << 40)
print(*compiled_and_loaded())
"""


@pytest.mark.slow
def test_a_task_loads_every_kernel_that_was_compiled_beforehand_and_compiles_none(tmp_path: Path) -> None:
    def run(code: str) -> tuple[int, ...]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, str(tmp_path / "questions.jsonl")]
        return tuple(map(int, subprocess.check_output(command, env=environment, text=True, timeout=600).split()))

    compiled, loaded = run(COMPILE)
    assert compiled > 20
    assert loaded == 0
    compiled, loaded = run(AS_TASKS)
    assert compiled == 0
    assert loaded > 10
