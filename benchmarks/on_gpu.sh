#!/usr/bin/env bash
# Figures of one GPU in one go, on a machine that has a Python with PyTorch, NumPy and PyArrow and needs nothing installed:
#   bash benchmarks/on_gpu.sh [FOLDER]       FOLDER: where the figures go (default: $OUT, else benchmarks-gpu)
# Within some minutes: the machine, and tokens a second of d12 at full size beside the share of a matrix product.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-${OUT:-benchmarks-gpu}}
python=${PYTHON:-python3}
export PYTHONPATH="$PWD:$PWD/train"
mkdir -p "$folder"
{
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv || true
    "$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
} | tee "$folder/machine.txt"
"$python" benchmarks/training.py --micro-batch 32 64 128 2>&1 | tee "$folder/training.txt"
