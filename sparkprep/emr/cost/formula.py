"""What a cluster costs an hour, and what a run on it will take, with an interval.

    core-seconds = GB x CPU seconds a GB x slower core x through S3 x growth (extract and filter do not grow)
    hours        = start + jobs x seconds a job + core-seconds / (tasks at once x share of them that works) + idle
    dollars      = hours x dollars an hour

Each factor has a low, an expected and a high value; the interval takes every factor at the same end, so that it is
wider than what is likely. Those from measurements are in docs/benchmarks.md; docs/emr.md names the source of each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sparkprep.emr.cluster.fits import Fit
from sparkprep.emr.cluster.settings import MOST_HOURS, MOST_STOP_HOURS, SPOT, ClusterSettings, WorkSettings
from sparkprep.emr.cost.prices import Prices
from sparkprep.emr.jobs import USUAL_JOBS
from sparkprep.errors import UserError


class Factor(NamedTuple):
    """A number that is not known exactly."""

    low: float
    expected: float
    high: float

    def __mul__(self, other: object) -> Factor:
        """Return the product, end by end."""
        if isinstance(other, Factor):
            return Factor(self.low * other.low, self.expected * other.expected, self.high * other.high)
        if isinstance(other, int | float):
            return Factor(self.low * other, self.expected * other, self.high * other)
        return NotImplemented

    def plus(self, other: Factor) -> Factor:
        """Return the sum, end by end."""
        return Factor(self.low + other.low, self.expected + other.expected, self.high + other.high)


Work = WorkSettings | Factor
"""The work that is to be paid for, or the GB of text that were found in it."""

# Measured (docs/benchmarks.md): 87 MB in 10,000 documents, 1.36 GB in 320,000.
DOCUMENT_KB = Factor(4.25, 6.1, 8.7)
# Measured there on 1.36 GB since texts are read by PyArrow: 32.8 to 39.7 CPU seconds, of late 37.3; and 29.1 to 39.7,
# in the middle 33.6.
DEDUP_SECONDS = Factor(24.1, 27.4, 29.2)
TOKENS_AND_SHARDS_SECONDS = Factor(21.4, 24.7, 29.2)
# A GB of text out of archives: 57.5 CPU seconds for 20,000 pages of 7.4 kB of text. Other sites have more or less of
# their pages around it: half and twice are assumed.
EXTRACT_SECONDS = Factor(195, 390, 780)
# A GB of text through the rules of `filter`: 98 CPU seconds by the rules alone (5,043 characters a document, 2,022
# documents a CPU second), 194 of the whole job on 87 MB with Spark's start; in the middle between them is assumed.
FILTER_SECONDS = Factor(98, 146, 194)
# Spark's own copy of the same 1.36 GB: 43.5 and 48.4 CPU seconds on a Xeon of 2.80 GHz, 21.4 to 24.3 on the EPYC of the
# figures above. r5 is a Xeon, too.
CORE = Factor(1.0, 1.85, 2.25)
# The job through S3 against a disk: 1.18 to 1.25, on 1.36 GB 1.19; 1.3 is the most that it may be.
THROUGH_S3 = Factor(1.18, 1.2, 1.3)
# Assumed, not measured: pairs grow faster than documents do.
GROWTH = Factor(1.0, 1.5, 4.0)
# On two cores 0.8 of their time is used (37.2 CPU seconds in 23.2); on many it is assumed to be less.
BUSY = Factor(0.8, 0.5, 0.25)
# Assumed, not measured: from the request to the first step, with the bootstrap.
START_HOURS = Factor(0.1, 0.17, 0.33)
# Assumed, not measured: what a job takes without data, from its spark-submit to the first task and to its end.
JOB_SECONDS = Factor(30, 60, 90)
# Assumed, not measured: executors of EMR Serverless compile the kernels when they start.
KERNEL_SECONDS = Factor(30, 60, 120)


@dataclass(frozen=True)
class Hourly:
    """Dollars an hour of a whole cluster, all on demand.

    core_ec2: what is EC2's of the core nodes. share: as much of that is paid as they are bought, on the spot market
    less than all of it.
    """

    ec2: float
    emr: float
    disks: float
    addresses: float
    core_ec2: float
    share: Factor

    @property
    def total(self) -> float:
        """All of it, and the most that it can be."""
        return self.ec2 + self.emr + self.disks + self.addresses

    @property
    def as_bought(self) -> Factor:
        """What it costs as its core nodes are bought."""
        return Factor(*(self.total - self.core_ec2 * (1 - share) for share in self.share))


@dataclass(frozen=True)
class Estimate:
    """What a run takes. work: hours of the jobs alone; hours: with start and idle minutes; dollars: for these."""

    gigabytes: Factor
    core_seconds: Factor
    work: Factor
    hours: Factor
    dollars: Factor


def hourly(settings: ClusterSettings, prices: Prices) -> Hourly:
    """Return what a cluster costs an hour: nodes, disks, a public address for each node.

    Of a node on the spot market EC2's part is lower, and EMR's stays. Raises UserError for what the table does not
    have.
    """
    core, primary = settings.instance_type, settings.primary_type or settings.instance_type
    nodes = [prices.node_hour(primary), *[prices.node_hour(core)] * settings.core_nodes]
    gigabytes = settings.root_gb * len(nodes) + settings.core_gb * settings.core_nodes + settings.primary_gb
    return Hourly(
        ec2=sum(ec2 for ec2, _ in nodes),
        emr=sum(emr for _, emr in nodes),
        disks=prices.volume_hour(settings.volume_type, gigabytes),
        addresses=prices.number("address", "hour") * len(nodes),
        core_ec2=prices.node_hour(core)[0] * settings.core_nodes,
        share=Factor(*prices.spot_shares(), 1) if settings.market == SPOT else Factor(1, 1, 1),
    )


def text_gigabytes(work: Work) -> Factor:
    """Return the GB of a run's texts."""
    if isinstance(work, Factor):
        return work
    if work.text_gb is None:
        return DOCUMENT_KB * (work.documents / 1e6)
    return Factor(work.text_gb, work.text_gb, work.text_gb)


