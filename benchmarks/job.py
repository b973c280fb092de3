"""The whole dedup job against Spark copying the same Parquet, in turns: CPU seconds of everything that each starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from against_copy import compare, parser
from common import job_command, submit_options


def removed(folder: Path) -> str:
    """What the job found."""
    counts = json.loads((folder / "job" / "metrics.json").read_text())["counts"]
    return f", {counts['input']:,} documents, {counts['removed']:,} removed"


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--threshold", default="0.8", help="of the job (default 0.8)")
    arguments.add_argument("--spark-submit", metavar="PATH", help="start both through this launcher, not plain Python")
    args = arguments.parse_args()
    submit = [args.spark_submit, *submit_options(args.cores, args.conf)] if args.spark_submit else [sys.executable]

    def job(data: Path, folder: Path) -> list[str]:
        return [*submit, *job_command(data, folder / "job", "--threshold", args.threshold)[1:]]

    compare(args, "jobs/dedup.py", job, submit, removed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
