"""Grade a near-duplicate removal: `python jobs/grade.py OUTPUT --size 10k` (or --truth FILE; see --help)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # from a checkout, without an installation

from sparkprep.grade.cli import main

if __name__ == "__main__":
    sys.exit(main())
