"""A study with the real trainer: paid while it runs, stopped before the line, gone on with after any end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tuning
from checkout import ROOT, TRAIN
from mounts import full_disk
from tuning import COMMAND, FewRates, study

from sparkprep.errors import UserError
from trainer.checkpoints import model_file
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.runs import log as run_log
from trainer.tune import runner
from trainer.tune.costs import Speed, write_probes
from trainer.tune.experiments import Experiment, Outcome, Planned, Strategy, Terms
from trainer.tune.ledger import AHEAD, Ledger
from trainer.tune.settings import TuneSettings
from trainer.tune.study import opened, there
from trainer.tune.tuner import Finished, Tuner, tuned

STRATEGIES = {"few-rates": FewRates()}


def results(outcomes: list[Outcome]) -> list[tuple[float, float | None]]:
    return [(outcome.experiment.learning_rate, outcome.loss) for outcome in outcomes]


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the undisturbed study has said."""
    return []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> tuple[TuneSettings, Finished]:
    """A study that nothing disturbed; not to be changed."""
    tune = study(tmp_path_factory.mktemp("whole"))
    return tune, tuned(tune, STRATEGIES, told.append)


def start(tune: TuneSettings, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{TRAIN}:{ROOT / 'tests' / 'helpers'}"}
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*COMMAND, "run", *tune.words()], stdout=stream, stderr=subprocess.STDOUT, env=environment
        )


