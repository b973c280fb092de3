"""The priced table of what a strategy will run, before a cent is spent on it, held against the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sparkprep.errors import UserError
from trainer.data.loader import Loader, open_shards
from trainer.loop.validation import check_val_tokens
from trainer.tune.costs import Costs, Parts, model_name, size_of
from trainer.tune.experiments import Experiment, Planned, Scale, Strategy, Terms
from trainer.tune.settings import TuneSettings
from trainer.tune.tables import money

_HEAD = (
    *("stage", "model", "steps", "warm-up", "runs", "rates", "hours"),
    *("start", "train", "valid.", "HellaSwag", "cost"),
)
_CENT = 0.005


@dataclass(frozen=True)
class Plan:
    """What is to be run. budget: dollars in all; reserve: of these for the final run; spent: before the plan."""

    strategy: str
    stages: Sequence[Planned]
    budget: float
    reserve: float
    spent: float
    steps: int
    final: float

    @property
    def dollars(self) -> float:
        """Of all experiments."""
        return sum(stage.dollars for stage in self.stages)

    @property
    def runs(self) -> int:
        """How many experiments there are."""
        return sum(stage.runs for stage in self.stages)


def make(strategies: Mapping[str, Strategy], tune: TuneSettings, terms: Terms, costs: Costs, spent: float) -> Plan:
    """Return the plan of the settings' strategy. spent: on probes, which the terms' budget is without.

    Raises UserError where it is over the budget, with the largest plan that is not, and where shards are too few.
    """
    strategy = named(strategies, tune.strategy)
    budget, final = float(tune.budget or 0), costs.final(terms.target)
    reserve = reserve_of(tune, final)
    try:
        stages = strategy.plan(terms)
        dollars = sum(stage.dollars for stage in stages)
        if dollars > terms.budget + _CENT:
            raise UserError(f"the plan of {strategy.name} costs {money(dollars)}")
    except UserError as error:
        has = (
            f"{money(max(0.0, terms.budget))} are there for experiments (--budget {budget:g}, less {money(reserve)} "
            f"kept back for the final run and {money(spent)} spent on probes)"
        )
        raise UserError(f"{error}; {has}; {_proposal(strategies, tune, terms)}") from error
    check_tokens(tune, stages)
    return Plan(strategy.name, stages, budget, reserve, spent, sum(s.runs * s.scale.steps for s in stages), final)


def named(strategies: Mapping[str, Strategy], name: str) -> Strategy:
    """Return a strategy by its name. Raises UserError for one that there is not."""
    from sparkprep.pasted import did_you_mean

    if name not in strategies:
        near = did_you_mean(name, list(strategies)) or ""
        raise UserError(f"--strategy {name}: there is none of that name{near}; there are {', '.join(strategies)}")
    return strategies[name]


def reserve_of(tune: TuneSettings, final: float) -> float:
    """Return the dollars that no experiment may touch: those asked for, or what the final run costs."""
    return final if tune.reserve is None else float(tune.reserve)


def _proposal(strategies: Mapping[str, Strategy], tune: TuneSettings, terms: Terms) -> str:
    """Return what to do where a plan is too dear: the largest that fits, of whatever strategy."""
    fitting: list[tuple[float, int, str]] = []
    for name, strategy in strategies.items():
        try:
            stages = strategy.plan(terms)
        except UserError:
            continue
        dollars = sum(stage.dollars for stage in stages)
        if name != tune.strategy and dollars <= terms.budget:
            fitting.append((dollars, sum(stage.runs for stage in stages), name))
    if not fitting:
        return "no strategy has a plan for that; give a larger --budget, or a smaller --reserve"
    dollars, runs, name = max(fitting)
    return f"the largest plan that fits is --strategy {name}: {runs} experiments, {money(dollars)}"


def check_tokens(tune: TuneSettings, stages: Sequence[Planned]) -> None:
    """Raise UserError where the shards do not last for a stage's updates, or for a validation."""
    train, val = tune.patterns
    check_val_tokens(open_shards(val, "--data"), tune.val_tokens, tune.seq_len)
    loader = Loader(open_shards(train, "--data"), tune.micro_batch, tune.seq_len, None, "--data")
    have = loader.windows * loader.window
    for stage in stages:
        needed = stage.scale.steps * tune.total_batch
        if needed > have and not tune.allow_repeats:
            raise UserError(
                f"--data {tune.data}: stage {stage.stage} takes {needed:,} tokens ({stage.scale.steps:,} steps of "
                f"{tune.total_batch:,}) and the training shards hold {have:,}: too few, so that rungs would differ in "
                "more than their length; make more shards, or bear the repetition with --allow-repeats"
            )


