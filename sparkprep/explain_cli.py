"""The face of `sparkprep explain`: why a document or a page was removed, or kept, by the result of any job."""

from __future__ import annotations

import argparse
import os
import sys

from sparkprep.console import add_debug, say
from sparkprep.errors import UserError
from sparkprep.io.paths import normalise
from sparkprep.io.results import job_of

_URL = "url"
_JOBS = "extract, filter, dedup or decontaminate"
_ADVICE = f"name the output folder of a finished {_JOBS}"
EPILOG = """\
examples:
  %(prog)s clean d000123                        of dedup: why it went, its kept twin, the words that differ
  %(prog)s clean d000123 --whole                both texts too
  %(prog)s s3://bucket/clean d000123
  %(prog)s good --id d000123                    of filter: the rule, what it measured, its threshold
  %(prog)s apart d000123                        of decontaminate: the question, the words, and where they stand
  %(prog)s pages --url https://example.org/3    of extract: the document that a page became

Of a document that was kept, dedup tells the one most like it, filter the thresholds that it came nearest to; of a page
without a document, extract tells the reason. ID is as the result and its report show it. The result alone is read, not
the input, which may be gone.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("output", metavar="OUTPUT", help=f"the output folder of a finished {_JOBS}")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="ID",
        help="the document's identifier (null: of those that have none)",
    )
    parser.add_argument("--id", metavar="ID", help="the same, by a flag")
    parser.add_argument("--url", help="the address of a page, in place of the identifier: of the column `url`")
    parser.add_argument("--whole", action="store_true", help="print the whole texts too")
    add_debug(parser)


def run(args: argparse.Namespace) -> int:
    """Print why the document was removed or kept. Raises UserError where there is no such result or document."""
    given = [value for value in (args.name, args.id, args.url) if value is not None]
    if len(given) != 1:
        raise UserError("name one document, by its ID or by --url")
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    job = job_of(normalise(args.output), _ADVICE)
    is_url = args.url is not None or (job == "extract" and args.name is not None and "://" in args.name)
    say(_told(job, args.output, given[0], _URL if is_url else None, colour, args.whole), steers=colour)
    return 0


def _told(job: str, output: str, name: str, column: str | None, colour: bool, whole: bool) -> str:
    """Return what the result of whichever job tells. column: by which documents are named, but for identifiers."""
    if job == "extract":
        from sparkprep.extract.explain import ExtractedRun, explain_id, explain_url

        return (explain_id if column is None else explain_url)(ExtractedRun(output), name, whole)
    if job == "filter":
        from sparkprep.filter import explain as of_filter

        return of_filter.explain(of_filter.FilteredRun(output), name, column, whole)
    if job == "decontaminate":
        from sparkprep.decontaminate import explain as of_decontaminate

        return of_decontaminate.explain(of_decontaminate.DecontaminatedRun(output), name, column, whole)
    from sparkprep.dedup.audit.explain import explain
    from sparkprep.dedup.audit.finished import FinishedRun

    return explain(FinishedRun(output), name, colour, whole, column)
