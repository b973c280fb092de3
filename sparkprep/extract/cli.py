"""The face of extraction: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
from typing import Any

from sparkprep.arguments import check_arguments
from sparkprep.console import add_debug, if_interrupted, say_line
from sparkprep.extract.archives import list_archives
from sparkprep.extract.contents import MADE, METRICS
from sparkprep.extract.outcomes import OTHER_LANGUAGE
from sparkprep.extract.settings import ExtractSettings
from sparkprep.extract.telling import left_out_languages
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.left_out import left_out_row
from sparkprep.io.output import try_output
from sparkprep.io.paths import join_path
from sparkprep.io.run_folders import NOTHING_IN_PLACE
from sparkprep.journey import tell_next
from sparkprep.options import add_options, add_resume, add_work, from_arguments
from sparkprep.pages.reported import REPORT
from sparkprep.summary import print_rows, print_warnings
from sparkprep.units import counted, human_bytes

_LANGUAGES = 5

EPILOG = """\
examples:
  spark-submit jobs/extract.py --input warcs/ --output pages/         all archives of a folder
  sparkprep extract --input warc.paths.gz --output s3://bucket/pages/      those that a list of Common Crawl names
  sparkprep extract --input 'warcs/CC-MAIN-*.warc.gz' --output whole/ --extractor all
  sparkprep extract --input warcs/ --output pages/ --language en      without the pages in other languages

output folder: documents/ (Parquet: id, url, text, title, language, language_score, declared_language, date, archive,
offset, payload_bytes), skipped/ (url, archive, offset, reason, detail of the pages that gave none), rejected/ (what is
damaged, and where), metrics.json (records by what they gave), report.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sparkprep extract`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="WARC or WET archives, folders or lists of them"
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    add_work(parser)
    add_resume(parser)
    add_options(parser, ExtractSettings)
    add_access(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an output that an earlier run has made")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    add_debug(parser)


def settings_of(args: argparse.Namespace) -> ExtractSettings:
    """Return the settings that the arguments name. Raises UserError for what cannot work, before anything is asked."""
    check_arguments(output=args.output, work=args.work)
    return from_arguments(ExtractSettings, args)


def run(args: argparse.Namespace) -> int:
    """Extract as the arguments say and print the summary."""
    settings = settings_of(args)
    tell_access(args, [*args.input, settings.list_prefix], [args.output, args.work])
    with if_interrupted(NOTHING_IN_PLACE):
        archives = list_archives(args.input, settings.list_prefix)
        try_output(args.output, args.overwrite, archives.places, MADE, args.work, args.resume)

        from sparkprep.extract.pipeline import extract
        from sparkprep.spark.displays import stream_of_face
        from sparkprep.spark.session import get_session

        spark = get_session("sparkprep extract")
    metrics = extract(
        spark,
        archives,
        args.output,
        settings,
        overwrite=args.overwrite,
        stream=stream_of_face(args.quiet),
        work=args.work,
        keep_work=args.keep_work,
        resume=args.resume,
    )
    _tell(metrics, args.output)
    return 0


def _tell(metrics: dict[str, Any], output: str) -> None:
    """Print the summary of a run that is finished."""
    without = metrics["without_document"]
    print_rows(
        [
            ("archives", f"{metrics['archives']:,} ({human_bytes(metrics['archive_bytes'])})"),
            ("records", f"{metrics['records']:,}"),
            ("documents", f"{metrics['documents']:,} ({human_bytes(metrics['text_bytes'])} of text)"),
            *((f"  {reason}", f"{count:,}{_languages(metrics, reason)}") for reason, count in without.items()),
            *_removed_row(metrics["site_boilerplate"]),
            *left_out_row(metrics, METRICS),
            ("seconds", f"{metrics['seconds']:.1f}"),
            ("output", output),
            ("report", join_path(output, REPORT)),
        ]
    )
    print_warnings(metrics["warnings"], METRICS)
    if metrics["documents"]:
        tell_next("extract", output)
    else:
        say_line(f"No page gave a document: {join_path(output, REPORT)} shows the reasons, with addresses.")


def _languages(metrics: dict[str, Any], reason: str) -> str:
    """Return the languages that were left out most, behind their number."""
    if reason != OTHER_LANGUAGE:
        return ""
    languages = left_out_languages(metrics)
    shown = [f"{language} {number:,}" for language, number in [*languages.items()][:_LANGUAGES]]
    rest = [*languages.values()][_LANGUAGES:]
    more = [f"{counted(len(rest), 'more language')} {sum(rest):,}"] if rest else []
    return f" ({', '.join([*shown, *more])})"


def _removed_row(removed: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is told of boilerplate that was removed; nothing where none was."""
    if not removed["blocks"]:
        return []
    blocks, pages, hosts = (counted(removed[f"{name}s"], name) for name in ("block", "page", "host"))
    told = f"{blocks} ({human_bytes(removed['bytes'])}) of {pages}, on {hosts}"
    return [("site boilerplate", f"{told}; {METRICS} shows some")]
