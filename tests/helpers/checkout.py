"""Where the checkout lies, whose scripts and documents tests run and read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "train"
BENCHMARKS = ROOT / "benchmarks"
