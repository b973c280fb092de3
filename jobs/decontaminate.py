"""Remove documents that hold an evaluation set: spark-submit jobs/decontaminate.py --input docs/ --output clean/ ..."""

import os
import sys

if __name__ == "__main__":
    # Python puts a script's folder first on its path, where tokenize.py would stand in for Python's own module.
    here = os.path.dirname(os.path.realpath(__file__))  # as Python follows links
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != here]

    try:
        from sparkprep.cli import main
    except ImportError as error:
        way_out = "`make setup` in a checkout makes .venv/bin/python and .venv/bin/spark-submit that do"
        print(f"error: {error}, so {sys.executable} cannot run this; {way_out}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # the job itself answers from here on
        print("interrupted: nothing was begun", file=sys.stderr)
        sys.exit(130)

    sys.exit(main(["decontaminate", *sys.argv[1:]]))
