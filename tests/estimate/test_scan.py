"""A scan tells of a sample's documents what a walk through all pairs tells, in one process as in several."""

from collections.abc import Iterator
from pathlib import Path

import corpus
import numpy as np
import pytest

from sparkprep.dedup.inputs import choose_columns
from sparkprep.dedup.kernels.bands import SLOTS
from sparkprep.dedup.settings import Settings
from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.emr.cost.formula import Factor
from sparkprep.estimate import scan as scanning
from sparkprep.estimate.expected import duplicates_of, shuffled_of
from sparkprep.estimate.sample import plan_windows
from sparkprep.estimate.scan import Sampled, Seen, sampled_of, scan
from sparkprep.io.arrow import matrix_from_binary
from sparkprep.io.listing import list_input

SETTINGS = Settings()


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> InputSummary:
    rows = corpus.documents(families=60)
    rows += [{**row, "id": f"again-{row['id']}"} for row in rows[:9]]
    rows.append({"id": "blank", "text": " ", "url": "", "score": 1})
    return summarise(list_input([corpus.write(tmp_path_factory.mktemp("in") / "docs", rows, files=3)]).files)


def seen_by(summary: InputSummary, sample: int, processes: int = 1, seed: int = 1) -> tuple[Sampled, Seen, Documents]:
    columns = choose_columns(summary.schema, SETTINGS)
    sampled = sampled_of(plan_windows(summary, sample, seed), columns, SETTINGS)
    documents = plan(summary, 2)
    return sampled, scan(documents, sampled, columns, SETTINGS, processes, lambda done: None), documents


def by_hand(summary: InputSummary) -> dict[int, tuple[bool, bool, bool]]:
    """{key: (whether it shares a bucket with another text, has such a one before it near, is a later copy)}."""
    columns = choose_columns(summary.schema, SETTINGS)
    rows = [row for n in range(1) for row in scanning._signatures(plan(summary, 1), n, columns, SETTINGS)]
    found: dict[int, tuple[bool, bool, bool]] = {}
    documents = [
        (key, rank, text, set(bands.tolist()), tiny)
        for batch in rows
        for key, rank, text, words, bands, tiny in zip(
            batch["__key"].to_pylist(), batch["rank"].to_pylist(), batch["text_hash"].to_pylist(),
            batch["shingles"].to_pylist(), matrix_from_binary(batch["bands"], np.uint64),
            matrix_from_binary(batch["tiny"], np.uint8), strict=True,
        )
        if words
    ]  # fmt: skip
    for key, rank, text, bands, tiny in documents:
        others = [each for each in documents if each[0] != key and each[2] != text and each[3] & bands]
        near = any(
            (each[1], each[0]) < (rank, key) and (each[4] == tiny).sum() >= SETTINGS.threshold * SLOTS
            for each in others
        )
        copy = any(each[2] == text and (each[1], each[0]) < (rank, key) for each in documents)
        found[key] = (bool(others), near, copy)
    return found


@pytest.mark.parametrize("sample", [64, 10_000])
def test_what_is_seen_is_what_a_walk_through_all_pairs_finds(
    summary: InputSummary, sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_PAIRS", 7)
    sampled, seen, _ = seen_by(summary, sample)
    truth = by_hand(summary)
    assert len(sampled.key) == (len(truth) if sample > summary.rows else 64)
    for number, key in enumerate(sampled.key.tolist()):
        shared, near, copy = truth[key]
        assert (seen.first[number] != sampled.place[number]) == copy
        if not copy:  # of a copy it does not matter
            assert (bool(seen.shared[number]), bool(seen.near[number])) == (shared, near)
    assert (seen.documents, seen.words) == (summary.rows, summary.rows - 1)


def test_processes_see_what_one_sees(summary: InputSummary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkprep.documents.parquet.pieces.LEAST_PIECE_BYTES", 1 << 14)
    _, alone, documents = seen_by(summary, 100)
    assert len(documents.pieces) > 2
    _, together, _ = seen_by(summary, 100, processes=2)
    assert together.first == alone.first
    assert together.shared.tolist() == alone.shared.tolist()
    assert together.near.tolist() == alone.near.tolist()
    assert together.texts.tolist() == alone.texts.tolist()
    assert (together.documents, together.text_bytes) == (alone.documents, alone.text_bytes)


def test_the_share_that_is_told_is_right_on_average_over_samples(summary: InputSummary) -> None:
    truth = sum(near or copy for _, near, copy in by_hand(summary).values())
    told = []
    for seed in range(12):
        windowed = plan_windows(summary, 64, seed)
        sampled, seen, _ = seen_by(summary, 64, seed=seed)
        sizes = (windowed.ends - windowed.starts).tolist()
        told.append(duplicates_of(sampled, seen, sizes, float(summary.rows), SETTINGS.bucket_cap).removed)
    assert np.mean([each.expected for each in told]) == pytest.approx(truth, rel=0.15)
    assert sum(each.low <= truth <= each.high for each in told) >= 10


@pytest.mark.parametrize("copies", [1, 4])
def test_documents_of_oversized_buckets_are_found_and_copies_make_none(tmp_path: Path, copies: int) -> None:
    """A bucket of 60 variants of a text is above a cap of 20, copies counting once; buckets of unlike ones are not."""
    words = [f"w{n}" for n in range(120)]
    alike = [" ".join([*words[:n], "other", *words[n + 1 :]]) for n in range(60)]
    unlike = [" ".join(f"u{n}x{place}" for place in range(50)) for n in range(60)]
    texts = [*alike, *unlike] if copies == 1 else [*alike[:15] * copies, *unlike]
    rows: list[dict[str, object]] = [{"id": f"{n}", "text": text} for n, text in enumerate(texts)]
    summary = summarise(list_input([corpus.write(tmp_path / "docs", rows)]).files)
    sampled, seen, _ = seen_by(summary, 1000)
    windowed = plan_windows(summary, 1000, 1)
    found = duplicates_of(sampled, seen, (windowed.ends - windowed.starts).tolist(), float(len(rows)), cap=20)
    assert found.oversized.expected == pytest.approx(60 if copies == 1 else 0, abs=1)
    assert len(found.warnings) == (copies == 1)
    shuffled = shuffled_of(["dedup"], SETTINGS, True, *[Factor(120, 120, 120)] * 3, found)["dedup"]
    assert (shuffled.high > 2 * shuffled.low) == (copies == 1)


@pytest.mark.parametrize("variants", [1, 3000])
def test_alike_documents_are_not_compared_pair_by_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variants: int
) -> None:
    """Of copies one in a batch stands for all, and what is known of a document of the sample is not asked again."""
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join([*words, f"v{n % variants}"]) for n in range(3000)]
    rows: list[dict[str, object]] = [{"id": f"{n:04}", "text": text} for n, text in enumerate(texts)]
    summary = summarise(list_input([corpus.write(tmp_path / "docs", rows)]).files)
    pairs, compared = scanning._pairs, []

    def counted(*given: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for found in pairs(*given):
            compared.append(len(found[0]))
            yield found

    monkeypatch.setattr(scanning, "_pairs", counted)
    sampled, seen, _ = seen_by(summary, 1000)
    assert sum(compared) < 0.3 * len(sampled.key) * len(rows) * SETTINGS.banding.bands
    assert seen.near.sum() == (variants > 1) * (len(sampled.key) - 1)
