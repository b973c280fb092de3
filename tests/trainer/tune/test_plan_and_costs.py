"""What is run is priced before it is run: every part of it, with what is kept back; what does not fit is refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hellaswag_questions import examples_of
from tuning import FewRates, study

from sparkprep.errors import UserError
from sparkprep.llmc import hellaswag
from trainer.tune import plan as planning
from trainer.tune.costs import Costs, Speed, read_probes, write_probes
from trainer.tune.experiments import Experiment, Scale, Terms
from trainer.tune.settings import RATES, TuneSettings

SMALL, LARGE = Scale(1, 64, 1, 100), Scale(12, 768, 12, 4725)
SPEED = Speed(step=14, ms=12_000.0, usual_ms=11_000.0, start=60.0)


def experiment(scale: Scale, **changes: object) -> Experiment:
    return replace(Experiment("rung", 1e-3, scale, scale.warmup), **changes)  # type: ignore[arg-type]


def course(**changes: object) -> TuneSettings:
    """The course's run on its machine, where a step takes 12 seconds."""
    return TuneSettings(**changes)  # type: ignore[arg-type]


def test_the_course_s_run_costs_what_its_formula_says() -> None:
    costs = Costs(course(), {(12, 768, 12): SPEED})
    parts = costs.parts(experiment(LARGE))
    assert parts.training / 3600 == pytest.approx(12_000 * 4725 / 3.6e6)  # ms x steps / 3.6e6
    assert parts.start == 60
    # a validation of 655,360 tokens is 0.4 steps, as a pass forward is a third of a training step
    assert parts.validation == pytest.approx(655_360 / 524_288 / 3 * 12)
    assert parts.hellaswag == 0
    assert costs.price(experiment(LARGE)) == pytest.approx(1.5 * parts.seconds / 3600)
    assert costs.price(experiment(LARGE)) == pytest.approx(23.65, abs=0.05)


def test_a_run_that_stops_early_is_priced_by_what_it_does() -> None:
    costs = Costs(course(), {(12, 768, 12): SPEED})
    assert costs.parts(experiment(LARGE, stop_after=10)).training == pytest.approx(120)


def test_hellaswag_is_priced_where_it_is_asked_and_there(tmp_path: Path) -> None:
    path = tmp_path / "hellaswag_val.bin"
    hellaswag.write(str(path), examples_of(0, 5, (3, 9), (2, 5), 300))
    costs = Costs(course(hellaswag_data=str(path)), {(12, 768, 12): SPEED})
    assert costs.hellaswag_tokens > 0
    assert costs.parts(experiment(LARGE)).hellaswag == 0
    asked = costs.parts(experiment(LARGE, hellaswag=True)).hellaswag
    assert asked == pytest.approx(costs.hellaswag_tokens * 12 / 524_288 / 3)
    without = Costs(course(hellaswag_data=str(tmp_path / "none")), {(12, 768, 12): SPEED})
    assert without.parts(experiment(LARGE, hellaswag=True)).hellaswag == 0
    assert costs.final(LARGE) - without.final(LARGE) == pytest.approx(19 * asked * 1.5 / 3600)  # steps 250 ... 4725


def test_a_model_that_was_not_probed_is_told_from_the_nearest_and_no_cheaper_than_its_operations() -> None:
    costs = Costs(course(), {(12, 768, 12): SPEED})
    for depth, seconds in ((1, 0.9), (2, 1.4), (3, 2.0)):  # tiniest, tinier, tiny
        told = costs.speed(Scale(depth, 64 * depth, depth, 100)).ms / 1000
        assert seconds / 1.5 < told < seconds * 1.5
    assert costs.probed(LARGE)
    assert not costs.probed(SMALL)


def test_long_trials_save_every_ten_minutes_and_short_ones_never() -> None:
    costs = Costs(course(), {(12, 768, 12): SPEED})
    assert costs.save_every(experiment(LARGE)) == 50
    assert costs.save_every(experiment(replace(LARGE, steps=100))) == 0


def test_probes_are_kept(tmp_path: Path) -> None:
    write_probes(str(tmp_path), {(12, 768, 12): SPEED, (1, 64, 1): replace(SPEED, ms=900.5)})
    assert read_probes(str(tmp_path)) == {(12, 768, 12): SPEED, (1, 64, 1): replace(SPEED, ms=900.5)}
    (tmp_path / "probes.json").write_text('{"12/768": {}}')
    with pytest.raises(UserError, match=r"probes\.json: not the probes of a study.*probe again"):
        read_probes(str(tmp_path))


def test_without_a_probe_nothing_has_a_price() -> None:
    with pytest.raises(UserError, match=r"no model was probed yet.*`.*tune_lr\.py probe --budget 40`"):
        Costs(course(budget=40), {}).price(experiment(LARGE))


def of(tmp_path: Path, **changes: object) -> tuple[TuneSettings, Costs, Terms]:
    tune = study(tmp_path, **changes)
    costs = Costs(tune, {(1, 16, 2): Speed(12, 1000.0, 900.0, 30.0)})
    kept = planning.reserve_of(tune, costs.final(tune.target()))
    return tune, costs, Terms(tune.target(), float(tune.budget or 0) - kept, costs.price, tune.low, tune.high)


