"""Seconds from the command to the first batch in the device's memory, on the full list of shards of a final run.

26 training shards of 100,000,000 tokens and one to validate on (files full of zeros, which take no disk), a d12 seed
model; then the same from a checkpoint of d12, whose 2 GB are hashed and read. Compiling comes after and is not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import add_temp_argument
from figures import machine, print_table

from sparkprep.llmc import shard
from trainer.checkpoints import checkpoint, model_file
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.state_file import Moments, StateHeader
from trainer.loop.resume import manifest_of
from trainer.loop.start import begin
from trainer.models.gpt2 import GPT2, NAMED
from trainer.settings import parse

_SHARDS, _TOKENS = 27, 100_000_000
_LIMIT = 10.0
# What a run does until it can begin its first step.
_CHILD = """\
import sys
from trainer import settings
from trainer.loop import loop, start as starting
from trainer.data.batches import to_device
from trainer.checkpoints.folder import held
asked = settings.parse(sys.argv[1:])
with held(asked.output) as folder:
    run = starting.begin(asked, folder)
    to_device(run.loader.next(), asked.micro_batch, run.device)
    loop.machine.synchronise(run.device)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each; the best counts (default %(default)s)")
    add_temp_argument(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.temp) as name:
        folder = Path(name)
        words = _prepare(folder)
        cases = {"from a seed model": "out", "from a checkpoint": "resumed"}
        rows = [(case, f"{_best([*words, '-o', str(folder / out)], args.runs):.1f}") for case, out in cases.items()]
    print(f"{machine()}\n")
    print_table(("start", "seconds"), rows)
    return int(any(float(seconds) > _LIMIT for _, seconds in rows))


def _prepare(folder: Path) -> list[str]:
    """Write the shards, the seed and a checkpoint; the words of the command but for its output folder."""
    for i in range(_SHARDS):
        with (folder / f"f_{'val' if i == 0 else 'train'}_{i:06}.bin").open("wb") as file:
            file.write(shard.header_bytes(_TOKENS))
            file.truncate(shard.HEADER_BYTES + shard.TOKEN_BYTES * _TOKENS)
    model = GPT2(NAMED["d12"])
    model.initialise()
    seed = str(folder / "seed_model.bin")
    model_file.write(seed, model.shape, model.flat, model_file.version_of(model.shape, torch.bfloat16))
    words = ["-id", f"{folder}/f_train_*.bin", "-iv", f"{folder}/f_val_*.bin", "-b", "32", "-y", "1", "-h", "0"]
    words += ["-e", seed, "-ss", "2365"]
    resumed = folder / "resumed"
    resumed.mkdir()
    run = begin(parse([*words, "-o", str(resumed), "--device", "cpu"]), str(resumed))
    data = run.loader.state
    head = StateHeader(3000, True, True, run.optimizer.rounding, run.optimizer.rounding_before, data.shard, data.used)
    moments = Moments(run.optimizer.m, run.optimizer.v, run.model.flat)
    checkpoint.write(Checkpoint(str(resumed), 3000), run.model, head, moments, data, manifest_of(run))
    return words


def _best(words: list[str], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", _CHILD, *words], check=True, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(main())
