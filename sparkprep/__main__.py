"""`python -m sparkprep`: the `sparkprep` command where its script is not on PATH."""

import sys

if __name__ == "__main__":
    # `python -m` puts the working folder first, where a logging.py or tokenize.py would stand in for Python's own.
    if not sys.flags.safe_path:
        del sys.path[0]

    from sparkprep.cli import main

    sys.exit(main())
