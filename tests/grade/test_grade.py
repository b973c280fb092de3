"""The grader: figures that can be counted by hand, and clear answers to inputs that cannot be graded."""

import json
import re
import shlex
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.grade import Grade, grade
from sparkprep.grade.figures import Figure, against_pairs
from sparkprep.sample import embedded

# a-b-c is a chain whose ends (0.7) lie below the threshold; d-e were both kept, wrongly; g was removed for the wrong h.
PAIRS = [("a", "b", 0.9), ("a", "c", 0.7), ("b", "c", 0.85), ("d", "e", 1.0), ("f", "g", 0.8)]
CLUSTERS = [("a", "a"), ("b", "a"), ("c", "a"), ("d", "d"), ("e", "d"), ("f", "f"), ("g", "f"), ("h", "h")]
KEPT = ["a", "d", "e", "f", "h"]
REMOVED = [("b", "a", 0.9), ("c", "a", 0.7), ("g", "h", 0.1)]


def write(path: Path, **columns: list) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def result(folder: Path, kept: list = KEPT, removed: list = REMOVED, **more: list) -> str:
    half = len(kept) // 2
    for number, part in enumerate((kept[:half], kept[half:])):
        write(folder / "kept" / f"part-{number}.snappy.parquet", id=pa.array(part, pa.array(kept).type))
    ids, kept_ids, jaccards = (list(column) for column in zip(*removed, strict=True))
    write(folder / "removed" / "part-0.parquet", id=ids, kept_id=kept_ids, jaccard=jaccards, rule=["near"] * len(ids))
    (folder / "kept" / "_SUCCESS").touch()
    return str(folder)


def pairs_truth(path: Path, pairs: list = PAIRS) -> str:
    a, b, jaccard = (list(column) for column in zip(*pairs, strict=True))
    return write(path / "pairs.parquet", id_a=a, id_b=b, jaccard=jaccard)


def clusters_truth(path: Path) -> str:
    ids, names = (list(column) for column in zip(*CLUSTERS, strict=True))
    return write(path / "clusters.parquet", id=ids, cluster_id=names)


def counts(graded: Grade) -> list[tuple[int, int | None]]:
    return [(f.right, f.total) for scores in graded.scores for f in (scores.precision, scores.recall)]


def of_feb(folder: Path) -> str:
    """The result above as that of a crawl, two more of whose documents went for ones of jan; one has the id of an e."""
    removed = [*REMOVED, ("x", "old", 0.9), ("y", "e", 1.0)]
    output = result(folder, removed=removed)
    (folder / "metrics.json").write_text(json.dumps({"index": {"crawl": "feb"}}))
    part = pq.read_table(folder / "removed" / "part-0.parquet")
    crawls = pa.array(["feb"] * len(REMOVED) + ["jan", "jan"])
    pq.write_table(part.append_column("kept_crawl", crawls), folder / "removed" / "part-0.parquet")
    return output


@pytest.mark.parametrize("truth", ["pairs", "clusters", "kept"])
def test_documents_that_went_for_those_of_earlier_crawls_are_told_and_the_others_graded(
    tmp_path: Path, truth: str
) -> None:
    against = {
        "pairs": pairs_truth(tmp_path, [*PAIRS, ("x", "a", 0.9), ("e", "y", 0.9)]),
        "clusters": clusters_truth(tmp_path),
        "kept": write(tmp_path / "list.parquet", id=["a", "d", "f", "h"]),
    }[truth]
    documents = write(tmp_path / "input.parquet", id=[*"abcdefghxy"])
    alone = grade(result(tmp_path / "alone"), against)
    for named in ({}, {"input": documents}):
        graded = grade(of_feb(tmp_path / "feb"), against, **named)
        assert (counts(graded), graded.counts) == (counts(alone), alone.counts)
        assert "2 documents were removed for documents of earlier crawls: not graded" in graded.notes
        assert [note for note in graded.notes if "earlier crawls" not in note] == alone.notes


