"""Documents to token rows to shards against Spark copying the same Parquet, in turns: CPU seconds of all of each."""

from __future__ import annotations

import sys
from pathlib import Path

from against_copy import compare, parser
from common import ROOT


def job(data: Path, folder: Path) -> list[str]:
    """Both steps in one command."""
    outputs = ["--output", str(folder / "rows"), "--shards", str(folder / "shards")]
    return [sys.executable, str(ROOT / "jobs" / "tokens.py"), "--input", str(data), *outputs]


def main() -> int:
    compare(parser(__doc__).parse_args(), "jobs/tokens.py --shards", job)
    return 0


if __name__ == "__main__":
    sys.exit(main())
