"""What AWS charges, from a table with the date and the source of every price."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from sparkprep.emr.cluster.fits import Node
from sparkprep.emr.places import MACHINE
from sparkprep.errors import UserError, argument
from sparkprep.io.json_files import read_json
from sparkprep.pasted import did_you_mean

STALE_DAYS = 90
HOURS_A_MONTH = 730
_PARTS = {
    "instances": ("vcpus", "memory_gb", "yarn_mb", "ec2_hour", "emr_hour"),
    "volumes": ("gb_month",),
    "address": ("hour",),
    "transfer_out": ("gb",),
    "spot": ("least_share", "usual_share"),
    "serverless": ("vcpu_hour", "gb_hour", "disk_gb_hour"),
}
"""Each part of a table and the numbers of its prices; instances and volumes hold one entry for each kind."""
_LATER = ("spot",)
"""Parts that a table may lack, as long as nobody asks for them."""
CURRENCY = "USD"
_GRAVITON = re.compile(r"(a1|[a-z]+\d+g[a-z]*)\.")
"""Names of AWS's ARM machines: a `g` behind the generation, as in r6g, c7gn; the first family was a1."""
_OF_KINDS = ("instances", "volumes")


@dataclass(frozen=True)
class Prices:
    """A table of prices in US dollars. origin: where it comes from, for messages."""

    region: str
    origin: str
    table: Mapping[str, Any]

    def node(self, instance_type: str) -> Node:
        """Return a kind of machine. Raises UserError for one that the table does not have."""
        entry = self._entry("instances", instance_type)
        if entry.get("architecture", MACHINE) != MACHINE or _GRAVITON.match(instance_type):
            raise UserError(
                f"{instance_type}: an ARM machine, and the wheels are of {MACHINE}: its bootstrap would fail; take "
                "one of x86"
            )
        memory_mb, yarn_mb = int(entry["memory_gb"] * 1024), int(entry["yarn_mb"])
        return Node(instance_type, int(entry["vcpus"]), memory_mb, yarn_mb)

    def node_hour(self, instance_type: str) -> tuple[float, float]:
        """Return what a machine costs an hour: (EC2's part, EMR's part). Raises UserError as `node`."""
        entry = self._entry("instances", instance_type)
        return float(entry["ec2_hour"]), float(entry["emr_hour"])

    def volume_hour(self, volume_type: str, gigabytes: float) -> float:
        """Return what disks cost an hour. Raises UserError for a kind that the table does not have."""
        return gigabytes * float(self._entry("volumes", volume_type)["gb_month"]) / HOURS_A_MONTH

    def number(self, part: str, name: str) -> float:
        """Return one price of a part that has no kinds, such as ("address", "hour")."""
        return float(self.table[part][name])

    def spot_shares(self) -> tuple[float, float]:
        """Return what EC2's part of a machine costs on the spot market, as shares of on demand: (least, usual).

        Raises UserError where the table does not say.
        """
        if "spot" not in self.table:
            raise UserError(
                f"{self.origin}: no prices of spot; take sparkprep/emr/cost/prices.json for an example, or --market "
                "ON_DEMAND"
            )
        return self.number("spot", "least_share"), self.number("spot", "usual_share")

    def oldest(self) -> date:
        """Return the date of the table's oldest price."""
        return min(date.fromisoformat(entry["date"]) for _, entry in _entries(self.table))

    def newest(self) -> date:
        """Return the date of the table's newest price."""
        return max(date.fromisoformat(entry["date"]) for _, entry in _entries(self.table))

    def warnings(self, today: date, region: str) -> list[str]:
        """Return what makes the prices doubtful: their date, another region."""
        told = []
        if self.newest() > today:
            told.append(f"{self.origin} has prices of {self.newest()}, a day that has not come: is that so?")
        if (today - self.oldest()).days > STALE_DAYS:
            told.append(
                f"the prices are of {self.oldest()}, more than {STALE_DAYS} days old ({self.origin}); "
                "--prices FILE takes newer ones"
            )
        if region != self.region:
            told.append(f"the prices are those of {self.region}, not of {region}; --prices FILE takes others")
        return told

    def _entry(self, part: str, kind: str) -> Mapping[str, Any]:
        entry = self.table[part].get(kind)
        if entry is None:
            known = sorted(self.table[part])
            alone = f" (x86 alone: the wheels are of {MACHINE})" if part == "instances" else ""
            near = did_you_mean(kind, known)
            raise UserError(
                f"{kind}: not among the {part} in the table of prices ({self.origin}), which has {', '.join(known)}"
                f"{near}; --prices FILE takes a table with it{alone}"
            )
        return dict(entry)


def load(path: str | None = None) -> Prices:
    """Return the table in a JSON file, by default the one that comes with the package.

    Raises UserError for a file that is no such table.
    """
    if path is None:
        text = files("sparkprep.emr.cost").joinpath("prices.json").read_text(encoding="utf-8")
        return Prices("us-east-1", "the table that comes with sparkprep", json.loads(text))
    table = read_json(path, f"{argument('prices')} takes a table like sparkprep/emr/cost/prices.json", {"region": str})
    _check(table, path)
    return Prices(str(table["region"]), path, table)


def _check(table: Mapping[str, Any], path: str) -> None:
    """Raise UserError where a table lacks a part, a price or its date and source."""
    if table.get("currency", CURRENCY) != CURRENCY:
        raise UserError(f"{path}: currency is {table['currency']!r}; give prices in {CURRENCY}, as AWS lists them")
    for part in _PARTS:
        if part in _LATER and part not in table:
            continue
        if not isinstance(table.get(part), dict) or not table[part]:
            raise UserError(f"{path}: no prices of {part}; take sparkprep/emr/cost/prices.json for an example")
    for name, entry in _entries(table):
        part = name.split(".")[0]
        numbers = _PARTS[part]
        if not isinstance(entry, dict):
            raise UserError(f"{path}: {name} is no object with prices")
        for number in numbers:
            value = entry.get(number)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UserError(f"{path}: {name}.{number} is {value!r}, no price")
        if part == "instances":
            _check_machine(entry, f"{path}: {name}")
        if part == "spot" and not entry["least_share"] <= entry["usual_share"] <= 1:
            raise UserError(f"{path}: spot.usual_share lies between spot.least_share and 1, the price on demand")
        if not isinstance(entry.get("source"), str):
            raise UserError(f"{path}: {name} has no source")
        try:
            date.fromisoformat(str(entry.get("date")))
        except ValueError:
            raise UserError(f"{path}: {name}.date is {entry.get('date')!r}; write it like 2026-11-22") from None


def _check_machine(entry: Mapping[str, Any], name: str) -> None:
    for number in ("vcpus", "memory_gb", "yarn_mb"):
        if entry[number] < 1:
            raise UserError(f"{name}.{number} is {entry[number]!r}: a machine has some")
    if entry["yarn_mb"] > entry["memory_gb"] * 1024:
        raise UserError(
            f"{name}.yarn_mb is {entry['yarn_mb']}, more than the machine's memory_gb of {entry['memory_gb']}; EMR's "
            "release guide, Task configuration, has what YARN gets"
        )


def _entries(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return every entry that has a date, with its place in the table."""
    found = []
    for part in (part for part in _PARTS if part in table):
        entries = table[part].items() if part in _OF_KINDS else [("", table[part])]
        found += [(f"{part}.{kind}".rstrip("."), entry) for kind, entry in entries]
    return found
