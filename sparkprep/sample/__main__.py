"""`python -m sparkprep.sample`: an embedded subset as files, or as crawl archives, and what became of them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence

import pyarrow.parquet as pq

from sparkprep.arguments import check_arguments
from sparkprep.console import Exit, add_debug, guarded, say, say_line
from sparkprep.io.files import make_folder, open_whole, write_text
from sparkprep.io.paths import join_path
from sparkprep.kinds import Number
from sparkprep.parser import Parser
from sparkprep.sample.archives import write_archives
from sparkprep.sample.build import FILES, SIZES, Subset, embedded
from sparkprep.sample.comparison import compare_words

EPILOG = """\
examples:
  %(prog)s --size 10k --out subsets/10k      10,000 documents, their true pairs and clusters, their sources
  %(prog)s --size 10k --archives crawl/      the documents as pages of HTML in archives of WARC, to be extracted
  %(prog)s --size 10k --compare pages/       what an extraction made of these, word for word

exit code: 0; 1 where more than --max-differ of the words differ; 2 if something cannot be read or written
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Put the files of a subset where they can be looked at; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sparkprep.sample",
        description="Write an embedded graded subset to a folder, as Parquet or as crawl archives, or compare with it.",
        epilog=EPILOG,
    )
    parser.add_argument("--size", choices=SIZES, default="10k", help="1,000 or 10,000 documents (default: 10k)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", metavar="DIR", help="folder to write documents, pairs, clusters and sources to")
    what.add_argument("--archives", metavar="DIR", help="folder to write archives of WARC to")
    what.add_argument("--compare", metavar="DIR", help="output folder of `extract` to hold against the documents")
    parser.add_argument(
        "--max-differ",
        type=Number(0, 1),
        default=0.001,
        metavar="SHARE",
        help="share of words that may differ in a comparison (default: 0.001)",
    )
    parser.add_argument("--json", metavar="FILE", help="write what differs to this file too")
    add_debug(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do as the arguments say and print what was written or compared; 1 where too many words differ."""
    check_arguments(json=args.json)
    subset = embedded(args.size, announce=say_line)
    if args.compare:
        return _compare(args, subset)
    if args.archives:
        for path in write_archives(subset, args.archives):
            say_line(path)
    else:
        _copy(subset, args.out)
    return Exit.DONE


def _copy(subset: Subset, folder: str) -> None:
    """Copy the files, each whole or not at all, and print their rows."""
    make_folder(folder)
    for name in FILES:
        source, target = subset.directory / name, join_path(folder, name)
        with open(source, "rb") as stream, open_whole(target) as copy:
            shutil.copyfileobj(stream, copy)
        say_line(f"{pq.read_metadata(source).num_rows:>8,} rows  {target}")


def _compare(args: argparse.Namespace, subset: Subset) -> int:
    compared = compare_words(args.compare, subset)
    if args.json:
        write_text(args.json, json.dumps(compared.as_dict(), indent=1) + "\n")
    say(repr(compared))
    if compared.share > args.max_differ:
        say(f"FAILED: {100 * compared.share:.3f} % of the words differ, beyond --max-differ {args.max_differ:g}")
        return Exit.CHECK_FAILED
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
