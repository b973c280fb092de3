"""The result folder of one job as the input of another: its rows are taken, and nothing that tells of the run."""

import json
from pathlib import Path

import pytest
from trees import put

from sparkprep.errors import UserError
from sparkprep.io.listing import list_input
from sparkprep.io.results import job_of

DEDUP = json.dumps({"format": 1, "counts": {}, "settings": {}, "versions": {"sparkprep": "1"}})
TOKENS = json.dumps({"asked": {}, "tokens": 1, "vocabulary_sha256": "0"})


def dedup_result(folder: Path, metrics: str = DEDUP) -> None:
    for name in ("kept/part-0.parquet", "removed/part-0.parquet", "rejected/part-0.parquet", "kept-1k.snappy.parquet"):
        put(folder / name)
    put(folder / "report.html")
    put(folder / "metrics.json", metrics)


def extract_result(folder: Path) -> None:
    for name in ("documents/part-0.parquet", "rejected/part-0.parquet"):
        put(folder / name)
    parts = [{"name": "part-0.parquet"}]
    put(folder / "metrics.json", json.dumps({"records": 2, "documents": 1, "without_document": {}, "parts": parts}))


def names(folder: Path, *paths: Path) -> list[str]:
    return [str(Path(file.path).relative_to(folder)) for file in list_input(paths or [folder]).files]


def test_of_a_result_of_dedup_the_kept_documents_are_taken(tmp_path: Path) -> None:
    dedup_result(tmp_path)
    assert names(tmp_path) == ["kept/part-0.parquet"]
    assert list_input([tmp_path]).warnings == []


def test_of_a_result_of_extract_the_documents_are_taken(tmp_path: Path) -> None:
    extract_result(tmp_path / "pages")
    mine = put(tmp_path / "pages/more.parquet")
    assert names(tmp_path) == ["pages/documents/part-0.parquet"]
    assert list_input([tmp_path]).warnings == [f"1 file beside the documents of a result left out: {mine}"]


def test_a_result_of_extract_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    extract_result(tmp_path)
    (tmp_path / "documents/part-0.parquet").unlink()
    put(tmp_path / "documents/part-1.parquet")
    with pytest.raises(UserError, match=r"documents/part-0.parquet, which metrics.json lists, is not there"):
        names(tmp_path)


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
    assert list_input([tmp_path]).warnings == [f"1 file beside the documents of a result left out: {mine}"]


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


@pytest.mark.parametrize("metrics", [None, "no JSON"])
def test_a_result_without_its_metrics_is_refused_and_its_kept_documents_are_not(
    tmp_path: Path, metrics: str | None
) -> None:
    for name in ("kept", "removed", "audit/rows"):
        put(tmp_path / "in/half" / name / "part-00000.snappy.parquet")
    if metrics:
        put(tmp_path / "in/half/metrics.json", metrics)
    for asked in (tmp_path / "in", tmp_path / "in/half"):
        with pytest.raises(
            UserError, match=rf"^{tmp_path}/in/half: .*no metrics\.json of one.*name {tmp_path}/in/half/k"
        ):
            list_input([asked])
    assert names(tmp_path, tmp_path / "in/half/kept") == ["in/half/kept/part-00000.snappy.parquet"]


def listed(*parts: str) -> list[dict[str, object]]:
    return [{"name": name, "rows": 1, "bytes": 1, "sha256": "0"} for name in parts]


@pytest.mark.parametrize("folder", ["", "year=2024"])
def test_a_result_without_a_part_that_its_metrics_list_is_refused(tmp_path: Path, folder: str) -> None:
    parts = ["part-00000.snappy.parquet", "part-00001.snappy.parquet", "part-00002.snappy.parquet"]
    dedup = json.dumps({**json.loads(DEDUP), "parts": {"kept": listed(*parts)}})
    tokens = json.dumps({**json.loads(TOKENS), "parts": listed(*parts)})
    for result, metrics, content, rows in (("d", "metrics.json", dedup, "kept"), ("t", "_metrics.json", tokens, "")):
        place = tmp_path / result / folder
        put(place / metrics, content)
        for name in parts:
            put(place / rows / name)
        assert len(names(tmp_path, tmp_path / result)) == 3
        (place / rows / parts[1]).unlink()
        with pytest.raises(
            UserError, match=f"{place}: not whole: {place / rows / parts[1]}, which {metrics} lists, is"
        ):
            list_input([tmp_path / result])
        (place / rows / parts[2]).unlink()
        with pytest.raises(UserError, match=f"{parts[1]} and 1 more, which"):
            list_input([tmp_path / result])


@pytest.mark.parametrize(
    ("metrics", "job"),
    [
        ({"records": 1, "documents": 1, "without_document": {}}, "extract"),
        ({"rules": [], "counts": {}, "settings": {}}, "filter"),
        ({"candidates": {}, "counts": {}, "settings": {}}, "dedup"),
    ],
)
def test_it_is_known_which_job_has_made_a_result(tmp_path: Path, metrics: dict[str, object], job: str) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert job_of(str(tmp_path), "") == job


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("metrics.json", "not of a finished result that could be asked; ADVICE"),
        ("_metrics.json", "a result of `tokenize`, which decides nothing about documents; ADVICE"),
        ("manifest.json", "a result of `shards`"),
        ("other.json", r"holds no metrics\.json"),
    ],
)
def test_what_decides_nothing_about_documents_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_text('{"of": "others"}')
    with pytest.raises(UserError, match=said):
        job_of(str(tmp_path), "ADVICE")