def lines(plan: Plan, tune: TuneSettings, costs: Costs, target: Scale) -> list[str]:
    """Return the plan as it is printed: a row for each stage, the sum, and what is left of the budget."""
    rows = [_HEAD, *(_row(stage, costs) for stage in plan.stages)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = [
        "  ".join(cell.ljust(width) if column in (0, 1, 5) else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
    usual = _usual(plan, costs)
    speed = costs.speed(target)
    hellaswag = "" if costs.hellaswag_tokens else f"; without HellaSwag, as {tune.hellaswag_data} is not there"
    return [
        f"plan         {plan.strategy}: {plan.runs} experiments, {plan.steps:,} steps; "
        f"{money(tune.price)} an hour{hellaswag}",
        *table,
        f"experiments  {money(plan.dollars)} where every step is as slow as the slowest probed, "
        f"{money(usual)} where it is as usual",
        f"budget       {money(plan.budget)}: {money(plan.spent)} probes, {money(plan.dollars)} experiments, "
        f"{money(plan.reserve)} kept back, {money(plan.budget - plan.spent - plan.dollars - plan.reserve)} left",
        f"final run    {target.steps:,} steps of {speed.ms:,.0f} ms: {plan.final / tune.price:.2f} hours, "
        f"{money(plan.final)}",
    ]


def _row(stage: Planned, costs: Costs) -> tuple[str, ...]:
    parts = _parts(stage, costs)
    dollars = [f"{money(stage.runs * costs.dollars(each))}"
               for each in (parts.start, parts.training, parts.validation, parts.hellaswag)]  # fmt: skip
    return (
        stage.stage,
        model_name(size_of(stage.scale)) + ("" if costs.probed(stage.scale) else " (not probed)"),
        f"{stage.scale.steps:,}",
        f"{stage.scale.warmup:,}",
        str(stage.runs),
        "by what comes before" if stage.rates is None else _range(stage.rates),
        f"{stage.runs * parts.seconds / 3600:.2f}",
        *dollars,
        f"{money(stage.dollars)}",
    )


def _range(rates: Sequence[float]) -> str:
    return f"{rates[0]:.2g}" if len(rates) == 1 else f"{min(rates):.2g} to {max(rates):.2g}"


def _parts(stage: Planned, costs: Costs) -> Parts:
    rate = stage.rates[0] if stage.rates else 1e-3  # on which nothing hangs
    return costs.parts(Experiment(stage.stage, rate, stage.scale, stage.scale.warmup, hellaswag=stage.hellaswag))


def _usual(plan: Plan, costs: Costs) -> float:
    """Return the dollars of a plan where no step is slower than the median one."""
    usual = {size: replace(speed, ms=speed.usual_ms) for size, speed in costs.speeds.items()}
    cheaper = Costs(costs.tune, usual)
    shares = [stage.dollars / max(1e-12, costs.dollars(_parts(stage, costs).seconds)) for stage in plan.stages]
    return sum(
        share * cheaper.dollars(_parts(stage, cheaper).seconds)
        for stage, share in zip(plan.stages, shares, strict=True)
    )
