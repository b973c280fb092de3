"""`python -m sparkprep`: the `sparkprep` command where its script is not on PATH."""

import sys

if __name__ == "__main__":
    # `python -m` puts the working folder first, where a logging.py or tokenize.py would stand in for Python's own.
    if not sys.flags.safe_path:
        del sys.path[0]

    try:
        from sparkprep.cli import main
    except KeyboardInterrupt:  # the program itself answers from here on
        print("interrupted: nothing was begun", file=sys.stderr)
        sys.exit(130)

    sys.exit(main())
