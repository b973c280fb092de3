"""Studies of a tiny model in the tests: a strategy that needs nothing but the contract, and a tuner to be killed."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from checkout import ROOT
from runs_of_training import write_shards

from trainer.tune.experiments import Experiment, Outcome, Planned, Recommendation, Scale, Terms
from trainer.tune.settings import TuneSettings


class FewRates:
    """So many rates from the lowest to the highest, each at a tenth of the target's steps; the best of them wins."""

    name = "few-rates"

    def __init__(self, runs: int = 3) -> None:
        self.runs = runs

    def scale(self, terms: Terms) -> Scale:
        return replace(terms.target, steps=max(2, terms.target.steps // 10))

    def rates(self, terms: Terms) -> tuple[float, ...]:
        ratio = (terms.high / terms.low) ** (1 / (self.runs - 1))
        return tuple(terms.low * ratio**i for i in range(self.runs))

    def experiment(self, terms: Terms, rate: float) -> Experiment:
        scale = self.scale(terms)
        return Experiment("rates", rate, scale, scale.warmup)

    def plan(self, terms: Terms) -> list[Planned]:
        dollars = self.runs * terms.price(self.experiment(terms, terms.low))
        return [Planned("rates", self.scale(terms), self.runs, dollars, self.rates(terms))]

    def next(self, terms: Terms, outcomes: Sequence[Outcome]) -> Experiment | None:
        rates = self.rates(terms)
        return self.experiment(terms, rates[len(outcomes)]) if len(outcomes) < len(rates) else None

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        from sparkprep.errors import UserError

        whole = [outcome for outcome in outcomes if outcome.loss is not None]
        if not whole:
            raise UserError("no experiment has ended with a loss")
        best = min(whole, key=lambda outcome: outcome.loss or 0.0).experiment.learning_rate
        return Recommendation(best, (best / 2, 2 * best), (best / 4, 4 * best), 0.01)


def study(folder: Path, **options: object) -> TuneSettings:
    """A study of a model of one layer and 16 channels on shards that are made in `folder`; options replace these."""
    if not (folder / "shards").exists():
        write_shards(folder / "shards", [4000, 3000])
        write_shards(folder / "shards", [400], "val")
    values: dict[str, object] = {
        "data": str(folder / "shards"),
        "output": str(folder / "tuning"),
        "strategy": "few-rates",
        "budget": 1.0,
        "reserve": 0.1,
        "layers": 1,
        "channels": 16,
        "heads": 2,
        "steps": 200,
        "micro_batch": 2,
        "seq_len": 16,
        "total_batch": 64,
        "val_tokens": 256,
        "threads": 1,
        "device": "cpu",
        "low": 1e-3,
        "high": 1e-1,
    }
    return TuneSettings(**{**values, **options})  # type: ignore[arg-type]


def main(words: list[str]) -> int:
    """The tuner's face with the strategy of these tests among its own."""
    from trainer.commands import tune
    from trainer.tune.strategies import STRATEGIES

    STRATEGIES.setdefault(FewRates.name, FewRates())
    return tune.main(words)


COMMAND = [sys.executable, str(ROOT / "tests" / "helpers" / "tuning.py")]
"""The same in a process of its own; wants tests/helpers on PYTHONPATH."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