def test_the_table_adds_up_and_names_every_part(tmp_path: Path) -> None:
    tune, costs, terms = of(tmp_path)
    strategies = {"few-rates": FewRates(3)}
    plan = planning.make(strategies, tune, terms, costs, 0.01)
    assert (plan.runs, plan.steps, plan.reserve) == (3, 60, 0.1)
    assert plan.dollars == pytest.approx(3 * costs.price(experiment(replace(terms.target, steps=20))))
    lines = planning.lines(plan, tune, costs, terms.target)
    head, row = (re.split(r"\s{2,}", line) for line in lines[1:3])
    assert head == ["stage", "model", "steps", "warm-up", "runs", "rates", "hours", "start", "train", "valid.",
                    "HellaSwag", "cost"]  # fmt: skip
    assert row[:6] == ["rates", "1/16/2", "20", "2", "3", "0.001 to 0.1"]
    told = [float(cell.lstrip("$")) for cell in row[7:]]
    assert sum(told[:-1]) == pytest.approx(told[-1], abs=0.0003)
    budget = next(line for line in lines if line.startswith("budget"))
    total, *parts = (float(word) for word in re.findall(r"\$([\d.]+)", budget))
    assert total == pytest.approx(sum(parts), abs=0.02)
    low, high = plan.dollars, float(re.findall(r"\$([\d.]+)", lines[3])[1])
    assert high < low + 0.001


def test_what_the_final_run_costs_is_kept_back_unless_another_sum_is_named(tmp_path: Path) -> None:
    tune, costs, terms = of(tmp_path, reserve=None)
    final = costs.final(terms.target)
    assert final > costs.price(experiment(terms.target))  # it validates more than once
    assert planning.make({"few-rates": FewRates()}, tune, terms, costs, 0.0).reserve == final


def test_a_plan_over_the_budget_is_refused_and_the_largest_that_fits_is_proposed(tmp_path: Path) -> None:
    tune, costs, terms = of(tmp_path, budget=0.3)
    strategies = {"few-rates": FewRates(50), "some": FewRates(5), "more": FewRates(8), "most": FewRates(70)}
    with pytest.raises(UserError) as error:
        planning.make(strategies, tune, terms, costs, 0.0)
    said = str(error.value)
    assert "the plan of few-rates costs $1.0" in said
    assert "$0.20 are there for experiments (--budget 0.3, less $0.10 kept back for the final run" in said
    assert "the largest plan that fits is --strategy more: 8 experiments" in said
    with pytest.raises(UserError, match="give a larger --budget, or a smaller --reserve"):
        planning.make({"few-rates": FewRates(50)}, tune, terms, costs, 0.0)


def test_shards_too_few_for_a_rung_are_refused(tmp_path: Path) -> None:
    tune, costs, terms = of(tmp_path, steps=2000)
    strategies = {"few-rates": FewRates()}
    with pytest.raises(UserError, match=r"stage rates takes 12,800 tokens \(200 steps of 64\).*hold 6,944: too few"):
        planning.make(strategies, tune, terms, costs, 0.0)
    assert planning.make(strategies, replace(tune, allow_repeats=True), terms, costs, 0.0).runs == 3
    with pytest.raises(UserError, match="--val-tokens 512: the validation shards hold"):
        planning.make(strategies, replace(tune, val_tokens=512), terms, costs, 0.0)


def test_a_price_is_needed() -> None:
    assert course().price == RATES["g5.xlarge"] == 1.5
    assert course(price_per_hour=2).price == 2.0
    assert course(machine="h100", price_per_hour=2).price == 2.0
    with pytest.raises(UserError, match=r"--machine h100: its price is not known here.*--price-per-hour"):
        _ = course(machine="h100").price
    with pytest.raises(UserError, match="not above 0"):
        course(price_per_hour=0)


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        (
            {"seed_model": "seed.bin", "data": "shards"},
            r"make (-C \S+ )?train-final SEED_MODEL=seed\.bin LR=0\.00213 DATA=shards",
        ),
        (
            {"seed_model": "seed.bin", "data": "shards", "steps": 60, "start_step": 30},
            r"make .*DATA=shards 'ARGS=--start-step 30 --steps 60'",
        ),
        ({"data": "shards"}, r"make .*train-final SEED_MODEL=SEED_MODEL LR=0\.00213 DATA=shards"),
        (
            {"data": "a_train_*.bin", "layers": 1, "channels": 64, "heads": 1},
            r".*train_gpt2\.py -id 'a_train_\*\.bin' .* -l 0\.00213 -x 4725 -1d 1 -1c 64 -1h 1 -b 32 .* -u 472 .*",
        ),
    ],
)
def test_the_last_line_is_the_command_of_the_run_that_was_tuned(changes: dict[str, object], command: str) -> None:
    assert re.fullmatch(command, course(**changes).final_command(0.002134))


def test_a_range_that_is_none_and_a_seed_at_its_end_are_refused() -> None:
    with pytest.raises(UserError, match=r"--low 0\.01 is not below --high 0\.001"):
        course(low=0.01, high=0.001)
    with pytest.raises(UserError, match="--start-step 4725 leaves nothing"):
        course(seed_model="seed.bin", start_step=4725)
