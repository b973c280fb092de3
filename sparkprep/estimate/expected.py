"""What a run is expected to take, by what was found of its input: documents, bytes, shuffle, hours, dollars."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkprep.dedup.kernels.bands import further
from sparkprep.dedup.settings import Settings
from sparkprep.emr.cost import disks, formula
from sparkprep.emr.cost.formula import Factor
from sparkprep.emr.plan import Plan
from sparkprep.errors import argument
from sparkprep.estimate.ratio import total
from sparkprep.estimate.sample import Sample
from sparkprep.estimate.scan import Sampled, Seen
from sparkprep.spark.forecast import DEDUP

ENTRY_BYTES = 24
"""Of an entry of a bucket, as it is shuffled (`kernels.buckets.Entries`)."""
DISTINCT = Factor(0.5, 1.0, 1.0)
"""Documents that have entries, of those with words: of texts that are the same, one does for each batch."""
COMPARED = Factor(0.02, 0.27, 1.0)
"""Share of the text that is brought together to be compared, where it was not looked for: 0.23 of the embedded 10,000
documents, 0.30 of 10,000 others. It is what a corpus has of near-duplicates: nothing, or all of it."""
IN_BLOCKS = Factor(1, 2, 4)
"""How often such a text of an oversized bucket is shuffled: a component above 64 MB is compared in blocks, and a text
goes to each that it has a partner in. Of 20,000 documents that are all alike 3.0 was measured."""
WALK_BYTES = 170
"""Of a document for each of its oversized buckets, where it is compared along the keep order: mostly its signature."""
SEARCHES = 3
"""Searches over all documents of oversized buckets that are assumed at most; ten can be made, of ever fewer ones."""
BESIDE_TEXT = 100
"""Bytes of keys and partners beside each text that is shuffled, about."""


@dataclass(frozen=True)
class Duplicates:
    """What a scan tells of near-duplicates.

    removed, sharing (a bucket), oversized (in a bucket above the cap): documents; compared: bytes of text that are
    shuffled for it.
    """

    removed: Factor
    sharing: Factor
    oversized: Factor
    compared: Factor

    @property
    def warnings(self) -> list[str]:
        """What does not hold because of oversized buckets, if anything."""
        if not self.oversized.high:
            return []
        return [
            f"buckets above {argument('bucket_cap')} (about {self.oversized.expected:,.0f} documents): these are "
            "searched again and again; shuffle and hours may be several times what is said"
        ]


@dataclass(frozen=True)
class Expected:
    """What is expected. stored: bytes of the files. rows_known: whether documents were counted, and not estimated.

    shuffled: bytes of each job that shuffles. cpu_seconds: of all jobs on the machine of docs/benchmarks.md.
    duplicates: None without a scan. plan: the cluster's.
    """

    files: int
    stored: int
    rows_known: bool
    sampled: int
    windows: int
    documents: Factor
    rejected: Factor
    text_bytes: Factor
    shuffled: dict[str, Factor]
    cpu_seconds: Factor
    duplicates: Duplicates | None
    plan: Plan

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        plan, found = self.plan.as_dict(), self.duplicates
        factors = {"documents": self.documents, "rejected": self.rejected, "text_bytes": self.text_bytes}
        return {
            "input": {"files": self.files, "file_bytes": self.stored},
            "sample": {"documents": self.sampled, "windows": self.windows, "rows_known": self.rows_known},
            **{name: factor._asdict() for name, factor in factors.items()},
            "shuffle_bytes": {job: factor._asdict() for job, factor in self.shuffled.items()},
            "cpu_seconds": self.cpu_seconds._asdict(),
            "removed": found.removed._asdict() if found else None,
            "sharing_a_bucket": found.sharing._asdict() if found else None,
            "in_oversized_buckets": found.oversized._asdict() if found else None,
            "jobs": plan["jobs"],
            "cost": plan["cost"],
        }


def duplicates_of(sampled: Sampled, seen: Seen, sizes: Sequence[float], whole: float, cap: int) -> Duplicates:
    """Return what was seen of a sample's documents, for the whole.

    sizes: of the sample's windows; cap: documents of a bucket above which it is oversized.
    """
    is_copy = np.array([first != own for first, own in zip(seen.first, sampled.place, strict=True)], bool)
    compared = seen.shared & ~is_copy
    oversized = seen.oversized(sampled, cap) & ~is_copy

    def of(values: Any) -> Factor:
        counts = np.bincount(sampled.window, weights=values.astype(np.float64), minlength=len(sizes))
        return total(sizes, counts.tolist(), whole)

    text = of(np.where(compared & ~oversized, sampled.size, 0))
    text = text.plus(of(np.where(compared & oversized, sampled.size, 0)) * IN_BLOCKS).plus(of(compared) * BESIDE_TEXT)
    return Duplicates(of(is_copy | seen.near), of(seen.shared | is_copy), of(oversized), text)


def shuffled_of(
    jobs: Collection[str],
    settings: Settings,
    has_ids: bool,
    documents: Factor,
    words: Factor,
    text_bytes: Factor,
    found: Duplicates | None,
) -> dict[str, Factor]:
    """Return the bytes that each job shuffles. has_ids: whether a column names documents. words: those with any."""
    shuffled = {}
    if "dedup" in jobs:
        entries = words * DISTINCT * settings.banding.bands
        banding = (entries.plus(documents) if has_ids else entries) * ENTRY_BYTES
        if found and found.oversized.high:
            banding = banding.plus(_searched_again(found.oversized, settings))
        shuffled["dedup"] = banding.plus(found.compared if found else text_bytes * COMPARED)
    if "shards" in jobs:
        shuffled["shards"] = text_bytes * disks.SHUFFLED
    return shuffled


def _searched_again(oversized: Factor, settings: Settings) -> Factor:
    """Return the bytes that the search of the documents of oversized buckets shuffles beside the banding."""
    split = further(settings.threshold, settings.banding.rows, settings.seed)
    each = ENTRY_BYTES * split.bands if split is not None else 0
    walk = WALK_BYTES * settings.banding.bands
    return oversized * Factor(each, each + walk, SEARCHES * (each + walk))


def cpu_seconds(jobs: Collection[str], text_bytes: Factor) -> Factor:
    """Return the CPU seconds of the jobs on the machine of docs/benchmarks.md, against a disk, from start to end."""
    begun = sum(cost.fixed for cost in DEDUP.values())  # one job's start; each has its own
    seconds = formula.seconds_a_gigabyte(jobs, Factor(1, 1, 1)) * text_bytes * 1e-9
    return seconds.plus(Factor(begun, begun, begun) * len(jobs))


def sampled_total(sample: Sample, of: Any) -> Factor:
    """Return the total of what `of` tells of each window."""
    return total(*sample.column(of))
