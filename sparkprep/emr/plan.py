"""What would be launched, and what it costs: everything that is decided before AWS is asked for anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from sparkprep.emr.cluster.fits import Fit, check_driver, fit
from sparkprep.emr.cluster.releases import support_of
from sparkprep.emr.cluster.request import run_job_flow
from sparkprep.emr.cluster.settings import SPOT, ClusterSettings
from sparkprep.emr.cost import disks, formula
from sparkprep.emr.cost.prices import Prices
from sparkprep.emr.jobs import RunSettings, check_place, names_of, steps
from sparkprep.emr.places import Staged
from sparkprep.errors import UserError
from sparkprep.units import human_duration

EXAMPLE = "s3://my-bucket/sparkprep"
"""Stands for the prefix where none is named."""


@dataclass(frozen=True)
class Plan:
    """A cluster as it would be. stop_after: hours until its hard stop. warnings: what is doubtful, and no mistake.

    jobs: names of those that are reckoned.
    """

    settings: ClusterSettings
    region: str
    staged: Staged
    placed: Fit
    an_hour: formula.Hourly
    taken: formula.Estimate
    jobs: tuple[str, ...]
    work: formula.Work
    prices_of: date
    stop_after: int
    warnings: tuple[str, ...]
    support: str
    request: dict[str, Any]

    @property
    def at_most(self) -> float:
        """Dollars that the cluster costs where only its hard stop ends it."""
        return formula.at_most(self.stop_after, self.an_hour.total)

    def rows(self) -> list[tuple[str, str]]:
        """Return the plan as rows of name and text."""
        settings, hourly, taken = self.settings, self.an_hour, self.taken
        primary = settings.primary_type or settings.instance_type
        return [
            ("cluster", f"{settings.name}, {settings.release}, {self.region}: {', '.join(settings.application_names)}"),
            ("nodes", f"1 primary {primary} + {settings.core_nodes} core {settings.instance_type}"),
            ("support", self.support),
            *self.placed.rows(),
            ("an hour", f"${hourly.total:.2f}: EC2 {hourly.ec2:.2f}, EMR {hourly.emr:.2f}, disks {hourly.disks:.2f}, "
                        f"addresses {hourly.addresses:.2f} (prices of {self.prices_of})"),
            *self._on_spot(),
            ("work", f"{_work(self.work)}: {_gigabytes(taken.gigabytes)} GB of text"),
            ("jobs take", f"{_times(taken.work)}: {', '.join(self.jobs)}"),
            ("all takes", f"{_times(taken.hours)}, with start and {settings.idle_minutes} idle minutes"),
            ("it costs", _dollars(taken.dollars)),
            ("at most", f"${self.at_most:.2f}: it stops itself after {human_duration(self.stop_after * 3600)}"),
        ]  # fmt: skip

    def _on_spot(self) -> list[tuple[str, str]]:
        """Return the row of what an hour costs where core nodes are bought on the spot market."""
        if self.settings.market != SPOT:
            return []
        (low, usual, high), (least, often, _) = self.an_hour.as_bought, self.an_hour.share
        why = f"EC2's part of the core nodes costs {often:.0%} as a rule, {least:.0%} at the least, and never more"
        return [("on spot", f"${usual:.2f} (${low:.2f} to ${high:.2f}): {why}; EMR's fee stays")]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON holds it: the request, the arithmetic, the cost."""
        placed = self.placed
        return {
            "region": self.region,
            "request": self.request,
            "executors": {
                "placed": placed.executors,
                "per_node": placed.per_node,
                "container_mb": placed.container_mb,
                "yarn_mb": placed.node.yarn_mb,
                "python_worker_mb": placed.python_mb,
            },
            "jobs": list(self.jobs),
            "cost": {
                "an_hour": self.an_hour.total,
                "an_hour_of": {name: asdict(self.an_hour)[name] for name in ("ec2", "emr", "disks", "addresses")},
                "an_hour_as_bought": self.an_hour.as_bought._asdict(),
                "text_gb": self.taken.gigabytes._asdict(),
                "job_hours": self.taken.work._asdict(),
                "hours": self.taken.hours._asdict(),
                "dollars": self.taken.dollars._asdict(),
                "stops_after_hours": self.stop_after,
                "at_most": self.at_most,
                "prices_of": str(self.prices_of),
            },
            "warnings": list(self.warnings),
        }