def seconds_a_gigabyte(jobs: Collection[str], growth: Factor = GROWTH) -> Factor:
    """Return the CPU seconds of a GB of text on the machine that they were measured on. jobs: their names."""
    nothing = Factor(0, 0, 0)
    growing = DEDUP_SECONDS if "dedup" in jobs else nothing
    if not {"tokens", "shards"}.isdisjoint(jobs):
        growing = growing.plus(TOKENS_AND_SHARDS_SECONDS)
    a_gigabyte = growing * growth
    for name, seconds in (("extract", EXTRACT_SECONDS), ("filter", FILTER_SECONDS)):
        a_gigabyte = a_gigabyte.plus(seconds if name in jobs else nothing)
    return a_gigabyte


def core_seconds(work: Work, jobs: Collection[str] = USUAL_JOBS) -> Factor:
    """Return the seconds of one core that the jobs of a run take. jobs: their names."""
    return text_gigabytes(work) * seconds_a_gigabyte(jobs) * CORE * THROUGH_S3


def work_hours(seconds: Factor, tasks: int) -> Factor:
    """Return the hours that so many seconds of one core take, with so many tasks at once, beside `JOB_SECONDS`."""
    return Factor(*(each / (tasks * share * 3600) for each, share in zip(seconds, BUSY, strict=True)))


def estimate(
    settings: ClusterSettings, work: Work, placed: Fit, an_hour: Factor, jobs: Collection[str] = USUAL_JOBS
) -> Estimate:
    """Return what a run takes on a cluster that costs so many dollars an hour. jobs: the names of what it runs."""
    seconds = core_seconds(work, jobs)
    in_jobs = work_hours(seconds, placed.tasks).plus(JOB_SECONDS * (len(jobs) / 3600))
    idle = settings.idle_minutes / 60
    hours = START_HOURS.plus(in_jobs).plus(Factor(idle, idle, idle))
    return Estimate(text_gigabytes(work), seconds, in_jobs, hours, hours * an_hour)


def at_most(stop_after: int, an_hour: float) -> float:
    """Return the dollars that a cluster costs where only its hard stop ends it, which is armed when nodes start."""
    return (stop_after + START_HOURS.high) * an_hour


def hard_stop(settings: ClusterSettings, taken: Estimate, an_hour: float) -> int:
    """Return the hours after which the cluster is stopped whatever it does, so that it costs --max-dollars at most.

    Raises UserError where the money does not reach for an hour, for the hours that are asked for, or for the run as it
    is expected.
    """
    affordable = int(settings.max_dollars / an_hour - START_HOURS.high)
    to_its_end = until_done(taken)
    least = int(to_its_end.expected) + 1
    hours = settings.max_hours or min(affordable, MOST_HOURS)
    if affordable < 1:
        raise UserError(
            f"--max-dollars {settings.max_dollars:g}: an hour of this cluster costs ${an_hour:.2f}, with its start up "
            f"to ${at_most(1, an_hour):.2f}; give {_ways([max(hours, least)], an_hour, 'fewer nodes')}"
        )
    if hours > affordable:
        shorter = [f"--max-hours {affordable}"] if affordable >= least else []
        raise UserError(
            f"--max-hours {hours} cost up to ${at_most(hours, an_hour):.2f}, more than --max-dollars "
            f"{settings.max_dollars:g}; give {_ways([max(hours, least)], an_hour, 'fewer nodes', shorter)}"
        )
    if to_its_end.expected > hours:
        raise UserError(
            f"the run takes {to_its_end.expected:.1f} hours (${to_its_end.expected * an_hour:.2f}), and the cluster "
            f"stops after {hours}; give {_ways([least], an_hour, 'more or larger nodes')}; in the worst case it takes "
            f"{to_its_end.high:.0f} hours"
        )
    return hours


def until_done(taken: Estimate) -> Factor:
    """Return the hours from the request to the end of the jobs, which must come before the hard stop."""
    return START_HOURS.plus(taken.work)


def stopped(taken: Estimate, stop_after: int, an_hour: Factor) -> Estimate:
    """Return an estimate as a hard stop bounds it: neither idle minutes nor jobs are paid for after that."""
    ends = zip(taken.hours, START_HOURS, strict=True)
    hours = Factor(*(min(each, start + stop_after) for each, start in ends))
    return replace(taken, hours=hours, dollars=hours * an_hour)


def _ways(hours: Sequence[int], an_hour: float, nodes: str, further: Sequence[str] = ()) -> str:
    """Return the flags that buy the first of the hours that --max-hours takes, and the other ways out."""
    bought = [
        f"--max-dollars {_up(at_most(each, an_hour))} --max-hours {each}" for each in hours if each <= MOST_STOP_HOURS
    ]
    return ", or ".join([*further, *bought[:1], nodes])


def _up(dollars: float) -> int:
    return int(dollars) + 1
