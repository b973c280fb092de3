"""The replay: what it says of the strategies holds on ten draws, and a replay that was killed goes on."""

import json
from pathlib import Path

import pytest
from replayed import tune_oracles, tune_replay


@pytest.mark.parametrize("seeds", [range(5), range(5, 10)], ids=str)
def test_hybrid_comes_nearest_and_its_intervals_hold_the_optimum(seeds: range) -> None:
    others = ("early-stop", "data-scaling", "model-scaling", "optuna-tpe", "random")
    rows = [tune_replay.contest(name, "gentle", seed) for name in ("hybrid", *others) for seed in seeds]
    best = tune_replay.median_regret(rows, ["gentle"], "hybrid")
    assert best < min(tune_replay.median_regret(rows, ["gentle"], other) for other in others)
    assert best < 0.001
    assert sum(bool(row["held95"]) for row in tune_replay.select(rows, ["gentle"], "hybrid")) >= 4
    assert all(float(row["dollars"] or 0) <= tune_replay.BUDGET for row in rows)


@pytest.mark.parametrize("name", [name for name in tune_replay.CONTESTANTS if name != "hybrid"])
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
