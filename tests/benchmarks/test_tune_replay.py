"""The replay: what it says of the strategies holds on ten draws, and a replay that was killed goes on."""

import json
from pathlib import Path

import pytest
from replayed import tune_oracles, tune_replay

SEEDS = range(10)


def test_hybrid_comes_nearest_on_ten_draws_and_its_intervals_hold_the_optimum() -> None:
    own = [tune_replay.contest("hybrid", "gentle", seed) for seed in SEEDS]
    rows = own + [
        tune_replay.contest(other, "gentle", seed)
        for other in ("early-stop", "data-scaling", "model-scaling", "optuna-tpe", "random")
        for seed in SEEDS
    ]
    others = {row["contestant"] for row in rows} - {"hybrid"}
    best = tune_replay.median_regret(rows, ["gentle"], "hybrid")
    assert best < min(tune_replay.median_regret(rows, ["gentle"], str(other)) for other in others)
    assert best < 0.001
    assert sum(bool(row["held95"]) for row in own) >= 8
    assert all(float(row["dollars"] or 0) <= tune_replay.BUDGET for row in rows)


@pytest.mark.parametrize("name", tune_replay.CONTESTANTS)
def test_every_contestant_gives_the_same_again(name: str) -> None:
    assert tune_replay.contest(name, "curved", 1, 16.0) == tune_replay.contest(name, "curved", 1, 16.0)


def test_a_replay_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.jsonl"
    wanted = [("literature", family, seed, 20.0) for family in tune_oracles.FAMILIES for seed in range(3)]
    whole = tune_replay.replay(path, wanted, 1)
    lines = path.read_text().splitlines()
    assert len(lines) == len(wanted)
    path.write_text("\n".join(lines[:5]) + "\n" + lines[5][:20])
    assert tune_replay.replay(path, wanted, 1) == whole
    assert len(tune_replay.kept(path, tune_replay.code())) == len(wanted)


def test_results_of_other_code_are_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"code": "old", "contestant": "literature", "regret": 0.0}) + "\n")
    assert tune_replay.kept(path, tune_replay.code()) == []


def test_what_was_reached_is_told_and_what_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    def row(contestant: str, family: str, regret: float, held: bool) -> dict:
        return {"contestant": contestant, "family": family, "regret": regret, "held68": held}

    rows = [row("hybrid", family, 0.002, place < 7) for family in ("gentle", "curved") for place in range(10)]
    rows += [row("greedy", "gentle", 0.003, True), row("greedy", "curved", 0.001, True)]
    inside, held, foreign = tune_replay.findings(rows, ["gentle", "curved"], ["hybrid", "greedy"])
    assert inside.endswith(": reached")
    assert held.endswith("70.0%, wanted 60 to 76 %: reached")
    assert foreign.startswith("curved: 2.00 times")
    assert foreign.endswith("NOT reached")
