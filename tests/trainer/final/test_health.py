"""After half an hour one line says how a paid run is: what it costs to look, and what to look at."""

import math
from pathlib import Path

import pytest
from runs_of_training import command
from short_runs import SHAPE, words

from trainer.final.cost import Estimate
from trainer.final.health import SPAN, TOLD_AFTER, HealthCheck
from trainer.loop.loop import Update, train
from trainer.settings import parse

ESTIMATE = Estimate(step_seconds=2.0, hours=3.0, dollars=4.5, steps=3600)


def line_of(
    losses: list[float], *, seconds: float = 2.0, skipped: int = 0, budget: float | None = None, stop: int = 3600
) -> str:
    """What is told of a run of these losses in the updates of half an hour, at $1.50 an hour."""
    now = [1000.0]
    said: list[str] = []
    settings = parse(command(Path("out"), Path("data"), x=4725, es=stop, **SHAPE))
    check = HealthCheck(settings, ESTIMATE, 1.5, budget, said.append, clock=lambda: now[0])
    for step, loss in enumerate(losses):
        assert not said
        now[0] += TOLD_AFTER / len(losses)
        check(step, Update(loss, 1.0, 0.1, 0.0, 0.0, seconds, "an outlier" if step < skipped else ""))
    check(len(losses), Update(math.nan, 1.0, 0.1, 0.0, 0.0, seconds, ""))
    assert len(said) == 1  # once, and not again
    return said[0]


def test_a_healthy_run_is_told_with_its_loss_speed_end_and_cost() -> None:
    line = line_of([3.5] * SPAN + [3.2] * (900 - SPAN))
    assert line.startswith("health       after 30 minutes: healthy | loss 3.2000 (3.5000 at first) | 2 s a step (2 ")
    # 900 of 3,600 updates in half an hour: an hour and a half to come, two at $1.50 in all
    assert line.endswith(", in 1.5 hours | $3.00 in all")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (line_of([3.0] * 450 + [3.1] * 450), "LOOK AT IT: the loss rises | "),
        (line_of([3.0] * 899 + [math.inf]), "LOOK AT IT: the loss is no number | "),
        (line_of([3.0] * 450, seconds=4.0), "LOOK AT IT: a step takes 2.0 times what was estimated | "),
        (line_of([3.0] * 900, skipped=7), "LOOK AT IT: 7 of 900 updates were skipped | "),
        (line_of([3.0] * 900, budget=2.5), "LOOK AT IT: it will cost more than --budget 2.5 | "),
        (line_of([3.0] * 450 + [9.0] * 450, skipped=1), "LOOK AT IT: the loss rises; 1 of 900 updates were skipped | "),
    ],
)
def test_what_somebody_should_look_at_comes_first(line: str, problem: str) -> None:
    assert problem in line


def test_a_run_that_trains_tells_it_once(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    settings = parse(words(tmp_path / "out", data, n=0))
    train(settings, HealthCheck(settings, ESTIMATE, 1.5, None, said.append, after=0.0))
    assert len(said) == 1
    assert said[0].startswith("health       after 0 minutes: healthy | loss 1")
