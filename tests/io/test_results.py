"""The result folder of one job as the input of another: its rows are taken, and nothing that tells of the run."""

import json
from pathlib import Path

import pytest
from trees import put

from sparkprep.io.listing import list_input

DEDUP = json.dumps({"format": 1, "counts": {}, "settings": {}, "versions": {"sparkprep": "1"}})
TOKENS = json.dumps({"asked": {}, "tokens": 1, "vocabulary_sha256": "0"})


def dedup_result(folder: Path, metrics: str = DEDUP) -> None:
    for name in ("kept/part-0.parquet", "removed/part-0.parquet", "rejected/part-0.parquet", "kept-1k.snappy.parquet"):
        put(folder / name)
    put(folder / "report.html")
    put(folder / "metrics.json", metrics)


def names(folder: Path, *paths: Path) -> list[str]:
    return [str(Path(file.path).relative_to(folder)) for file in list_input(paths or [folder]).files]


def test_of_a_result_of_dedup_the_kept_documents_are_taken(tmp_path: Path) -> None:
    dedup_result(tmp_path)
    assert names(tmp_path) == ["kept/part-0.parquet"]
    assert list_input([tmp_path]).warnings == []


def test_results_lie_at_any_depth_beside_other_documents(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        dedup_result(tmp_path / "crawls" / year)
    put(tmp_path / "more/kept/b.parquet")
    assert names(tmp_path) == [
        "crawls/2023/kept/part-0.parquet",
        "crawls/2024/kept/part-0.parquet",
        "more/kept/b.parquet",
    ]


@pytest.mark.parametrize("metrics", ["no JSON", '{"loss": 3}', "[1]"])
def test_a_folder_with_somebody_elses_metrics_is_read_whole(tmp_path: Path, metrics: str) -> None:
    dedup_result(tmp_path, metrics)
    assert len(names(tmp_path)) == 4


def test_what_no_run_put_beside_the_kept_documents_is_told(tmp_path: Path) -> None:
    dedup_result(tmp_path)
    mine = put(tmp_path / "later/more.parquet")
    assert names(tmp_path) == ["kept/part-0.parquet"]
    assert list_input([tmp_path]).warnings == [f"1 file beside the kept documents of a result left out: {mine}"]


def test_a_part_of_a_result_named_outright_is_what_is_read(tmp_path: Path) -> None:
    dedup_result(tmp_path)
    assert names(tmp_path, tmp_path / "removed") == ["removed/part-0.parquet"]


def test_of_a_result_of_tokenize_the_rejected_lines_are_no_rows(tmp_path: Path) -> None:
    put(tmp_path / "t/_metrics.json", TOKENS)
    for name in ("part-0.parquet", "rejected/part-0.parquet", "shards/t_val_000000.bin", "shards/manifest.json"):
        put(tmp_path / "t" / name)
    assert names(tmp_path) == ["t/part-0.parquet"]
    put(tmp_path / "u/rejected/part-0.parquet")
    assert names(tmp_path) == ["t/part-0.parquet", "u/rejected/part-0.parquet"]
