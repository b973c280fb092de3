"""The share of the machine's peak that a run reaches: a share, on whatever processor and however busy it is."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from checkout import ROOT
from short_runs import Capsys, words

from trainer.loop.loop import Trainer
from trainer.loop.start import begin
from trainer.runs.log import RunLog
from trainer.settings import parse

PEAKS = """
import time, torch
from trainer.device import measured_peak
start = time.monotonic()
print(measured_peak(torch.device("cpu"), torch.bfloat16), time.monotonic() - start)
a = torch.ones(512, 512)
start = time.perf_counter()
a @ a
print(2 * 512**3 / (time.perf_counter() - start))
"""


def test_a_processor_that_is_slow_in_bfloat16_is_measured_by_what_it_can() -> None:
    """Without wide instructions a large product is hundreds of times slower than in float32, and than small ones."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'train'}", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", PEAKS], env=environment, capture_output=True, text=True, check=True)
    first, product = done.stdout.splitlines()
    peak, seconds = map(float, first.split())
    assert peak > float(product) / 4
    assert seconds < 20, "as long as one product in bfloat16 takes there, or longer"


def test_a_peak_that_was_measured_too_low_is_measured_again(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    run = begin(replace(parse(words(tmp_path, data, n=0)), output=str(tmp_path)), str(tmp_path))
    with RunLog(str(tmp_path), resume=False) as log:
        trainer = Trainer(run, log, peak=1.0)
        for step in range(3):
            trainer._iterate(step, entering=False)
    shares = [float(share) for share in re.findall(r"([\d.]+)% fp32 MFU", capsys.readouterr().out)]
    assert len(shares) == 3
    assert all(0 < share <= 100 for share in shares)
