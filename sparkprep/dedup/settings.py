"""What a run of near-duplicate removal can be told: each setting, its default and its meaning stand here once.

The command line, the table in the documentation and the report are made from this class.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from sparkprep.dedup.kernels import bands as banding
from sparkprep.documents.jsonl.max_bad import parse_max_bad
from sparkprep.errors import UserError


def _setting(default: Any, meaning: str, metavar: str = "", choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": meaning, "metavar": metavar, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Settings of one run. Raises UserError on a value that cannot work."""

    threshold: float = _setting(0.8, "Jaccard similarity from which two documents are near-duplicates, in (0, 1]", "J")
    keep: str = _setting(
        "longest",
        "who stays: 'longest' (most characters), 'first' (smallest id), a column's name (smallest value) or "
        "-NAME (largest value); ties by id, then by a hash of the row",
        "ORDER",
    )
    rule: str = _setting(
        "leader",
        "'leader': a document goes only if a kept one lies within the threshold; "
        "'component': one stays of each connected component",
        choices=("leader", "component"),
    )
    text_column: str = _setting("text", "column that holds the text", "NAME")
    id_column: str = _setting("id", "column that names a document; SHA-256 of the text where there is none", "NAME")
    source_column: str = _setting(
        "url", "column whose values (the host of a URL) the report counts removals by; none if absent", "NAME"
    )
    shingle_words: int = _setting(5, "consecutive words in a shingle", "N")
    bands: int | None = _setting(None, "bands of the LSH; chosen from the threshold unless given with --rows", "N")
    rows: int | None = _setting(None, "slots in a band; chosen from the threshold unless given with --bands", "N")
    seed: int = _setting(1, "seed of all hashing", "N")
    bucket_cap: int = _setting(200, "a bucket of more documents is split by further bands", "N")
    bucket_leaders: int = _setting(
        1000, "in a bucket that further bands cannot split, a document is compared with this many others at most", "N"
    )
    driver_budget: int = _setting(
        10_000_000,
        "most pairs that the driver holds in its memory (100 bytes each); more are handled on the cluster",
        "N",
    )
    max_bad: str = _setting("100", "most bad lines of JSON Lines, a count or a share such as 0.1%%", "N")

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise UserError(f"--threshold {self.threshold:g}: must lie in (0, 1], for instance 0.8")
        if self.rule not in ("leader", "component"):
            raise UserError(f"--rule {self.rule}: must be 'leader' or 'component'")
        if self.shingle_words < 1:
            raise UserError(f"--shingle-words {self.shingle_words}: must be at least 1")
        if not 0 <= self.seed < 1 << 63:
            raise UserError(f"--seed {self.seed}: must lie in 0 .. {(1 << 63) - 1}")
        if self.bucket_cap < 2:
            raise UserError(f"--bucket-cap {self.bucket_cap}: must be at least 2")
        if self.bucket_leaders < 1:
            raise UserError(f"--bucket-leaders {self.bucket_leaders}: must be at least 1")
        if self.driver_budget < 0:
            raise UserError(f"--driver-budget {self.driver_budget}: must not be negative")
        if not self.keep.lstrip("-"):
            raise UserError("--keep needs 'longest', 'first', a column's name or -NAME")
        parse_max_bad(self.max_bad)
        if (self.bands is None) != (self.rows is None):
            raise UserError("--bands and --rows belong together: give both or neither")
        if self.bands is not None and self.rows is not None:
            banding.check(self.bands, self.rows)
        else:
            banding.choose(self.threshold)

    @property
    def banding(self) -> banding.Banding:
        """The banding in force: the one given, or the one computed from the threshold."""
        if self.bands is not None and self.rows is not None:
            return banding.in_sequence(self.bands, self.rows)
        return banding.in_sequence(*banding.choose(self.threshold))

    def with_banding(self) -> "Settings":
        """The same settings with bands and rows filled in."""
        return replace(self, bands=self.banding.bands, rows=self.banding.rows)


def describe() -> list[tuple[str, Any, str]]:
    """(name, default, meaning) of each setting, for help texts and documentation."""
    return [(f.name, f.default, f.metadata["help"].replace("%%", "%")) for f in fields(Settings)]
