"""Build the embedded subsets once into a cache, and hand out the paths of their files."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.errors import UserError
from sparkprep.io.files import sha256_of
from sparkprep.sample.harvest import PACKAGES, Document, harvest, split_longest, versions
from sparkprep.sample.planting import PlantingRates, plant
from sparkprep.sample.truth import Pair, all_pairs, clusters

Size = Literal["1k", "10k"]
SIZES: tuple[Size, ...] = ("1k", "10k")
FORMAT = 1  # raise it when the documents of the same package versions change
FILES = ("documents.parquet", "pairs.parquet", "clusters.parquet", "sources.parquet")

_ROW_GROUP = 1000  # rows: a reader can share even these small files out among tasks


@dataclass(frozen=True)
class SampleSettings:
    """What the subsets are made from. The defaults are the embedded subsets; tests build smaller ones."""

    packages: tuple[str, ...] = PACKAGES
    stdlib: bool = True
    large: int = 10_000
    small: int = 1_000
    min_characters: int = 200
    pair_floor: float = 0.5
    cluster_threshold: float = 0.8
    seed: int = 20250101
    planted: PlantingRates = field(default_factory=PlantingRates)


@dataclass(frozen=True)
class Subset:
    """The files of one subset.

    documents  id, url, text: strings, sorted by id (a hash: the order says nothing)
    pairs      id_a < id_b, jaccard (float64): every pair with an exact 5-word-shingle Jaccard >= 0.5
    clusters   id, cluster_id: connected components at Jaccard >= 0.8, named by their least id; every document
    sources    id, package, version, licence, kind (docstring, description, licence, planted), planted_from
    """

    directory: Path

    @property
    def documents(self) -> Path:
        return self.directory / "documents.parquet"

    def origin(self) -> dict[str, Any]:
        """Return what a result may say of its input: the size's name, the documents' SHA-256, versions by package."""
        return {
            "size": self.directory.name,
            "sha256": sha256_of(str(self.documents))[1],
            "versions": {name: version for name, version in versions().items() if version is not None},
        }

    @property
    def pairs(self) -> Path:
        return self.directory / "pairs.parquet"

    @property
    def clusters(self) -> Path:
        return self.directory / "clusters.parquet"

    @property
    def sources(self) -> Path:
        return self.directory / "sources.parquet"


def embedded(size: Size, cache: Path | None = None, announce: Callable[[str], None] | None = None) -> Subset:
    """Return the embedded subset of 1,000 or 10,000 documents, built on first use (half a minute), then from `cache`.

    The content is the same for the same versions of Python and of the packages. `announce` is called with one line
    before a build begins. Raises `UserError` where the cache cannot be written, or where too little documentation is
    installed.
    """
    if size not in SIZES:
        raise UserError(f"there is no embedded subset {size!r}: choose one of {', '.join(SIZES)}")
    settings = SampleSettings()
    root = default_cache() if cache is None else cache
    final = root / f"subsets-{cache_key(settings)}"
    if not final.is_dir():
        if announce is not None:
            announce(f"building the embedded subsets in {final} (once, about half a minute)")
        _build_aside(final, settings)
    return Subset(final / size)


def default_cache() -> Path:
    """Return `$SPARKPREP_CACHE`, else `$XDG_CACHE_HOME/sparkprep`, else `~/.cache/sparkprep`."""
    if own := os.environ.get("SPARKPREP_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "sparkprep"
    try:
        return Path.home() / ".cache" / "sparkprep"
    except RuntimeError as error:  # a container that runs under a user id without an account
        raise UserError("this user has no home folder for the cache: set SPARKPREP_CACHE to a folder") from error


def cache_key(settings: SampleSettings) -> str:
    """Return 12 hexadecimal digits of all that the content depends on: format, settings, installed versions."""
    content = {"format": FORMAT, "settings": asdict(settings), "versions": versions(settings.packages)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def build(directory: Path, settings: SampleSettings) -> None:
    """Write both subsets as `directory/1k` and `directory/10k`, from scratch."""
    copies = sum(settings.planted.counts(settings.large).values())
    needed = settings.large - copies
    natural = harvest(settings.packages, stdlib=settings.stdlib, min_characters=settings.min_characters)
    if len(natural) < needed:
        natural = split_longest(natural, needed)
    if len(natural) < needed:
        raise UserError(
            f"the installed packages carry {len(natural):,} documents, {needed:,} are needed for the embedded subset: "
            f"install them with pip ({', '.join(settings.packages)}), or give your own data with --input"
        )
    natural = natural[:needed]  # sorted by a hash, so this is a random choice
    documents = sorted([*natural, *plant(natural, settings.planted, settings.large, settings.seed)], key=lambda d: d.id)
    pairs = all_pairs({d.id: d.text for d in documents}, settings.pair_floor)
    cluster_of = dict(clusters([d.id for d in documents], pairs, settings.cluster_threshold))
    chosen = _choose(cluster_of, settings.small, settings.seed)
    _write(directory / "10k", documents, pairs, cluster_of)
    _write(
        directory / "1k",
        [d for d in documents if d.id in chosen],
        [pair for pair in pairs if pair[0] in chosen and pair[1] in chosen],
        {id_: cluster for id_, cluster in cluster_of.items() if id_ in chosen},
    )


def _choose(cluster_of: dict[str, str], needed: int, seed: int) -> set[str]:
    """Return the ids of whole clusters in a seeded order, as they fit, so that duplicates keep their share."""
    members: dict[str, list[str]] = {}
    for id_, cluster in cluster_of.items():
        members.setdefault(cluster, []).append(id_)
    chosen: set[str] = set()
    for cluster in sorted(members, key=lambda c: hashlib.sha256(f"{seed}/{c}".encode()).hexdigest()):
        if len(chosen) + len(members[cluster]) <= needed:
            chosen.update(members[cluster])
    if len(chosen) < needed:
        raise UserError(f"no choice of whole clusters gives {needed:,} documents out of {len(cluster_of):,}")
    return chosen


def _build_aside(final: Path, settings: SampleSettings) -> None:
    """Build in a folder beside `final` and rename it: a reader sees the whole or nothing, two builders do not clash."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    except OSError as error:
        raise UserError(
            f"the embedded subset cannot be built in {final.parent} ({error.strerror}): "
            "set SPARKPREP_CACHE to a folder that can be written"
        ) from error
    try:
        build(aside, settings)
        aside.chmod(0o755)  # mkdtemp makes it private; the cache may be shared
        try:
            aside.rename(final)
        except OSError:
            if not final.is_dir():  # otherwise another process was first, with the same content
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(directory: Path, documents: list[Document], pairs: list[Pair], cluster_of: dict[str, str]) -> None:
    directory.mkdir(parents=True)
    columns = {name: [getattr(d, name) for d in documents] for name in Document.__dataclass_fields__}
    string, ids = pa.string(), columns["id"]
    tables = {
        "documents": {name: pa.array(columns[name], string) for name in ("id", "url", "text")},
        "pairs": {
            "id_a": pa.array([a for a, _, _ in pairs], string),
            "id_b": pa.array([b for _, b, _ in pairs], string),
            "jaccard": pa.array([jaccard for _, _, jaccard in pairs], pa.float64()),
        },
        "clusters": {"id": pa.array(ids, string), "cluster_id": pa.array([cluster_of[i] for i in ids], string)},
        "sources": {
            name: pa.array(columns[name], string)
            for name in ("id", "package", "version", "licence", "kind", "planted_from")
        },
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), directory / f"{name}.parquet", row_group_size=_ROW_GROUP, compression="snappy")
