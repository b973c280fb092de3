"""The replay of the learning-rate tuner, for tests: scripts of `benchmarks/`, which are no package."""

import sys

from checkout import BENCHMARKS

sys.path.append(str(BENCHMARKS))

import tune_oracles
import tune_replay

__all__ = ["tune_oracles", "tune_replay"]
