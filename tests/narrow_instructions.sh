#!/bin/sh
# Run the tests of computed numbers as processors without the wide instructions of this one would, each variant in turn.
#   tests/narrow_instructions.sh [VARIANT...]     without names all of them; 15 minutes on one core
# Prints a line for each variant and stops at the first that fails, whose output it shows. Sums come out otherwise in
# each, so that a bound which follows from one machine does not hold; the kernels' integers are the same in all.
# Run from the root of the repository. Variables that this processor or these builds do not know change nothing.
set -eu

PYTHON=${PYTHON:-.venv/bin/python}
export PYTHONPATH="$PWD:$PWD/train" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

trainer="tests/trainer/loop/test_llmc_semantics.py tests/trainer/loop/test_training.py tests/trainer/data
    tests/trainer/checkpoints tests/trainer/generate tests/trainer/evaluate tests/trainer/convert tests/trainer/optim
    tests/trainer/loop/test_train_start_and_end.py"
arrays="tests/dedup/kernels tests/dedup/report/test_metrics.py tests/trainer/optim tests/trainer/generate/test_sampler.py
    tests/trainer/data tests/trainer/runs/test_runs_and_plots.py tests/trainer/runs/test_run_log.py"

# The dispatched features of this NumPy that this processor has, of all or of those whose name begins with X86_V4 or
# AVX512: NumPy refuses names that it does not know.
numpy_features() {
    "$PYTHON" - "$@" <<'END'
import sys
from numpy._core import _multiarray_umath as core

present = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
print(" ".join(name for name in present if name.startswith(tuple(sys.argv[1:]) or "")))
END
}

# variant NAME "TESTS" VARIABLE=VALUE...
# A run that goes on bit for bit is compared with itself, and minutes long where bfloat16 has no instructions; below AVX2
# oneDNN's bfloat16 is slower still.
variant() {
    name=$1 tests=$2
    shift 2
    case " $chosen " in "  " | *" $name "*) ;; *) return 0 ;; esac
    start=$(date +%s) unless="not bit_for_bit"
    case "$*" in *SSE41*) unless="$unless and not dtype1 and not bfloat16" ;; esac
    # shellcheck disable=SC2086 # the names of tests are several words
    if env "$@" "$PYTHON" -m pytest -q -p no:cacheprovider -k "$unless" $tests >"$scratch/output" 2>&1; then
        echo "$name: passed in $(($(date +%s) - start)) s"
    else
        cat "$scratch/output"
        echo "$name: FAILED with $*"
        exit 1
    fi
}

chosen="$*"
without_avx512=$(numpy_features X86_V4 AVX512)
without_any=$(numpy_features)

# Whole processors. ATen, oneDNN and MKL are told alike: ATen at AVX2 beside a oneDNN that sees AMX is no real machine,
# and PyTorch's attention in bfloat16 stops there ("pack_vnni2 is only supported when avx512 is supported").
variant avx2 "$trainer" ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
    OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES="$without_avx512"
variant sse "$trainer" ATEN_CPU_CAPABILITY=default DNNL_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
    OPENBLAS_CORETYPE=Nehalem NPY_DISABLE_CPU_FEATURES="$without_any"
# What MKL takes on processors that are not Intel's.
variant mkl-compatible "$trainer" MKL_CBWR=COMPATIBLE
# One library at a time, the others as this processor has them.
variant mkl-sse "$trainer" MKL_ENABLE_INSTRUCTIONS=SSE4_2
variant dnnl-avx2 "$trainer" DNNL_MAX_CPU_ISA=AVX2
variant dnnl-sse "$trainer" DNNL_MAX_CPU_ISA=SSE41
variant aten-default "$trainer" ATEN_CPU_CAPABILITY=default DNNL_MAX_CPU_ISA=AVX2
variant numpy-avx2 "$arrays" NPY_DISABLE_CPU_FEATURES="$without_avx512"
variant numpy-sse "$arrays" NPY_DISABLE_CPU_FEATURES="$without_any"
variant openblas-haswell "$arrays" OPENBLAS_CORETYPE=Haswell
variant openblas-prescott "$arrays" OPENBLAS_CORETYPE=Prescott
# A processor of which LLVM knows x86-64 alone; what it compiles must not be loaded by others.
variant numba-generic "tests/dedup/kernels" NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= NUMBA_CACHE_DIR="$scratch/numba"
echo "the bounds hold in every variant"
