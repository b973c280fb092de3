"""Tokens a second of training: the trainer beside Hugging Face's GPT-2 with PyTorch's own AdamW, in the same run.

Both train the same shape on the same random tokens, in the same number format, micro-batch and updates; each sums its
gradients to the same number of tokens. The share of the peak (MFU) is that of a large matrix product measured here, a
token counting 6 N + 6 L C T operations as llm.c counts. On a GPU, --micro-batch may name several to find the fastest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from figures import machine, print_table

from sparkprep.llmc import shard
from trainer import device as chosen
from trainer.flags import DEVICES, PRECISIONS
from trainer.loop.loop import Trainer
from trainer.loop.start import begin
from trainer.models.gpt2 import NAMED, GPT2Shape
from trainer.runs.log import RunLog
from trainer.settings import defaults

_SKIPPED = 3  # steps that compile, allocate and fill caches
_SMALL = "4,4,256"


def main() -> int:
    args = _arguments()
    device = chosen.choose_device(args.device)
    dtype = chosen.choose_dtype(args.precision, device)
    shape = NAMED[args.shape] if args.shape in NAMED else GPT2Shape(*(int(part) for part in args.shape.split(",")))
    peak = max(chosen.measured_peak(device, dtype) for _ in range(3))
    total = args.total_batch
    print(machine())
    where, what = chosen.device_name(device), chosen.precision_name(dtype)
    print(f"{where}, {what}, peak of a matrix product {peak / 1e12:.3g} TFLOP/s")
    print(f"{shape}, {shape.num_parameters:,} parameters, T={args.seq_len}, {total:,} tokens an update\n")
    rows, best = [], {}
    for micro_batch in args.micro_batch:
        for name, seconds, held in _in_turns(args, shape, micro_batch, device, dtype):
            if seconds is None:
                rows.append((name, str(micro_batch), "out of memory", "", ""))
            else:
                speed = total / seconds
                best[name] = max(best.get(name, 0.0), speed)
                share = 100 * shape.flops_per_token(args.seq_len) * speed / peak
                rows.append((name, str(micro_batch), f"{speed:,.0f}", f"{share:.1f}", held))
            print(", ".join(rows[-1]), flush=True)  # at once: a lent machine may end before the table
    print()
    print_table(("trained by", "-b", "tokens/s", "MFU, %", "GPU, GiB"), rows)
    for name in list(best)[1:]:
        print(f"\nratio to {name}: {best['this trainer'] / best[name]:.2f}")
    return 0


def _in_turns(
    args: argparse.Namespace, shape: GPT2Shape, micro_batch: int, device: torch.device, dtype: torch.dtype
) -> list[tuple[str, float | None, str]]:
    """(name, seconds of an update or None where memory lacked, GiB of the GPU); the best run's median counts."""
    gpu = device.type == "cuda"
    tried: dict[str, Callable[[], list[float]]] = {"this trainer": lambda: _ours(args, shape, micro_batch)}
    if not args.no_peer:
        tried["transformers GPT2LMHeadModel"] = lambda: _theirs(args, shape, micro_batch, device, dtype, False)
        if gpu:
            tried["the same, compiled"] = lambda: _theirs(args, shape, micro_batch, device, dtype, True)
    times: dict[str, list[float]] = {name: [] for name in tried}
    held = dict.fromkeys(tried, "-")
    for _ in range(args.runs):  # in turns, so that a slow moment of the machine meets them all
        for name, train in tried.items():
            if gpu:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                times[name].append(statistics.median(train()[_SKIPPED:]))
            except torch.OutOfMemoryError:
                continue
            if gpu:
                held[name] = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}"
    return [(name, min(found) if found else None, held[name]) for name, found in times.items()]


def _arguments() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--shape", default="d12" if gpu else _SMALL, help="d12, d24, … or LAYERS,HEADS,CHANNELS (default %(default)s)")
    add("--micro-batch", "-b", type=int, nargs="+", default=[64] if gpu else [4], help="rows at a time (%(default)s)")
    add("--seq-len", type=int, default=1024 if gpu else 256, help="tokens in a row (default %(default)s)")
    add("--total-batch", type=int, default=524288 if gpu else 2048, help="tokens an update (default %(default)s)")
    add("--steps", type=int, default=13 if gpu else 8, help=f"of each, the first {_SKIPPED} not counted (%(default)s)")
    add("--runs", type=int, default=1 if gpu else 4, help="of each, in turns; the best counts (default %(default)s)")
    add("--device", default="auto", choices=DEVICES)
    add("--precision", default="auto", choices=PRECISIONS)
    add("--compile", default="auto", choices=("auto", "yes", "no"), help="of this trainer")
    add("--deterministic", action="store_true", help="this trainer with --deterministic")
    add("--no-peer", action="store_true", help="this trainer alone")
    args = parser.parse_args()
    if args.steps <= _SKIPPED:
        parser.error(f"--steps must be above {_SKIPPED}")
    return args


def _ours(args: argparse.Namespace, shape: GPT2Shape, micro_batch: int) -> list[float]:
    """Seconds of each update, as a run takes them: with its data, its log values and its optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("train", "val"):
            tokens = np.random.default_rng(0).integers(0, shape.vocab_size, 4 * micro_batch * args.seq_len + 1)
            shard.write(str(Path(folder) / f"b_{name}_000000.bin"), tokens)
        settings = defaults(
            output=folder,
            train_data=f"{folder}/b_train_*.bin",
            val_data=f"{folder}/b_val_*.bin",
            layers=shape.layers,
            heads=shape.heads,
            channels=shape.channels,
            micro_batch=micro_batch,
            seq_len=args.seq_len,
            total_batch=args.total_batch,
            steps=args.steps,
            hellaswag=False,
            device=args.device,
            precision=args.precision,
            compile=args.compile,
            deterministic=args.deterministic,
        )
        run = begin(settings, folder)
        kernels = chosen.attention_kernels(run.device, deterministic=args.deterministic)
        with kernels, RunLog(folder, resume=False) as log:
            trainer = Trainer(run, log, peak=1.0)
            return [trainer.update(step).seconds for step in range(args.steps)]


def _theirs(
    args: argparse.Namespace, shape: GPT2Shape, rows: int, device: torch.device, dtype: torch.dtype, compiled: bool
) -> list[float]:
    """The same of transformers' model, trained as its users do: autocast, clip_grad_norm_, fused AdamW on a GPU."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.max_seq_len,
        n_embd=shape.channels,
        n_layer=shape.layers,
        n_head=shape.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    model = GPT2LMHeadModel(config).to(device)
    called = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    ids = torch.randint(0, shape.vocab_size, (rows, args.seq_len), device=device)
    micro_steps = args.total_batch // (rows * args.seq_len)
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        for _ in range(micro_steps):
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = called(ids, labels=ids).loss / micro_steps
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        chosen.synchronise(device)
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
