#!/usr/bin/env bash
# Figures and tests of one GPU in one go, on a machine that has Python with PyTorch, NumPy, PyArrow, pandas, tqdm,
# transformers and pytest, and needs nothing installed:
#   bash benchmarks/on_gpu.sh [FOLDER]       FOLDER: where what was measured goes (default: $OUT, else benchmarks-gpu)
# Made to take under eight minutes on an H100 (not seen whole yet; its limits allow 13). What matters most comes first,
# and each line is written as it is measured, so that a machine that ends early has told what it could. Without a GPU it
# runs small, and leaves the GPU's tests out. PYTHON names another Python than python3; ends with 1 where a part failed.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=${1:-${OUT:-benchmarks-gpu}}
python=${PYTHON:-python3}
export PYTHONPATH="$PWD:$PWD/train:$PWD/tests/helpers${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$folder"
failed=0

part() {  # NAME SECONDS COMMAND...: run it, show what it prints, and keep that; one that hangs tells where it stood
    local name=$1 limit=$2
    shift 2
    echo "--- $name, at ${SECONDS} s"
    timeout --signal=ABRT --kill-after=10 "$limit" "$@" 2>&1 | tee "$folder/$name.txt" || {
        echo "--- $name: failed, or was stopped after $limit s" | tee -a "$folder/$name.txt"
        failed=1
    }
}

gpu_tests=("$python" -X faulthandler -m pytest --confcutdir=tests/gpu -p no:cacheprovider -m gpu)  # others want PySpark
training=("$python" -X faulthandler benchmarks/training.py)

has_gpu=$("$python" -c 'import torch; print(int(torch.cuda.is_available()))') || exit 1
part versions 60 "$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
if [ "$has_gpu" = 1 ]; then
    part machine 60 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv
    part operators 60 "${gpu_tests[@]}" tests/gpu/test_operators.py
    for rows in 64 32 128; do
        part "training-$rows" 100 "${training[@]}" --micro-batch "$rows" --no-peer
    done
    part against-transformers 150 "${training[@]}" --micro-batch 64 --steps 9
    part runs 120 "${gpu_tests[@]}" tests/gpu/test_training.py
else
    echo "--- no GPU here: small figures of the CPU, and the tests in tests/gpu are left out"
    part training 300 "${training[@]}" --shape 2,2,64 --seq-len 64 --total-batch 512 --runs 1 --steps 5
fi
exit $failed
