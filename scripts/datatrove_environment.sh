#!/bin/sh
# Make a virtual environment with datatrove and spaCy, in which our kernels run too, for `make check-datatrove`.
#   scripts/datatrove_environment.sh FOLDER
# Beside our own packages at our own pins; neither is needed for anything else.
set -eu
venv=$1
"${PYTHON:-python3.11}" -m venv --clear "$venv"
pins=$(grep -E '^(numba|pyarrow|zstandard)==' constraints.txt | sed 's/ .*//')
# shellcheck disable=SC2086  # one word for each pin
"$venv/bin/python" -m pip --disable-pip-version-check --quiet install \
    "datatrove[processing]==0.10.1" "spacy==3.8.18" $pins
