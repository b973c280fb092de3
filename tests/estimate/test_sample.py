"""A sample is spread over its input, the same for the same seed, and all of a small input."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.errors import UserError
from sparkprep.estimate.lines import sample_lines
from sparkprep.estimate.ratio import total
from sparkprep.estimate.sample import WINDOWS, counted, plan_windows, sample_parquet
from sparkprep.io.listing import list_input


def silent(share: float) -> None:
    """Tell nobody."""


def written(folder: Path, files: int, rows: int, group: int) -> InputSummary:
    """Files whose texts say by their length where they lie."""
    folder.mkdir()
    for file in range(files):
        texts = ["x" * (file * rows + row) for row in range(rows)]
        pq.write_table(pa.table({"text": texts}), folder / f"{file:03d}.parquet", row_group_size=group)
    return summarise(list_input([str(folder)]).files)


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> InputSummary:
    return written(tmp_path_factory.mktemp("in") / "docs", files=5, rows=300, group=37)


@given(sample=st.integers(64, 3000), seed=st.integers(0, 99))
def test_windows_lie_one_in_each_stratum_and_are_read_as_they_lie(
    summary: InputSummary, sample: int, seed: int
) -> None:
    windowed = plan_windows(summary, sample, seed)
    strata = summary.rows / WINDOWS
    for number, (start, end) in enumerate(zip(windowed.starts, windowed.ends, strict=True)):
        assert int(number * strata) <= start < end <= int((number + 1) * strata) + 1
    assert sum(windowed.ends - windowed.starts) <= max(sample, WINDOWS) or sample >= summary.rows
    read = [
        (window, key + row, len(text))
        for window, key, batch in windowed.batches(["text"])
        for row, text in enumerate(batch["text"].to_pylist())
    ]
    assert [key for _, key, _ in read] == [length for _, _, length in read]  # the row that the key says
    assert [(window, key) for window, key, _ in read] == [
        (window, key)
        for window, (start, end) in enumerate(zip(windowed.starts, windowed.ends, strict=True))
        for key in range(start, end)
    ]


def test_the_same_seed_draws_the_same_windows_and_another_others(summary: InputSummary) -> None:
    first, again, other = (plan_windows(summary, 640, seed).starts.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_small_input_is_read_whole_and_a_large_one_estimated(summary: InputSummary) -> None:
    truth = sum(range(1500))
    whole = sample_parquet(plan_windows(summary, 1500, 1), "text", silent)
    assert whole.is_whole
    assert total(*whole.column(lambda window: window.text_bytes)) == (truth, truth, truth)
    part = sample_parquet(plan_windows(summary, 320, 1), "text", silent)
    assert part.documents == 320
    found = total(*part.column(lambda window: window.text_bytes))
    assert found.low <= truth <= found.high
    assert found.expected == pytest.approx(truth, rel=0.02)


def test_an_input_of_fewer_rows_than_windows_is_read_whole(tmp_path: Path) -> None:
    assert sample_parquet(plan_windows(written(tmp_path / "few", 1, 3, 2), 64, 1), "text", silent).documents == 3


def test_nulls_are_documents_and_blanks_are_no_words() -> None:
    assert counted(pa.array(["ab", None, "", " \n", "ä"])) == (5, 6, 2)
    assert counted(pa.array(["a", "a"]).dictionary_encode()) == (2, 2, 2)
    assert counted(pa.nulls(2)) == (2, 0, 0)


def lines(folder: Path, name: str, rows: int, seed: int = 1) -> int:
    """Write documents as JSON Lines; return the bytes of their texts."""
    folder.mkdir(exist_ok=True)
    sizes = np.random.default_rng(seed).integers(1, 4000, rows)
    content = b"".join(json.dumps({"id": n, "text": "é" * int(size)}).encode() + b"\n" for n, size in enumerate(sizes))
    (folder / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    return int(2 * sizes.sum())


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_lines_of_small_files_are_counted_and_those_of_large_ones_estimated(tmp_path: Path, suffix: str) -> None:
    truth = sum(lines(tmp_path / "docs", f"{n}.{suffix}", 1000, n) for n in range(3))
    files = list_input([str(tmp_path / "docs")]).files
    whole, columns = sample_lines(files, "text", 1 << 20, 1, silent)
    assert columns == {"id", "text"}
    assert whole.is_whole
    assert (whole.documents, sum(window.text_bytes for window in whole.windows)) == (3000, truth)
    part, _ = sample_lines(files, "text", 200 if suffix == "jsonl" else 64, 1, silent)
    if suffix == "jsonl":  # packed, such texts are next to nothing
        assert 0 < part.documents < 1000
    for of, exact in ((lambda window: window.documents, 3000), (lambda window: window.text_bytes, truth)):
        found = total(*part.column(of))
        assert found.low <= exact <= found.high


def test_lines_without_the_column_or_without_a_document_are_refused(tmp_path: Path) -> None:
    lines(tmp_path / "docs", "a.jsonl", 10)
    with pytest.raises(UserError, match=r"a.jsonl: no column 'body'; columns there are: id, text; name it by"):
        sample_lines(list_input([str(tmp_path / "docs")]).files, "body", 100, 1, silent)
    (tmp_path / "bad.jsonl").write_text("[1]\n[2]\n")
    with pytest.raises(UserError, match="no line that was read is a document; the first that is none: not a JSON"):
        sample_lines(list_input([str(tmp_path / "bad.jsonl")]).files, "text", 100, 1, silent)


def test_a_packed_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    lines(tmp_path / "docs", "a.jsonl.gz", 1000)
    path = tmp_path / "docs" / "a.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"a.jsonl.gz: compressed file cut short or damaged.*restore it or leave it"):
        sample_lines(list_input([str(path)]).files, "text", 1 << 20, 1, silent)
