"""Small training runs for tests: token shards, the command line in a process of its own, and what it left behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from checkout import ROOT

from sparkprep.llmc import shard

SCRIPT = ROOT / "train" / "train_gpt2.py"


def write_shards(folder: Path, sizes: list[int], name: str = "train", seed: int = 0) -> str:
    """Shards of random tokens of so many each, from a few hundred words so that there is something to learn; a glob."""
    random = np.random.default_rng(seed)
    words = random.integers(0, 50257, 300)
    folder.mkdir(parents=True, exist_ok=True)
    for i, size in enumerate(sizes):
        # a skewed distribution has a loss well below that of even odds
        tokens = words[(300 * random.random(size) ** 3).astype(int)]
        shard.write(str(folder / f"t_{name}_{i:06d}.bin"), tokens)
    return str(folder / f"t_{name}_*.bin")


def command(output: Path, data: Path, **options: object) -> list[str]:
    """The words of a small run after the script's name; options name flags without their dash and replace these."""
    flags: dict[str, object] = {
        "o": output,
        "id": data / "t_train_*.bin",
        "iv": data / "t_val_*.bin",
        "1d": 2,
        "1c": 16,
        "1h": 2,
        "b": 2,
        "t": 16,
        "d": 64,
        "x": 24,
        "u": 3,
        "n": 4,
        "v": 8,
        "m": 2,
        "h": 0,
        "s": 0,
        "l": 0.01,
        "-threads": 1,
    }
    flags.update(options)
    return [word for name, value in flags.items() if value is not None for word in (f"-{name}", str(value))]


def start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The trainer in a process of its own; what it prints is added to `log`."""
    with log.open("ab") as stream:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), *words], stdout=stream, stderr=subprocess.STDOUT, env=environment
        )


def log_values(folder: Path) -> dict[tuple[str, str], str]:
    """The last line of main.log for each step and kind, without its time."""
    lines = (folder / "main.log").read_text().splitlines()
    values = {}
    for line in lines:
        step, rest = line.split(" ", 1)
        values[step, rest.split(":")[0]] = re.sub(r" time \(ms\):.*", "", rest)
    return values
