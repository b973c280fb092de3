"""Whether what a run shuffles has room on the disks of its executors."""

from __future__ import annotations

import math

from sparkprep.emr.cluster.settings import MOST_DISK_GB, MOST_NODES
from sparkprep.emr.cost.formula import Factor
from sparkprep.errors import UserError

SHUFFLED = Factor(1.6, 1.7, 1.8)
"""Bytes of shuffle files for each byte of text, measured: of the job shards, which writes most; dedup's are 0.6 to 0.7.
Those of a job go when it ends."""
USABLE = 0.85
"""Of a disk: YARN gives up one that is nine tenths full, and logs and HDFS take some."""


def room(gigabytes: Factor, disk_gb: int, disks: int, of: str, way: str) -> list[str]:
    """Return a warning where a run of so many GB of text may not have room. of, way: for messages.

    Raises UserError where it cannot have.
    """
    usable = disk_gb * disks * USABLE
    shuffled = gigabytes * SHUFFLED
    if shuffled.high <= usable:
        return []
    said = (
        f"{gigabytes.expected:,.0f} GB of text make {shuffled.low:,.0f} to {shuffled.high:,.0f} GB of shuffle files, "
        f"and {of} {disks} x {disk_gb} GB have room for {usable:,.0f}; {way}"
    )
    if shuffled.low > usable:
        raise UserError(said)
    return [said]


def larger(gigabytes: Factor, nodes: int) -> str:
    """Return the flags of core nodes with room for a run of so many GB of text, or what to do where there are none."""
    found = enough(gigabytes, nodes)
    if found is None:
        return "give it in several runs"
    disk_gb, more = found
    return f"give --core-gb {disk_gb}{f' --core-nodes {more}' if more > nodes else ''}"


def enough(gigabytes: Factor, nodes: int) -> tuple[int, int] | None:
    """Return (GB of a core node's disk, nodes) that have room, with so many nodes at the least; None: none have."""
    needed = (gigabytes * SHUFFLED).high / USABLE
    more = max(nodes, math.ceil(needed / MOST_DISK_GB))
    return (math.ceil(needed / more), more) if more <= MOST_NODES else None
