"""The face of `sparkprep index`: which crawls are in an index, and one of them taken out."""

from __future__ import annotations

import argparse
import sys

from sparkprep.arguments import check_arguments
from sparkprep.console import add_debug, if_interrupted, safe_text, say
from sparkprep.dedup.index.folder import read_index
from sparkprep.dedup.index.manifest import Crawl, Manifest
from sparkprep.errors import UserError
from sparkprep.io.paths import normalise
from sparkprep.units import human_bytes

EPILOG = """\
examples:
  %(prog)s list crawls.index                                    the crawls, in the order in which they came
  %(prog)s list crawls.index --verify                           and whether its files are as they were written
  %(prog)s remove crawls.index --crawl jan                      as if it had never been there
  %(prog)s remove crawls.index --crawl jan --output changes     where documents of later crawls went for some of its

An index is made by `dedup --index`. The table of changes names the documents of later crawls that come back,
their twin being gone, and those that go for one that comes back. Their rows are in the results of those crawls: in
audit/rows, or in kept.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")

    def kind(name: str, about: str) -> argparse.ArgumentParser:
        added = kinds.add_parser(name, help=about, description=about)
        added.add_argument("index", metavar="FOLDER", help="the index, a folder or an s3:// URI")
        add_debug(added)
        return added

    listing = kind("list", "the crawls in an index, and what each takes")
    listing.add_argument(
        "--verify", action="store_true", help="read all files and hold them against index.json, by size and SHA-256"
    )
    remove = kind("remove", "take a crawl out of an index, and decide anew what went for its documents")
    remove.add_argument("--crawl", required=True, metavar="NAME", help="which one")
    remove.add_argument("--output", metavar="FOLDER", help="folder to make for the table of what changes")
    remove.add_argument("--overwrite", action="store_true", help="replace the output folder if it exists")


def run(args: argparse.Namespace) -> int:
    """List or remove, as the arguments say."""
    check_arguments(index=args.index)
    if args.kind == "list":
        path, manifest = normalise(args.index), read_index(args.index)
        say(listed(path, manifest))
        if args.verify:
            verify(path, manifest)
        return 0
    check_arguments(output=args.output, crawl=args.crawl)
    with if_interrupted("the index is as it was"):
        from sparkprep.dedup.crawls.removal import remove_crawl

        removal = remove_crawl(args.index, args.crawl, output=args.output, overwrite=args.overwrite, stream=sys.stderr)
    rows = [f"crawl {removal.crawl.name} is out of {args.index}"]
    if removal.output is not None:
        rows += [f"  {name}: {removal.back[name]:,} come back, {removal.goes[name]:,} go" for name in removal.back]
        rows.append(f"  which: {removal.output}/changes")
    else:
        rows.append("  no decision about a document of another crawl changes")
    say("\n".join(map(safe_text, rows)))
    return 0


def verify(path: str, manifest: Manifest) -> None:
    """Hold all files of an index against its manifest, and say what is wrong, a line each. Raises UserError then."""
    from sparkprep.dedup.index.indexed import files_of  # with Spark, which the list alone need not wait for
    from sparkprep.dedup.index.stored import faults

    tables = [files_of(path, crawl, name) for crawl in manifest.crawls for name in crawl.tables]
    files = [file for table in tables for file in table.values()]
    wrong = faults(files)
    for line in wrong:
        say(f"  {safe_text(line)}")
    if wrong:
        raise UserError(
            f"{path}: files that are not as they were written, above: {len(wrong):,} of {len(files):,}; restore them, "
            "or take their crawls out of the index"
        )
    say(f"  all {len(files):,} files are as they were written")


def listed(path: str, manifest: Manifest) -> str:
    """Return a table of the crawls of the index at a path, as text."""
    settings = ", ".join(f"{name} {value}" for name, value in manifest.settings.items())
    rows: list[tuple[str, ...]] = [("crawl", "added", "documents", "kept", "removed", "size", "a document")]
    rows += [_row(each) for each in manifest.crawls]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if n < 2 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    total = sum(each.bytes for each in manifest.crawls)
    return "\n".join(
        [
            safe_text(path),
            f"  {safe_text(settings)}",
            *(f"  {line.rstrip()}" for line in lines),
            f"  {human_bytes(total)} in all",
        ]
    )


def _row(crawl: Crawl) -> tuple[str, ...]:
    counts = crawl.counts
    numbers = (f"{counts[name]:,}" for name in ("documents", "kept", "removed"))
    each = f"{crawl.bytes / max(1, counts['documents']):,.0f} B"
    return (crawl.name, crawl.date[:10], *numbers, human_bytes(crawl.bytes), each)
