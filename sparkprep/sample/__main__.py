"""`python -m sparkprep.sample --size 10k --out DIR`: put the files of an embedded subset where you can look at them."""

import argparse
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq

from sparkprep.errors import UserError
from sparkprep.sample.build import FILES, SIZES, embedded


def main(argv: list[str] | None = None) -> int:
    """Put the files of a subset where they can be looked at."""
    parser = argparse.ArgumentParser(
        prog="python -m sparkprep.sample",
        description="Copy an embedded graded subset (documents, pairs, clusters, sources) to a folder.",
        epilog="example: python -m sparkprep.sample --size 10k --out subsets/10k",
    )
    parser.add_argument("--size", choices=SIZES, default="10k", help="1,000 or 10,000 documents (default: 10k)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; made where missing")
    arguments = parser.parse_args(argv)
    try:
        subset = embedded(arguments.size, announce=print)
        _copy(subset.directory, arguments.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name in FILES:
        print(f"{pq.read_metadata(arguments.out / name).num_rows:>8,} rows  {arguments.out / name}")
    return 0


def _copy(source: Path, target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(source / name, target / name)
    except OSError as error:
        raise UserError(f"--out {target} cannot be written ({error.strerror}): name another folder") from error


if __name__ == "__main__":
    sys.exit(main())
