"""What Spark's own event log says of a run: its stages, their tasks' times, and what they shuffled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

LABEL = "sparkprep: "


def settings(folder: Path) -> list[str]:
    """Spark's settings, KEY=VALUE, by which a run writes its log into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"enabled": "true", "dir": folder.resolve().as_uri(), "compress": "false", "rolling.enabled": "false"}
    return [f"spark.eventLog.{name}={value}" for name, value in values.items()]


@dataclass
class SparkStage:
    """One stage of Spark's. Times in seconds (since the epoch: `begin`, `end`), sizes in bytes."""

    number: int
    label: str
    """the stage of the run that it belongs to, such as "verify"; empty where the run names none"""
    begin: float = 0.0
    end: float = 0.0
    tasks: list[float] = field(default_factory=list)
    written: int = 0
    """shuffled away"""
    read: int = 0
    """fetched from shuffles"""
    spilled: int = 0

    @property
    def longest(self) -> float:
        return max(self.tasks, default=0.0)

    @property
    def median(self) -> float:
        return median(self.tasks) if self.tasks else 0.0

    @property
    def skew(self) -> float:
        """The longest task by the median one."""
        return self.longest / max(self.median, 1e-3)


def read(folder: Path) -> list[SparkStage]:
    """The stages of the one application whose log lies in a folder, in the order of their numbers."""
    stages: dict[int, SparkStage] = {}
    for event in _events(folder):
        kind = event["Event"]
        if kind == "SparkListenerStageSubmitted":
            number = event["Stage Info"]["Stage ID"]
            label = event.get("Properties", {}).get("spark.job.description", "")
            stages.setdefault(number, SparkStage(number, label.removeprefix(LABEL) if LABEL in label else ""))
        elif kind == "SparkListenerStageCompleted":
            info = event["Stage Info"]
            stage = stages[info["Stage ID"]]
            stage.begin, stage.end = info["Submission Time"] / 1000, info["Completion Time"] / 1000
        elif kind == "SparkListenerTaskEnd" and not event["Task Info"]["Failed"]:
            _add(stages[event["Stage ID"]], event)
    return [stages[number] for number in sorted(stages)]


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    hidden = (".", "appstatus")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(hidden))
    if not files:
        raise SystemExit(f"{folder}: Spark has left no event log there")
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _add(stage: SparkStage, event: dict[str, Any]) -> None:
    info, metrics = event["Task Info"], event.get("Task Metrics") or {}
    stage.tasks.append((info["Finish Time"] - info["Launch Time"]) / 1000)
    read = metrics.get("Shuffle Read Metrics", {})
    stage.written += metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    stage.read += read.get("Remote Bytes Read", 0) + read.get("Local Bytes Read", 0)
    stage.spilled += metrics.get("Disk Bytes Spilled", 0)


def shuffled(stages: list[SparkStage]) -> dict[str, int]:
    """Bytes shuffled by the stages of the run, by label."""
    found: dict[str, int] = {}
    for stage in stages:
        found[stage.label] = found.get(stage.label, 0) + stage.written
    return found


def skewed(stages: list[SparkStage], seconds: float, ratio: float) -> list[SparkStage]:
    """Stages of several tasks whose longest takes over so many seconds and over `ratio` times the median."""
    return [stage for stage in stages if len(stage.tasks) > 1 and stage.longest > seconds and stage.skew > ratio]
