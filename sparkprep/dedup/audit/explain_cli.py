"""The face of `sparkprep explain`: why a document was removed, or kept."""

from __future__ import annotations

import argparse
import os
import sys

from sparkprep.console import add_debug, say

EPILOG = """\
examples:
  %(prog)s clean d000123                    why this document went, its kept twin, and the words that differ
  %(prog)s clean d000123 --whole            both texts too
  %(prog)s s3://bucket/clean d000123

ID is as removed/ and the report show it. The result alone is read (kept/ and audit/), not the input, which may be gone.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("output", metavar="OUTPUT", help="the output folder of a finished `dedup`")
    parser.add_argument("id", type=str, metavar="ID", help="the document's identifier (null: of those that have none)")
    parser.add_argument("--whole", action="store_true", help="print the whole texts too")
    add_debug(parser)


def run(args: argparse.Namespace) -> int:
    """Print why the document was removed or kept. Raises UserError where there is no such result or document."""
    from sparkprep.dedup.audit.explain import explain
    from sparkprep.dedup.audit.finished import FinishedRun

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    say(explain(FinishedRun(args.output), args.id, colour, args.whole), steers=colour)
    return 0
