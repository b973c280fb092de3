"""A trainer of language models in PyTorch that reads and writes llm.c's files: model, state, log, shards."""

import sys

# Here, where a script of any age's Python comes first, and in words that it can read.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.stderr.write("error: " + sys.executable + " is older than the Python 3.11 that the trainer wants; ")
    sys.stderr.write("`make setup-train` in a checkout makes .venv/bin/python\n")
    sys.exit(2)
