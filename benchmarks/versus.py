"""The jobs here and in another checkout of this project, in turns: CPU seconds of everything that each starts.

Whether a change made them dearer: `python benchmarks/versus.py ../before` needs `make setup` done in both. The launcher
and the environment of each checkout are used. The median counts; the spread shows what the noise of the machine hides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from common import ROOT, require_text, scratch, subset
from figures import machine, print_table
from measure import measure_checked

_JOBS = {"dedup": ("dedup.py",), "tokens": ("tokens.py", "tokenize.py")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, metavar="CHECKOUT", help="the other checkout, set up")
    parser.add_argument("--data", type=Path, metavar="PATH", help="Parquet file or folder (default: embedded 10k)")
    parser.add_argument("--runs", type=int, default=5, help="of each, in turns (default %(default)s)")
    parser.add_argument("--jobs", nargs="+", choices=_JOBS, default=["dedup"], help="default %(default)s")
    args = parser.parse_args()
    checkouts = {"here": ROOT, str(args.other): args.other.resolve()}
    data = require_text(args.data) if args.data else subset("10k").documents
    rows = []
    for job in args.jobs:
        seconds: dict[str, list[float]] = {name: [] for name in checkouts}
        for turn in range(args.runs):
            for name, checkout in checkouts.items():
                with scratch(None) as folder:
                    seconds[name].append(measure_checked(_command(checkout, job, data, folder / "out")).cpu_s)
            print(f"{job}, turn {turn + 1} of {args.runs}", file=sys.stderr)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        for name, values in seconds.items():
            spread = f"{min(values):.1f} to {max(values):.1f}"
            ratio = medians[name] / medians[str(args.other)]
            rows.append((f"{job}, {name}", f"{medians[name]:.1f}", spread, f"{ratio:.3f}"))
    print(f"{machine()}\n")
    print_table(("job, checkout", "CPU s, median", "spread", "ratio to the other"), rows)
    return 0


def _command(checkout: Path, job: str, data: Path, output: Path) -> list[str]:
    script = next(path for name in _JOBS[job] if (path := checkout / "jobs" / name).exists())
    launcher = checkout / ".venv" / "bin" / "spark-submit"
    if not launcher.exists():
        raise SystemExit(f"{checkout}: not set up: run `make setup` there")
    # In its own folder: Python's workers look for packages in the current one first, and would find ours.
    start = ["env", f"--chdir={checkout}", str(launcher)]
    return [*start, str(script), "--input", str(data.resolve()), "--output", str(output), "--quiet"]


if __name__ == "__main__":
    sys.exit(main())
