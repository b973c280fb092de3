#!/bin/sh
# Make a virtual environment with the package, its pinned dependencies and our spark-submit.
#   scripts/setup.sh FOLDER EXTRAS [PINS]
# EXTRAS: those of pyproject.toml to install, such as spark,java. PINS: a file whose pins replace those of constraints.txt.
# Run by `make setup` and `make test-spark4`, from the root of the repository.
set -eu
venv=$1
extras=$2
instead=${3:-}

good() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        good "$PYTHON" && echo "$PYTHON" && return
        echo "PYTHON=$PYTHON is not a Python of version 3.11 or newer with venv and ensurepip." >&2
        return 1
    fi
    for candidate in python3.11 python3; do
        good "$candidate" && echo "$candidate" && return
    done
    echo "No Python of version 3.11 or newer was found (tried python3.11 and python3; both venv and ensurepip must be" >&2
    echo "there: on Debian and Ubuntu, apt install python3-venv). Name one: make setup PYTHON=/path/to/python3.11" >&2
    return 1
}

if ! good "$venv/bin/python"; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version); this happens once and takes a minute or two."
    "$python" -m venv --clear "$venv"
fi

pins=constraints.txt
if [ -n "$instead" ]; then
    pins=$venv/constraints.txt
    names=$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/\1/p' "$instead" | tr '\n' '|')
    { grep -v -i -E "^(${names%|})==" constraints.txt; cat "$instead"; } >"$pins"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
# --no-compile: most modules of the big packages are never imported, and compiling all of them took as long as the
# rest. The build tool is pinned like the rest, so no build in isolation, which would fetch its own. --use-pep517: pip
# warns of its older way, in which it would build pyspark.
pip install --constraint "$pins" setuptools
pip install --constraint "$pins" --no-build-isolation --use-pep517 --no-compile --editable ".[$extras]"

"$venv/bin/python" scripts/precompile_spark.py
"$venv/bin/python" scripts/install_launcher.py "$venv/bin"
"$venv/bin/python" -I sparkprep/spark/java.py >/dev/null # says so where there is no Java