def test_a_result_of_another_job_is_named_as_that(tmp_path: Path) -> None:
    output = result(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").write_text(json.dumps({"benchmarks": [], "counts": {}, "settings": {}}))
    with pytest.raises(UserError, match=r"out: a result of `decontaminate`, .* name the output folder of a `dedup`"):
        grade(output, pairs_truth(tmp_path))


def test_a_result_of_crawls_that_does_not_say_which_is_its_own_is_not_graded(tmp_path: Path) -> None:
    output = of_feb(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"names crawls .* does not say which is this one's: restore that file"):
        grade(output, pairs_truth(tmp_path))
    assert grade(f"{output}/kept", clusters_truth(tmp_path)).truth == "clusters"


def test_against_pairs_the_figures_are_those_counted_by_hand(tmp_path: Path) -> None:
    graded = grade(result(tmp_path / "out"), pairs_truth(tmp_path))
    # b has a, g has f; c has no kept partner at 0.8. Left to remove: d or e. Only (b, a) is a true pair at 0.8.
    assert counts(graded) == [(2, 3), (2, 3), (1, 3), (3, 4)]
    assert graded.scores[0].f1 == pytest.approx(2 / 3)
    assert graded.scores[1].f1 == pytest.approx(6 / 13)
    assert graded.counts == {"documents": 8, "kept": 5, "removed": 3, "true_pairs": 4}
    assert graded.notes == []


def test_the_threshold_decides_which_pairs_are_true(tmp_path: Path) -> None:
    output, truth = result(tmp_path / "out"), pairs_truth(tmp_path)
    assert counts(grade(output, truth, threshold=0.7)) == [(3, 3), (3, 4), (2, 3), (4, 5)]
    assert counts(grade(output, truth, threshold=0.95)) == [(0, 3), (0, 1), (0, 3), (0, 1)]
    assert "least Jaccard in the truth is 0.7" in grade(output, truth, threshold=0.6).notes[0]


def of_run(output: str, settings: dict[str, Any], sample: dict[str, Any] | None = None) -> str:
    """Put the metrics.json of a run into a result."""
    (Path(output) / "metrics.json").write_text(json.dumps({"settings": settings, "input": {"sample": sample}}))
    return output


def test_a_run_is_graded_by_its_own_threshold_and_identifiers(tmp_path: Path) -> None:
    output, truth = result(tmp_path / "out"), pairs_truth(tmp_path)
    for part in (tmp_path / "out" / "kept").glob("*.parquet"):
        pq.write_table(pq.read_table(part).rename_columns(["doc"]), part)
    graded = grade(of_run(output, {"threshold": 0.7, "id_column": "doc"}), truth)
    assert (graded.threshold, counts(graded)) == (0.7, [(3, 3), (3, 4), (2, 3), (4, 5)])
    assert graded.notes == ["the threshold is that of the run, 0.7 (metrics.json)"]


def test_another_threshold_than_that_of_the_run_is_said(tmp_path: Path) -> None:
    output, truth = of_run(result(tmp_path / "out"), {"threshold": 0.7, "id_column": None}), pairs_truth(tmp_path)
    graded = grade(output, truth, threshold=0.8)
    assert graded.threshold == 0.8
    assert graded.notes == ["the run's own threshold was 0.7 (metrics.json); pairs are judged by 0.8, as asked"]
    assert grade(of_run(output, {"threshold": 0.8}), truth, threshold=0.8).notes == []
    assert grade(output, clusters_truth(tmp_path)).threshold is None


@pytest.mark.parametrize("content", [{}, {"settings": [], "input": 1}, {"settings": {"threshold": "x"}}])
def test_the_metrics_of_another_program_decide_nothing(tmp_path: Path, content: dict[str, Any]) -> None:
    output = result(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").write_text(json.dumps(content))
    assert grade(output, pairs_truth(tmp_path)).threshold == 0.8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": "10k"}, r"was made of --size 10k, not 1k: grade it by that"),
        ({"sha256": "00"}, r"not the one built here \(the same packages with other contents\)"),
        ({"sha256": "00", "versions": {"numpy": "1.0"}}, r"numpy 1\.0 then, [\d.]+ now.*make it anew"),
    ],
)
def test_a_result_of_another_harvest_is_not_graded_by_this_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    origin = embedded("1k").origin()
    assert {"python", "numpy", "pyspark"} <= origin["versions"].keys()
    output = of_run(result(tmp_path / "out"), {"threshold": 0.8}, {**origin, **change})
    assert main(["grade", output, "--size", "1k"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)


def test_pairs_without_a_jaccard_column_are_all_true_whatever_their_order(tmp_path: Path) -> None:
    truth = write(tmp_path / "pairs.parquet", id_a=["b", "a", "b", "e", "g"], id_b=["a", "b", "b", "d", "f"])
    graded = grade(result(tmp_path / "out"), truth)
    assert graded.threshold is None
    assert counts(graded) == [(2, 3), (2, 3), (1, 3), (2, 3)]


def test_against_clusters_the_figures_are_those_counted_by_hand(tmp_path: Path) -> None:
    graded = grade(result(tmp_path / "out"), clusters_truth(tmp_path))
    assert counts(graded) == [(3, 3), (3, 4), (2, 3), (4, 5)]


def test_a_cluster_of_which_nothing_is_left_is_wrong(tmp_path: Path) -> None:
    output = result(tmp_path / "out", ["a", "d", "h"], [*REMOVED, ("e", "d", 1.0), ("f", "h", 0.1)])
    graded = grade(output, clusters_truth(tmp_path))
    assert counts(graded)[:2] == [(3, 5), (3, 4)]


def test_against_a_list_of_kept_ids_the_sets_are_compared(tmp_path: Path) -> None:
    truth = write(tmp_path / "kept.parquet", id=["a", "d", "f", "h"])
    graded = grade(result(tmp_path / "out"), truth)
    assert counts(graded) == [(3, 3), (3, 4), (4, 5), (4, 4)]
    assert graded.recall == graded.scores[0].recall


def test_the_kept_documents_alone_can_be_graded(tmp_path: Path) -> None:
    kept = write(tmp_path / "kept.snappy.parquet", id=KEPT, text=["..."] * 5)
    documents = write(tmp_path / "input.parquet", id=list("abcdefgh"))
    assert counts(grade(kept, clusters_truth(tmp_path))) == [(3, 3), (3, 4), (0, None), (4, 5)]
    graded = grade(kept, pairs_truth(tmp_path), input=documents)
    assert counts(graded) == [(2, 3), (2, 3), (0, None), (3, 4)]
    assert graded.scores[1].f1 is None
    with pytest.raises(UserError, match=r"no removed/ folder.*input"):
        grade(kept, pairs_truth(tmp_path))


def test_a_job_that_removed_nothing_has_no_precision_rather_than_a_perfect_one(tmp_path: Path) -> None:
    write(tmp_path / "out" / "kept" / "part-0.parquet", id=list("abcdefgh"))
    (tmp_path / "out" / "removed").mkdir()
    graded = grade(str(tmp_path / "out"), pairs_truth(tmp_path))
    assert counts(graded) == [(0, 0), (0, 4), (0, 0), (0, 4)]  # left: two of a-b-c, one of d-e, one of f-g
    assert graded.precision.value is None
    assert graded.recall.value == 0


def test_ids_stored_as_numbers_and_as_text_are_compared_as_text(tmp_path: Path) -> None:
    output = result(tmp_path / "out", [1, 3], [(2, 1, 0.9)])
    truth = pairs_truth(tmp_path, [("1", "2", 0.9)])
    assert counts(grade(output, truth)) == [(1, 1), (1, 1), (1, 1), (1, 1)]


def test_another_id_column_is_read_from_the_kept_rows(tmp_path: Path) -> None:
    output = result(tmp_path / "out")
    for number, part in enumerate((KEPT[:2], KEPT[2:])):
        write(tmp_path / "out" / "kept" / f"part-{number}.snappy.parquet", name=part)
    assert counts(grade(output, pairs_truth(tmp_path), id_column="name")) == [(2, 3), (2, 3), (1, 3), (3, 4)]
    with pytest.raises(UserError, match=r"no column 'id', but name; name the right one with id_column"):
        grade(output, pairs_truth(tmp_path))


def test_duplicate_ids_count_once_and_are_noted(tmp_path: Path) -> None:
    output = result(tmp_path / "out", [*KEPT, "a"], [*REMOVED, ("d", "a", 0.2), ("h", "h", 1.0)])
    graded = grade(output, pairs_truth(tmp_path))
    assert graded.counts["kept"] == 5
    assert counts(graded) == [(2, 3), (2, 3), (1, 4), (3, 4)]
    notes = "\n".join(graded.notes)
    assert "1 kept rows repeat an id" in notes
    assert "2 ids are in kept/ and in removed/" in notes
    assert "1 rows of removed/ name the same id twice" in notes


def test_documents_that_the_job_lost_count_as_removed(tmp_path: Path) -> None:
    documents = write(tmp_path / "input.parquet", id=[*"abcdefgh", "lost"])
    graded = grade(result(tmp_path / "out"), pairs_truth(tmp_path), input=documents)
    assert counts(graded)[0] == (2, 4)
    assert any("1 documents of the input are neither in kept/ nor in removed/" in note for note in graded.notes)


def test_truth_about_other_documents_is_left_out_with_a_note(tmp_path: Path) -> None:
    graded = grade(result(tmp_path / "out"), pairs_truth(tmp_path, [*PAIRS, ("x", "y", 1.0), ("a", "z", 1.0)]))
    assert counts(graded) == [(2, 3), (2, 3), (1, 3), (3, 4)]
    assert graded.notes == ["3 of 10 ids of the truth are no documents here: left out"]


def test_a_stated_jaccard_that_is_not_the_true_one_is_noted(tmp_path: Path) -> None:
    output = result(tmp_path / "out", removed=[("b", "a", 0.95), *REMOVED[1:]])
    assert grade(output, pairs_truth(tmp_path)).notes == [
        "1 of 2 Jaccards stated in removed/ differ from the true ones, by up to 0.05"
    ]


def test_a_removal_in_favour_of_a_removed_document_is_noted(tmp_path: Path) -> None:
    output = result(tmp_path / "out", removed=[("b", "a", 0.9), ("c", "b", 0.85), ("g", "f", 0.8)])
    assert grade(output, pairs_truth(tmp_path)).notes == ["1 ids that removed/ names as kept_id are not in kept/"]


def test_what_cannot_be_graded_is_named(tmp_path: Path) -> None:
    output, truth = result(tmp_path / "out"), pairs_truth(tmp_path)
    other = write(tmp_path / "other.parquet", left=["a"], right=["b"])
    text = tmp_path / "text.parquet"
    text.write_text("no Parquet")
    (tmp_path / "empty").mkdir()
    shards = str(tmp_path / "shards")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "t.bin").write_bytes((20240520).to_bytes(4, "little"))
    strangers = pairs_truth(tmp_path / "strangers", [("x1", "x2", 0.9)])
    cases = [
        ((output, other), r"other.parquet has the columns left, right: expected id_a and id_b"),
        ((output, str(tmp_path / "none.parquet")), r"truth .*none.parquet does not exist"),
        ((output, str(text)), r"truth cannot be read as Parquet: .*text.parquet: "),
        ((str(tmp_path / "none"), truth), r"output .*none does not exist"),
        ((output, str(tmp_path / "none"), None, "number"), r"truth .*none does not exist"),
        ((output, truth, str(tmp_path / "gone"), "number"), r"input .*gone does not exist"),
        ((str(tmp_path / "empty"), truth), r"empty: no data file in this folder, nothing"),
        ((output, shards), r"t\.bin \(it is a shard of tokens"),
        ((output, strangers), r"out \(ids such as 'a'\) and truth .* \('x1'\) have no id in common.*id_column"),
    ]
    for (made, known, *others), message in cases:
        with pytest.raises(UserError, match=message) as caught:
            grade(made, known, **dict(zip(("input", "id_column"), others, strict=False)))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["before.parquet", "later.parquet", "in/a/folder.parquet"])
