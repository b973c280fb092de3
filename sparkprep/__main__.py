"""`python -m sparkprep`: the `sparkprep` command where its script is not on PATH."""

import sys

from sparkprep.cli import main

if __name__ == "__main__":
    sys.exit(main())