def make_plan(
    settings: ClusterSettings,
    work: formula.Work,
    prices: Prices,
    region: str,
    prefix: str | None,
    run: RunSettings | None = None,
    today: date | None = None,
    jobs: Sequence[str] | None = None,
) -> Plan:
    """Return the plan of a cluster. run: what it does, and then ends; None for one that waits for steps.

    jobs: the names of those that are reckoned, by default the run's, or the usual ones.

    Raises UserError where something does not fit, is not known, or costs more than it may.
    """
    today = today or date.today()
    staged = Staged(EXAMPLE if prefix is None else check_place(prefix, "the prefix"))
    core = prices.node(settings.instance_type)
    primary = prices.node(settings.primary_type or settings.instance_type)
    placed, _ = _all_of(
        lambda: fit(
            core,
            settings.core_nodes,
            cores=settings.executor_cores,
            memory=settings.executor_memory,
            overhead=settings.executor_overhead,
            executors=settings.executors,
            queue_percent=settings.queue_percent,
        ),
        lambda: check_driver(primary, settings.driver_memory),
    )
    an_hour = formula.hourly(settings, prices)
    taken = formula.estimate(settings, work, placed, an_hour.as_bought, jobs or names_of(run))
    of_disks = _room_on_disks(
        settings, taken.gigabytes, lambda roomy: make_plan(roomy, work, prices, region, prefix, run, today, jobs)
    )
    stop_after = formula.hard_stop(settings, taken, an_hour.total)
    if run is not None and settings.step_concurrency > 1:
        raise UserError(
            f"--step-concurrency {settings.step_concurrency}: each job reads what the one before writes, and all would "
            "start at once; leave it out"
        )
    support, is_doubtful = support_of(settings.release, today)
    warnings = [
        *prices.warnings(today, region),
        *([support] if is_doubtful else []),
        *_of_market(settings),
        *_of_concurrency(settings),
        *placed.warnings(),
        *of_disks,
        *_of_time(taken, stop_after, an_hour.total),
    ]
    bounded = formula.stopped(taken, stop_after, an_hour.as_bought)
    request = run_job_flow(settings, staged, placed, stop_after, _one_shot(run, staged))
    return Plan(settings, region, staged, placed, an_hour, bounded, tuple(jobs or names_of(run)), work,
                prices.oldest(), stop_after, tuple(warnings), support, request)  # fmt: skip


def _room_on_disks(
    settings: ClusterSettings, gigabytes: formula.Factor, plan_with: Callable[[ClusterSettings], object]
) -> list[str]:
    """Return a warning where a run may have no room. Raises UserError where it has none.

    It also tells what more it takes on the cluster that has room, which `plan_with` plans.
    """
    larger = disks.larger(gigabytes, settings.core_nodes)
    try:
        return disks.room(gigabytes, settings.core_gb, settings.core_nodes, "the core nodes'", larger)
    except UserError as error:
        if (more := disks.enough(gigabytes, settings.core_nodes)) is None:
            raise
        try:
            plan_with(replace(settings, core_gb=more[0], core_nodes=more[1]))
        except UserError as further:
            raise UserError(f"{error}; with these, {further}") from None
        raise


def _all_of(*checks: Callable[[], Any]) -> list[Any]:
    """Return what each returns; what they refuse is told at once, not one after another."""
    found, wrong = [], []
    for check in checks:
        try:
            found.append(check())
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("; ".join(wrong))
    return found


def _one_shot(run: RunSettings | None, staged: Staged) -> Sequence[dict[str, Any]]:
    """Return the steps of a cluster that ends with them; one that fails ends it too, as nobody may be looking."""
    return steps(replace(run, on_failure="TERMINATE_CLUSTER"), staged) if run is not None else ()


def _of_time(taken: formula.Estimate, stop_after: int, an_hour: float) -> list[str]:
    longest = formula.until_done(taken).high
    if longest <= stop_after:
        return []
    return [
        f"the run may take up to {longest:.1f} hours (${longest * an_hour:.2f}), and the cluster stops after "
        f"{stop_after}: what is not done then must be done anew"
    ]


def _of_market(settings: ClusterSettings) -> list[str]:
    if settings.market == SPOT:
        return [
            "core nodes on the spot market may be taken away in mid-run, with what they hold of it; the bound of "
            "--max-dollars is reckoned at the price on demand, the most that they cost"
        ]
    return []


def _of_concurrency(settings: ClusterSettings) -> list[str]:
    if settings.step_concurrency > 1:
        return [
            f"{settings.step_concurrency} steps run at once, each with executors for the whole cluster: `submit` gives "
            "it one job at a time (--jobs dedup --on-failure CONTINUE)"
        ]
    return []


def _work(work: formula.Work) -> str:
    if isinstance(work, formula.Factor):
        return "as it was found"
    return f"{work.documents:,} documents" if work.text_gb is None else f"{work.text_gb:g} GB"


def _gigabytes(factor: formula.Factor) -> str:
    low, expected, high = (f"{each:.0f}" if each >= 10 else f"{each:.2g}" for each in factor)
    return expected if low == high else f"{expected} ({low} to {high})"


def _times(hours: formula.Factor) -> str:
    low, expected, high = (human_duration(each * 3600) for each in hours)
    return f"{expected} ({low} to {high})"


def _dollars(factor: formula.Factor) -> str:
    return f"${factor.expected:.2f} (${factor.low:.2f} to ${factor.high:.2f}); S3 and what leaves AWS come on top"
