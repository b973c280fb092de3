"""What an estimate can be told, beside the settings of the job dedup and of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from sparkprep.kinds import Integer, Switch
from sparkprep.options import Keywords, check_options, option


@dataclass(frozen=True)
class EstimateSettings(Keywords):
    """Settings of an estimate. Raises UserError on a value that cannot be."""

    sample: int = option(4096, "documents that are looked at, about, in windows spread over the input", Integer(64))
    sample_seed: int = option(1, "seed of where they lie", Integer(0, (1 << 63) - 1))
    scan: bool = option(
        False,
        "read all texts once, for the share of documents that have a near-duplicate; minutes, not seconds",
        Switch(),
    )
    processes: int | None = option(None, "processes of the scan (default: one for each core)", Integer(1, 1024))

    def __post_init__(self) -> None:
        check_options(self)