def wait_for(what: Callable[[], object], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it has not come"
        time.sleep(0.02)


def steps_logged(tune: TuneSettings, trial: int) -> int:
    path = Path(tune.folder) / "trials" / f"{trial:04d}" / "main.log"
    return path.read_bytes().count(b" trl:") if path.exists() else 0


def trainers() -> list[psutil.Process]:
    """Of whatever tuner of these tests."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(word.endswith("train_gpt2.py") for word in words) and any("/tuning/trials/" in word for word in words):
            found.append(process)
    return found


@pytest.mark.slow
def test_a_study_probes_plans_runs_and_recommends(whole: tuple[TuneSettings, Finished], told: list[str]) -> None:
    tune, finished = whole
    assert (finished.stopped, len(finished.outcomes)) == ("", 3)
    assert finished.recommendation is not None
    assert finished.recommendation.learning_rate in [rate for rate, _ in results(finished.outcomes)]
    kinds = [line.split()[0] for line in told]
    assert kinds[:4] == ["probe", "probe", "estimate", "plan"]
    assert kinds.count("trial") == 6  # each begun, and each ended
    slowest = re.search(r"slowest of steps 10 to 19 was step (\d+) with ([\d.,]+) ms", told[1])
    assert slowest is not None
    log = run_log.read(os.path.join(tune.folder, "probes", "1-16-2", "main.log"))
    assert len(log.ms) == 20
    worst = 10 + int(np.argmax(log.ms[10:]))
    assert (int(slowest[1]), float(slowest[2].replace(",", ""))) == (worst, pytest.approx(log.ms[worst]))
    hours = float(re.search(r"= ([\d.]+) hours", told[2])[1])  # type: ignore[index]
    assert hours == pytest.approx(log.ms[worst] * 200 / 3.6e6, abs=0.006)


@pytest.mark.slow
def test_a_trial_leaves_its_command_its_parameters_and_its_log_and_no_weights(
    whole: tuple[TuneSettings, Finished],
) -> None:
    tune, _ = whole
    folder = Path(tune.folder) / "trials" / "0001"
    names = {"command.txt", "run_parameters.txt", "main.log", "console.log"}
    assert {path.name for path in folder.iterdir()} == names | {".lock"}
    assert "-l 0.01 " in (folder / "command.txt").read_text()
    assert len(run_log.read(str(folder / "main.log")).train) == 20


@pytest.mark.slow
def test_the_ledger_is_what_the_outcomes_and_the_probe_were_charged(whole: tuple[TuneSettings, Finished]) -> None:
    tune, finished = whole
    ledger = Ledger(tune.folder)
    parts = [*(outcome.dollars for outcome in finished.outcomes), ledger.of("probe 1/16/2")[1]]
    assert ledger.dollars == finished.spent == pytest.approx(sum(parts))
    for number, outcome in enumerate(finished.outcomes):
        log = run_log.read(os.path.join(tune.folder, "trials", f"{number:04d}", "main.log"))
        assert outcome.seconds > log.ms.sum() / 1000  # start-up and validation are charged too
        assert outcome.dollars == pytest.approx(1.5 * outcome.seconds / 3600)


@pytest.mark.slow
def test_given_again_a_finished_study_runs_and_charges_nothing(whole: tuple[TuneSettings, Finished]) -> None:
    tune, finished = whole
    before = (Path(tune.folder) / "ledger.jsonl").read_bytes()
    assert tuned(tune, STRATEGIES, lambda line: None) == finished
    assert (Path(tune.folder) / "ledger.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["in the probe", "at the start of a trial", "in a trial", "after a trial"])
def test_killed_at_any_moment_it_goes_on_and_nothing_is_run_or_charged_twice(
    moment: str, whole: tuple[TuneSettings, Finished], tmp_path: Path
) -> None:
    tune = study(tmp_path)
    reached = {
        "in the probe": lambda: (Path(tune.folder) / "probes" / "1-16-2" / "main.log").exists(),
        "at the start of a trial": lambda: (Path(tune.folder) / "trials" / "0000" / "console.log").exists(),
        "in a trial": lambda: steps_logged(tune, 1) >= 5,
        "after a trial": lambda: steps_logged(tune, 1) == 20,
    }[moment]
    begun = time.monotonic()
    with start(tune, tmp_path / "out.txt") as process:
        wait_for(reached)
        process.send_signal(signal.SIGKILL)
    used = time.monotonic() - begun
    paid = Ledger(tune.folder).dollars * 3600 / 1.5
    assert paid <= used + AHEAD
    wait_for(lambda: not trainers(), 60)  # nothing runs on that nobody pays for
    said: list[str] = []
    finished = tuned(tune, STRATEGIES, said.append)
    assert results(finished.outcomes) == results(whole[1].outcomes)  # to the last digit, resumed or not
    numbers = there(tune).numbers()
    assert numbers == [0, 1, 2]
    for number in numbers:
        steps = run_log.read(os.path.join(tune.folder, "trials", f"{number:04d}", "main.log")).train.steps.tolist()
        assert steps == list(range(20))
    ledger = Ledger(tune.folder)
    assert ledger.dollars * 3600 / 1.5 <= time.monotonic() - begun + AHEAD
    lines = (Path(tune.folder) / "trials" / "0001" / "main.log").read_text().count(" trl:")
    if moment == "in a trial":
        assert lines == 20  # it went on from its last whole update


@pytest.mark.slow
def test_ctrl_c_ends_the_trial_and_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    tune = study(tmp_path)
    with start(tune, tmp_path / "out.txt") as process:
        wait_for(lambda: steps_logged(tune, 0) >= 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert not trainers()
    last = (tmp_path / "out.txt").read_text().splitlines()[-1]
    assert re.fullmatch(r"interrupted: trial 0 was stopped; .*the same command goes on with it", last)
    assert len(tuned(tune, STRATEGIES, lambda line: None).outcomes) == 3


class TooLong(FewRates):
    """One experiment that the strategy takes for free."""

    name = "too-long"

    def experiment(self, terms: Terms, rate: float) -> Experiment:
        return replace(super().experiment(terms, rate), scale=replace(terms.target, steps=5000))

    def plan(self, terms: Terms) -> list[Planned]:
        return []


@pytest.mark.slow
def test_it_stops_before_the_line_and_goes_on_with_a_larger_budget(
    tmp_path: Path,
) -> None:
    # a trial of minutes, for which a price per step of next to nothing is told, as on a machine that became slower
    tune = study(tmp_path, strategy="too-long", reserve=0.0, budget=1.0, steps=5000, allow_repeats=True)
    strategies = {"too-long": TooLong(2)}
    with opened(tune) as held:
        tuner = Tuner(held, strategies, lambda line: None)
        tuner.probe()
        spent = held.ledger.dollars
        speed = held.costs.speeds[(1, 16, 2)]
    seconds = 45.0
    short = study(
        tmp_path, strategy="too-long", reserve=0.0, budget=spent + 1.5 * seconds / 3600, steps=5000, allow_repeats=True
    )
    with opened(short) as held:
        held.costs.speeds[(1, 16, 2)] = replace(speed, ms=0.001, start=0.0)
        write_probes(held.folder, held.costs.speeds)
        finished = Tuner(held, strategies, lambda line: None).run()
    assert re.search(r"trial 0 .* was stopped at step \d+ of 5,000.*a larger --budget goes on", finished.stopped)
    assert finished.recommendation is None
    assert finished.spent <= short.budget + 1e-6  # type: ignore[operator]
    assert finished.spent >= spent + 1.5 * (seconds - 15) / 3600
    done = steps_logged(short, 0)
    assert done > 0
    with opened(short) as held:  # the same budget: nothing is started, nothing is charged
        again = Tuner(held, strategies, lambda line: None).run()
    assert (again.spent, steps_logged(short, 0)) == (finished.spent, done)


@pytest.mark.slow
def test_a_budget_too_small_for_the_probe_is_told_before_and_while_it_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--budget 0\.1: \$0\.00 are left.*too little to probe a step"):
        tuned(study(tmp_path, budget=0.1, reserve=0.1), STRATEGIES, lambda line: None)
    little = study(tmp_path, budget=0.0004, reserve=0.0)  # a second
    with pytest.raises(UserError, match=r"--budget 0\.0004: the probe of 1/16/2 alone would take more"):
        tuned(little, STRATEGIES, lambda line: None)
    assert Ledger(little.folder).dollars <= 0.0004 + 1e-9
    assert not trainers()


@pytest.mark.slow
def test_a_trial_that_dies_is_told_with_its_last_words_and_tried_again(
    whole: tuple[TuneSettings, Finished], tmp_path: Path
) -> None:
    tune = study(tmp_path)
    with start(tune, tmp_path / "out.txt") as process:
        wait_for(lambda: steps_logged(tune, 1) >= 2)
        (trainer,) = (each for each in trainers() if tune.folder in " ".join(each.cmdline()))
        trainer.kill()
        assert process.wait(60) == 2
    last = (tmp_path / "out.txt").read_text().splitlines()[-1]
    assert re.match(
        r"error: trial 1 was ended by SIGKILL \(lack of memory\?\): .*console\.log.*same command goes on", last
    )
    charged = Ledger(tune.folder).of("trial 1")[0]
    assert charged > 0
    finished = tuned(tune, STRATEGIES, lambda line: None)
    assert results(finished.outcomes) == results(whole[1].outcomes)
    assert finished.outcomes[1].seconds > charged  # both attempts were paid


@pytest.mark.slow
def test_a_rate_that_diverges_is_an_outcome_and_the_study_goes_on(tmp_path: Path) -> None:
    finished = tuned(study(tmp_path, low=1e-2, high=1e4), STRATEGIES, lambda line: None)
    assert [outcome.diverged for outcome in finished.outcomes] == [False, True, True]
    assert all(outcome.diverged_at is not None for outcome in finished.outcomes[1:])


@pytest.mark.slow
def test_a_full_disk_stops_the_trial_and_the_ledger_stays_right(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with full_disk(tmp_path / "disk", 1024) as disk:
        tune = study(tmp_path, output=str(disk / "tuning"))
        with start(tune, tmp_path / "out.txt") as process:
            wait_for(lambda: steps_logged(tune, 0) >= 1)
            with (disk / "other").open("wb", buffering=0) as other:
                try:
                    while other.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            code = process.wait(120)
        said = (tmp_path / "out.txt").read_text().splitlines()[-1]
        assert code == 2, said
        assert said.startswith("error: ")
        assert "No space left" in said or "disk is full" in said
        assert not trainers()
        paid = Ledger(tune.folder).dollars
        assert paid > 0
        (disk / "other").unlink()
        assert len(tuned(tune, STRATEGIES, lambda line: None).outcomes) == 3
        assert Ledger(tune.folder).dollars > paid


@pytest.mark.slow
def test_a_continuation_is_tuned_on_branches_from_its_seed_with_fresh_moments(tmp_path: Path) -> None:
    seed = tmp_path / "seed.bin"
    model = GPT2(GPT2Shape(1, 2, 16))
    model.initialise()
    model_file.write(str(seed), model.shape, model.flat, 3)
    tune = study(tmp_path, seed_model=str(seed), start_step=200, steps=400, layers=12)
    finished = tuned(tune, STRATEGIES, lambda line: None)
    assert len(finished.outcomes) == 3
    scale = finished.outcomes[0].experiment.scale
    assert (scale.depth, scale.channels, scale.heads, scale.steps) == (1, 16, 2, 20)  # a tenth of what is left
    log = run_log.read(os.path.join(tune.folder, "trials", "0000", "main.log"))
    assert log.train.steps.tolist() == list(range(20, 40))  # as the real one: from half of its schedule to the end
    assert log.lr[0] == pytest.approx(0.001 * 0.5, rel=0.2)
    assert "-e " in (Path(tune.folder) / "trials" / "0000" / "command.txt").read_text()


class AsManyAsFit(FewRates):
    """As many rates as the budget has dollars."""

    name = "as-many"

    def rates(self, terms: Terms) -> tuple[float, ...]:
        self.runs = max(2, round(terms.budget))
        return super().rates(terms)


@pytest.mark.parametrize(("strategy", "stays"), [(FewRates(), False), (AsManyAsFit(), True)])
def test_with_other_money_a_study_keeps_to_its_plan_where_what_was_run_is_no_beginning_of_the_new_one(
    strategy: FewRates, stays: bool, tmp_path: Path
) -> None:
    strategies: dict[str, Strategy] = {strategy.name: strategy}
    said: list[str] = []

    def terms_with(**money: float) -> Terms:
        tune = study(tmp_path, strategy=strategy.name, reserve=0.0, **money)
        with opened(tune) as held:
            held.costs.speeds[(1, 16, 2)] = Speed(12, 5.0, 5.0, 2.0)
            tuner = Tuner(held, strategies, said.append)
            terms = tuner._as_planned(tuner.terms())
            if not held.outcomes():
                for _ in range(2):
                    experiment = strategy.next(terms, held.outcomes())
                    assert experiment is not None
                    held.tell(held.ask(experiment), Outcome(experiment, 5.0, 3.0, 0.001))
            assert strategy.next(terms, held.outcomes()[:1]) == held.outcomes()[1].experiment
            return terms

    first = terms_with(budget=5.0)
    assert terms_with(budget=5.0).budget == first.budget == 5.0
    assert said == []
    later = terms_with(budget=9.0, price_per_hour=3.0)
    assert later.budget == (5.0 if stays else 9.0)
    run = strategy.experiment(later, 0.01)
    assert later.price(run) == pytest.approx((1 if stays else 2) * first.price(run))
    assert [line.split(":")[0] for line in said] == (["note"] if stays else [])


def test_a_process_is_killed_at_its_limit_where_it_does_not_end_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n")
    monkeypatch.setattr(runner, "script_path", lambda name: str(deaf))
    ledger = Ledger(str(tmp_path))
    begun = time.monotonic()
    ran = runner.run([], str(tmp_path), ledger.begin("trial 0", 3600.0, 3.0), 2.0, lambda: False)
    assert (ran.code, ran.stopped) == (-signal.SIGKILL, runner.BUDGET)
    assert 2 <= time.monotonic() - begun < 5
    assert 2 <= ledger.dollars <= 3


def test_what_is_watched_can_stop_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\nprint('asleep', flush=True)\ntime.sleep(60)\n")
    monkeypatch.setattr(runner, "script_path", lambda name: str(sleeper))
    monkeypatch.setattr(runner, "_WATCH", 0.3)
    ran = runner.run([], str(tmp_path), Ledger(str(tmp_path)).begin("trial 0", 1.5, 1.0), 1.0, lambda: True)
    assert (ran.code, ran.stopped) == (-signal.SIGTERM, runner.WATCHED)


def test_the_help_names_every_verb() -> None:
    done = subprocess.run([sys.executable, TRAIN / "tune_lr.py", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("probe", "plan", "run"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": None}, "error: --budget is missing: the dollars that there are in all"),
        (
            {"strategy": "early-stpo"},
            "error: --strategy early-stpo: there is none of that name",
        ),
        ({"machine": "abacus"}, "error: --machine abacus: its price is not known here"),
        ({"data": None}, "error: --data is missing: the folder of token shards"),
        ({"seed_model": "none.bin", "start_step": 100}, "none.bin: cannot be read: No such file or directory"),
    ],
)
def test_what_lacks_is_told_in_one_line_before_anything_runs(
    changes: dict[str, object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuning.main(["probe", *study(tmp_path, **changes).words()]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "tuning").exists()