def test_files_that_are_no_one_table_are_no_result(tmp_path: Path, name: str) -> None:
    truth = pairs_truth(tmp_path)
    write(tmp_path / "mixed" / "documents.parquet", id=KEPT)
    write(tmp_path / "mixed" / name, left=["a"], right=["b"])
    with pytest.raises(UserError, match=r"(no column 'id', but left|: they are no one table; name a result of dedup)"):
        grade(str(tmp_path / "mixed"), truth)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 80.0}, "threshold: 80 is above 1"),
        ({"threshold": 0}, "threshold: 0 is not above 0"),
        ({"threshold": float("nan")}, "threshold: 'nan' is not a finite number"),
        ({"threshold": "0.8"}, "threshold: '0.8' is not a number: leave out its quotation marks, 0.8"),
        ({"id_column": ""}, "id_column: an empty word was given"),
    ],
)
def test_the_function_has_the_limits_of_the_command(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        grade(result(tmp_path / "out"), pairs_truth(tmp_path), **settings)


def test_ids_of_other_data_are_refused_for_the_kept_documents_alone_too(tmp_path: Path) -> None:
    kept = write(tmp_path / "kept.parquet", id=["x", "y"])
    with pytest.raises(UserError, match="have no id in common"):
        grade(kept, clusters_truth(tmp_path))


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    output = result(tmp_path / "out", removed=[("b", "gone", 0.9)])
    with pytest.raises(UserError, match=r"kept_id 'gone' \(row 0; 1 such rows\).*incomplete"):
        grade(output, pairs_truth(tmp_path))


def test_the_command_prints_each_figure_with_its_definition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert main(["grade", result(tmp_path / "out"), "--truth", pairs_truth(tmp_path), "--json", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("0.6666   2 / 3  " in line for line in lines) == 2
    assert sum("0.3333   1 / 3  rows (id, kept_id) of removed/ that are true pairs" in line for line in lines) == 1
    written = json.loads(file.read_text())
    assert written["figures"]["pairs"]["recall"]["value"] == 0.75
    assert written["counts"]["true_pairs"] == 4


def test_figures_that_do_not_fit_on_the_disk_leave_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("those of yesterday")
    words = [result(tmp_path / "out"), "--truth", pairs_truth(tmp_path), "--json", str(file)]
    command = shlex.join([sys.executable, str(ROOT / "jobs" / "grade.py"), *words])
    done = subprocess.run(["bash", "-c", f"ulimit -f 1; {command}"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"error: {file}: cannot be written: File too large\n")
    assert file.read_text() == "those of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "out", "pairs.parquet"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (["--min-precision", "0.66"], 0),
        (["--min-precision", "0.67"], 1),
        (["--min-recall", "0.75"], 0),
        (["--min-recall", "0.76"], 1),
        (["--min-recall", "75"], 2),
    ],
)
def test_the_exit_code_follows_the_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limits: list[str], code: int
) -> None:
    assert main(["grade", result(tmp_path / "out"), "--truth", pairs_truth(tmp_path), *limits]) == code
    printed = capsys.readouterr()
    assert ("FAILED" in printed.out) == (code == 1)
    assert printed.err.startswith("error: --min-recall: 75 is above 1") == (code == 2)


def test_the_job_runs_from_a_checkout_and_answers_a_mistake_in_one_line(tmp_path: Path) -> None:
    job = ROOT / "jobs" / "grade.py"
    command = [sys.executable, str(job), result(tmp_path / "out"), "--truth"]
    good = subprocess.run([*command, pairs_truth(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert (good.returncode, good.stderr) == (0, "")
    bad = subprocess.run([*command, "nowhere.parquet"], cwd=tmp_path, capture_output=True, text=True)
    assert (bad.returncode, bad.stderr) == (2, "error: truth nowhere.parquet does not exist\n")


@given(st.data())
def test_the_figures_on_pairs_are_those_of_a_plain_count(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 8))
    every = list(combinations(range(n), 2))
    pairs = data.draw(st.lists(st.sampled_from(every), unique=True))
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    audit = data.draw(st.lists(st.sampled_from([*every, *((b, a) for a, b in every)])))
    linked = [{a, b} for a, b in pairs]
    correct = sum(any(not kept[d] and d in pair and kept[next(iter(pair - {d}))] for pair in linked) for d in range(n))
    groups = [{d} for d in range(n) if kept[d]]
    for a, b in pairs:
        if kept[a] and kept[b]:
            touched = [group for group in groups if group & {a, b}]
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    left = int(kept.sum()) - len(groups)
    removed, pair_scores = against_pairs(
        kept, np.array(pairs, np.int64).reshape(-1, 2), np.array(audit, np.int64).reshape(-1, 2)
    )
    assert (removed.precision.right, removed.precision.total) == (correct, int((~kept).sum()))
    assert (removed.recall.right, removed.recall.total) == (correct, correct + left)
    assert (pair_scores.precision.right, pair_scores.precision.total) == (
        sum({a, b} in linked for a, b in audit),
        len(audit),
    )
    assert pair_scores.recall.right == sum(not (kept[a] and kept[b]) for a, b in pairs)


def test_a_figure_of_nothing_has_no_value() -> None:
    assert Figure(0, 0, "").value is None
    assert Figure(1, 2, "").value == 0.5
