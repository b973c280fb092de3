"""`python -m sparkprep.sample --size 10k --out DIR`: put the files of an embedded subset where you can look at them."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

import pyarrow.parquet as pq

from sparkprep.console import add_debug, guarded, say_line
from sparkprep.io.files import make_folder, open_whole
from sparkprep.io.paths import join_path
from sparkprep.options import Parser
from sparkprep.sample.build import FILES, SIZES, embedded

EPILOG = """\
examples:
  %(prog)s --size 10k --out subsets/10k     10,000 documents, their true pairs and clusters, their sources
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Put the files of a subset where they can be looked at; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sparkprep.sample",
        description="Copy an embedded graded subset (documents, pairs, clusters, sources) to a folder.",
        epilog=EPILOG,
    )
    parser.add_argument("--size", choices=SIZES, default="10k", help="1,000 or 10,000 documents (default: 10k)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write, local or s3://")
    add_debug(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Copy the files, each whole or not at all, and print their rows."""
    subset = embedded(args.size, announce=say_line)
    make_folder(args.out)
    for name in FILES:
        source, target = subset.directory / name, join_path(args.out, name)
        with open(source, "rb") as stream, open_whole(target) as copy:
            shutil.copyfileobj(stream, copy)
        say_line(f"{pq.read_metadata(source).num_rows:>8,} rows  {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
