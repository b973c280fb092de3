"""All strategies of the learning-rate tuner, Optuna's TPE and random search with the same dollars on made-up sweeps.

`python benchmarks/tune_replay.py --results replay.jsonl` plays 200 draws of each family of `tune_oracles.py` and prints
regret, distance to the optimum and how often the intervals held it. Results are kept as they come: started again, it
goes on. Lines that other code has made are left aside.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one thread a process: matrices are small
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import optuna  # noqa: E402
import tune_oracles  # noqa: E402

from trainer.tune import literature  # noqa: E402
from trainer.tune.experiments import Outcome, Terms  # noqa: E402
from trainer.tune.strategies import STRATEGIES  # noqa: E402
from trainer.tune.strategies.common import left, of_steps, whole  # noqa: E402

BUDGET = 20.0
HORIZON = 24
"""Searches without a plan look at runs shorter than the target by this: some twenty of them for the budget."""
Result = dict[str, float | str | bool | None]


def search(terms: Terms, run: Callable[..., Outcome], sampler: optuna.samplers.BaseSampler) -> list[Outcome]:
    """Return the outcomes of rates that a sampler asks for, on runs of one length, until the budget is spent."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler)
    scale = of_steps(terms.target, terms.target.steps // HORIZON)
    outcomes: list[Outcome] = []
    while terms.price(whole("search", terms.low, scale)) <= left(terms, outcomes):
        trial = study.ask()
        outcome = run(whole("search", trial.suggest_float("rate", terms.low, terms.high, log=True), scale))
        study.tell(trial, 11.0 if outcome.loss is None else outcome.loss)
        outcomes.append(outcome)
    return outcomes


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """Return Optuna's tree-structured Parzen estimator, every choice pinned that versions differ in."""
    return optuna.samplers.TPESampler(
        n_startup_trials=6, n_ei_candidates=24, multivariate=False, constant_liar=False, seed=seed
    )


SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "optuna-tpe": tpe,
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
CONTESTANTS = (*STRATEGIES, *SAMPLERS)


def contest(contestant: str, family: str, seed: int, budget: float = BUDGET) -> Result:
    """Return how a contestant fares on one draw of a family.

    A sampler's best rate is moved to the target's length by the published exponent, as `early-stop` moves its own.
    """
    oracle = tune_oracles.draw(family, seed)
    terms = Terms(oracle.target, budget, tune_oracles.price, seed=seed)
    held68: bool | None = None
    held95: bool | None = None
    if contestant in SAMPLERS:
        outcomes = search(terms, oracle.run, SAMPLERS[contestant](seed))
        _, best = min(
            (math.inf if each.loss is None else each.loss, each.experiment.learning_rate) for each in outcomes
        )
        rate = best * HORIZON ** -literature.HORIZON_SLOPE[0]
    else:
        outcomes = STRATEGIES[contestant].play(terms, oracle.run)
        advised = STRATEGIES[contestant].recommend(terms, outcomes)
        rate, optimum = advised.learning_rate, 2**oracle.optimum
        held68 = advised.interval68[0] <= optimum <= advised.interval68[1]
        held95 = advised.interval95[0] <= optimum <= advised.interval95[1]
    return {
        "family": family,
        "seed": seed,
        "contestant": contestant,
        "budget": budget,
        "regret": oracle.regret(rate),
        "octaves": oracle.distance(rate),
        "held68": held68,
        "held95": held95,
        "dollars": sum(each.dollars for each in outcomes),
        "runs": len(outcomes),
    }


def code() -> str:
    """Return a digest of all that results depend on: tuner, oracles and this script."""
    here = Path(__file__).resolve()
    tuner = here.parents[1] / "train" / "trainer" / "tune"
    pure = [*tuner.glob("strategies/*.py"), *(tuner / f"{name}.py" for name in _PURE)]
    digest = hashlib.sha256(optuna.__version__.encode())
    for path in sorted([*pure, here, here.with_name("tune_oracles.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_PURE = ("experiments", "literature", "posterior", "fit", "advice", "parabola")


def kept(path: Path, version: str) -> list[Result]:
    """Return the results in a file that this code has made; a last line cut off by a kill counts for nothing."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row.get("code") == version:
            rows.append(row)
    return rows


def replay(path: Path, wanted: Iterable[tuple[str, str, int, float]], jobs: int) -> list[Result]:
    """Play what is wanted and not kept yet, each result written as it comes, and return all that is wanted."""
    version = code()
    done = {_key(row): row for row in kept(path, version)}
    tasks = list(wanted)
    missing = [task for task in tasks if task not in done]
    with path.open("a", encoding="utf-8") as out, ProcessPoolExecutor(jobs) as pool:
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            out.write("\n")
        futures = [pool.submit(contest, *task) for task in missing]
        for number, future in enumerate(as_completed(futures), 1):
            row = future.result() | {"code": version}
            done[_key(row)] = row
            out.write(json.dumps(row) + "\n")
            out.flush()
            if number % 500 == 0:
                print(f"{number} of {len(missing)}", file=sys.stderr)
    return [done[task] for task in tasks]


def _key(row: Result) -> tuple[str, str, int, float]:
    return str(row["contestant"]), str(row["family"]), int(row["seed"] or 0), float(row["budget"] or 0)


def table(rows: Sequence[Result], families: Sequence[str], contestants: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a Markdown table, a row for each family and contestant, the least median regret first."""
    yield "| family | by | regret, median | mean | beyond the wall | octaves off | 68 % held | 95 % held | $ | runs |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for family in families:
        for name in sorted(contestants, key=lambda name: median_regret(rows, [family], name)):
            here = select(rows, [family], name)
            numbers = (
                f"{median_regret(rows, [family], name):.5f}",
                f"{_mean(here, 'regret'):.4f}",
                f"{np.mean([row['regret'] == tune_oracles.DIVERGED for row in here]):.1%}",
                f"{np.median([abs(float(row['octaves'] or 0)) for row in here]):.2f}",
                _share(here, "held68"),
                _share(here, "held95"),
                f"{_mean(here, 'dollars'):.2f}",
                f"{_mean(here, 'runs'):.0f}",
            )
            yield f"| {family} | {name} | {' | '.join(numbers)} |"


def select(rows: Iterable[Result], families: Sequence[str], contestant: str) -> list[Result]:
    """Return the results of a contestant on some families."""
    return [row for row in rows if row["family"] in families and row["contestant"] == contestant]


def median_regret(rows: Iterable[Result], families: Sequence[str], contestant: str) -> float:
    """Return the median regret of a contestant over all draws of some families, in nats."""
    return float(np.median([float(row["regret"] or 0) for row in select(rows, families, contestant)]))


def findings(rows: Sequence[Result], families: Sequence[str], contestants: Sequence[str]) -> Iterator[str]:
    """Yield what the default strategy was meant to reach, and whether it did, for the families that were played."""
    others = [name for name in contestants if name != "hybrid"]
    inside = [family for family in families if family in tune_oracles.INSIDE]
    if inside:
        own = median_regret(rows, inside, "hybrid")
        best = min(others, key=lambda name: median_regret(rows, inside, name))
        beside = median_regret(rows, inside, best)
        yield f"inside: median regret {own:.5f}; of the best other, {best}, {beside:.5f}: {_word(own < beside)}"
        held = float(np.mean([bool(row["held68"]) for row in select(rows, inside, "hybrid")]))
        yield f"inside: the 68 % interval held {held:.1%}, wanted 60 to 76 %: {_word(0.6 <= held <= 0.76)}"
    for family in families:
        if family in tune_oracles.FOREIGN:
            best = min(others, key=lambda name: median_regret(rows, [family], name))
            ratio = median_regret(rows, [family], "hybrid") / median_regret(rows, [family], best)
            word = _word(ratio <= 1.25)
            yield f"{family}: {ratio:.2f} times the regret of the best other, {best}; wanted 1.25: {word}"


def _word(reached: bool) -> str:
    return "reached" if reached else "NOT reached"


def _mean(rows: Sequence[Result], name: str) -> float:
    return float(np.mean([float(row[name] or 0) for row in rows]))


def _share(rows: Sequence[Result], name: str) -> str:
    held = [bool(row[name]) for row in rows if row[name] is not None]
    return f"{np.mean(held):.0%}" if held else "none given"


def main() -> int:
    """Play, print the table and what was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("tune_replay.jsonl"), help="default %(default)s")
    parser.add_argument(
        "--seeds", type=int, default=200, metavar="N", help="draws of each family (default %(default)s)"
    )
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="the first draw (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default %(default)s)")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="DOLLARS", help="default %(default)s")
    parser.add_argument("--families", nargs="+", choices=tune_oracles.FAMILIES, default=list(tune_oracles.FAMILIES))
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="contestants")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    wanted = [
        (contestant, family, seed, given.budget)
        for seed in seeds
        for family in given.families
        for contestant in given.only
    ]
    rows = replay(given.results, wanted, max(1, given.jobs))
    print("\n".join(table(rows, given.families, given.only)))
    if "hybrid" in given.only and len(given.only) > 1:
        print("\n" + "\n".join(findings(rows, given.families, given.only)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
