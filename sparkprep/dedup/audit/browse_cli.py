"""The face of `sparkprep browse`: a page on this machine to look through what was removed."""

from __future__ import annotations

import argparse
import webbrowser

from sparkprep.console import add_debug, has_screen, safe_text, say
from sparkprep.kinds import Integer

EPILOG = """\
examples:
  %(prog)s clean                        opens a browser: search, sort by similarity, page through clusters
  %(prog)s s3://bucket/clean
  %(prog)s clean --no-open --port 8017  on a machine without a screen; from yours: ssh -L 8017:127.0.0.1:8017 MACHINE

The result alone is read (kept/ and audit/), not the input. Only this machine is answered, at an address that holds a
secret. Ctrl-C ends it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("output", metavar="OUTPUT", help="the output folder of a finished `dedup`")
    parser.add_argument(
        "--port", type=Integer(0, 65535), default=0, metavar="N", help="port to answer at (default: any that is free)"
    )
    parser.add_argument("--no-open", action="store_true", help="only print the address, open no browser")
    add_debug(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the pages until Ctrl-C. Raises UserError where there is no such result, or the port is taken."""
    from sparkprep.dedup.audit.finished import FinishedRun
    from sparkprep.dedup.audit.index import Index
    from sparkprep.dedup.audit.pages import NotThere, Pages
    from sparkprep.dedup.audit.server import LocalServer

    finished = FinishedRun(args.output)
    with Index(finished, announce=lambda line: say(f"  {safe_text(line)}")) as index:
        pages = Pages(finished, index)

        def page(address: str) -> str | None:
            try:
                return pages.page(address)
            except NotThere:
                return None

        with LocalServer(page, args.port) as server:
            say(f"  {safe_text(finished.folder)} at {server.url}\n  Ctrl-C ends it")
            if not args.no_open and has_screen():
                webbrowser.open(server.url)
            server.serve_forever()
    return 0
