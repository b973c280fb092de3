"""The face of curation: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
from typing import Any

from sparkprep.arguments import check_arguments
from sparkprep.console import add_debug, if_interrupted, say_line
from sparkprep.filter.contents import MADE, METRICS, REPORT
from sparkprep.filter.settings import FilterSettings
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.left_out import left_out_row
from sparkprep.io.listing import list_files
from sparkprep.io.output import try_output
from sparkprep.io.paths import join_path
from sparkprep.io.run_folders import NOTHING_IN_PLACE
from sparkprep.journey import tell_next
from sparkprep.options import add_options, add_resume, add_work, flags_given, from_arguments
from sparkprep.summary import print_rows, print_warnings
from sparkprep.units import human_bytes

_RULES_SHOWN = 5

EPILOG = """\
examples:
  spark-submit jobs/filter.py --input pages/ --output good/                 what an extraction has made
  sparkprep filter --input docs.jsonl.gz --output good/ --rules gopher-quality --gopher-min-words 20
  sparkprep filter --input crawl/ --output good/ --rules gopher-quality c4 --skip c4-terminal-punctuation

output folder: kept/ (the input's rows and columns), removed/ (the others, with filter_rule, filter_value and
filter_limit: the first rule that failed, what it measured, its threshold), rejected/ (bad input lines, if any),
metrics.json, report.html

The rules are for English: of texts in other languages they remove nearly all (`extract --language en` keeps English).

--personal goes by form, in the texts that stay; whether an address is somebody's, or in use, it does not ask:
  e-mail      jo.doe@mail.example.org, jörg@müller.de,         becomes email@example.com; names and hosts of letters in
              иван@почта.рф                                    scripts with blanks between words: those in Chinese,
              Japanese, Korean or Thai stay, as do files (logo@2x.png)
  public IP   8.8.8.8, 2a00:1450:4001::200e                    becomes 192.0.2.1, 2001:db8::1; private ones
              (10.0.0.7, 192.168.1.1, 127.0.0.1) and what is no address (1.2.3.4.5, 8.8.8.8.example.com, v4.3.2.1,
              Ada::Cafe) stay; as in FineWeb, multicast (224.0.0.1) counts as public, and so does a version or
              section of four numbers (section 4.3.2.1), which nothing tells from an address
  telephone   +49 30 901820, (415) 555-2671, 1-800-356-9377    becomes +1-202-555-0100: with + and a country code and 8
              to 15 digits (written as one, 10), or written as in North America; other forms (030 901820, 4155552671)
              and quantities (+3.14159265, +20000000) stay
What stands in their place is reserved for documentation or fiction, and not counted where it stands already. Names,
postal addresses and numbers of cards or passports are none of these.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sparkprep filter`; those of the settings are made from `FilterSettings`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="files or folders of Parquet or JSON Lines"
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    add_work(parser)
    add_resume(parser)
    add_access(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an output that an earlier run has made")
    add_options(parser, FilterSettings)
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    add_debug(parser)


def settings_of(args: argparse.Namespace) -> FilterSettings:
    """Return the settings that the arguments name. Raises UserError for what cannot work, before anything is asked."""
    check_arguments(output=args.output, work=args.work)
    settings = from_arguments(FilterSettings, args)
    settings.refuse_unused([flag[2:].replace("-", "_") for flag in flags_given(FilterSettings, args.words)])
    return settings


def run(args: argparse.Namespace) -> int:
    """Filter as the arguments say and print the summary."""
    settings = settings_of(args)
    tell_access(args, args.input, [args.output, args.work])
    with if_interrupted(NOTHING_IN_PLACE):
        try_output(args.output, args.overwrite, args.input, MADE, args.work, args.resume)
        list_files(args.input, settings.text_column)

        from sparkprep.filter.pipeline import filter_documents
        from sparkprep.spark.displays import stream_of_face
        from sparkprep.spark.session import get_session

        spark = get_session("sparkprep filter")
    result = filter_documents(
        args.input,
        settings,
        output=args.output,
        overwrite=args.overwrite,
        spark=spark,
        stream=stream_of_face(args.quiet),
        work=args.work,
        keep_work=args.keep_work,
        resume=args.resume,
    )
    with if_interrupted(f"the result is whole in {result.output}"):
        _tell(result.metrics, args.output)
    return 0


def _tell(metrics: dict[str, Any], output: str) -> None:
    """Print the summary of a run that is finished."""
    counts, personal = metrics["counts"], metrics["personal"]
    share = f" ({100 * counts['removed'] / counts['input']:.1f} %)" if counts["input"] else ""
    rules = sorted((rule for rule in metrics["rules"] if rule["documents"]), key=lambda rule: -rule["documents"])
    rows = [
        ("documents", f"{counts['input']:,} ({human_bytes(metrics['input']['text_bytes'])} of text)"),
        ("kept", f"{counts['kept']:,} ({human_bytes(metrics['input']['kept_text_bytes'])} of text)"),
        ("removed", f"{counts['removed']:,}{share}"),
        *((f"  {rule['rule']}", f"{rule['documents']:,}") for rule in rules[:_RULES_SHOWN]),
    ]
    if rest := sum(rule["documents"] for rule in rules[_RULES_SHOWN:]):
        rows.append(("  other rules", f"{rest:,}"))
    if counts["changed"]:
        rows.append(("changed texts", f"{counts['changed']:,}"))
    if personal:
        found = f"{personal['email']:,} e-mail, {personal['ip']:,} IP, {personal['phone']:,} telephone"
        rows.append(("addresses", f"{found} ({'replaced' if personal['replaced'] else 'counted'})"))
    print_rows(
        [
            *rows,
            ("rejected", f"{counts['rejected']:,}"),
            *left_out_row(metrics, METRICS),
            ("seconds", f"{metrics['seconds']:.1f}"),
            ("output", output),
            ("report", join_path(output, REPORT)),
        ]
    )
    print_warnings(metrics["warnings"], METRICS)
    if counts["kept"]:
        tell_next("filter", output, metrics["settings"])
    else:
        report = join_path(output, REPORT)
        say_line(f"No document was kept: {report} shows by which rules, and how far from their thresholds.")
