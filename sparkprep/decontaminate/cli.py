"""The face of decontamination: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
from typing import Any

from sparkprep.arguments import check_arguments
from sparkprep.console import add_debug, if_interrupted, say_line
from sparkprep.decontaminate.benchmarks import benchmark_of
from sparkprep.decontaminate.contents import AUDIT, MADE, METRICS, REPORT
from sparkprep.decontaminate.settings import REPORT_ONLY, DecontaminateSettings
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.left_out import left_out_row
from sparkprep.io.listing import list_files
from sparkprep.io.output import try_output
from sparkprep.io.run_folders import NOTHING_IN_PLACE
from sparkprep.journey import tell_next
from sparkprep.options import add_options, add_resume, add_work, from_arguments
from sparkprep.summary import print_rows, print_warnings
from sparkprep.units import human_bytes

EPILOG = """\
examples:
  spark-submit jobs/decontaminate.py --input clean/ --output apart/ --benchmark hellaswag_val.jsonl
  sparkprep decontaminate --input clean/ --output apart/ --benchmark hellaswag_val.jsonl:ctx,endings arc.jsonl.gz
  sparkprep decontaminate --input clean/ --output told/ --benchmark hellaswag_val.jsonl --mode report

output folder: kept/ (the input's rows and columns), removed/ (the others, with matched_benchmark, matched_line,
matched_id: the question of which most was found; matched_words, matched_start, matched_end: its longest run in the
text, and where; matched_ngrams, matched_questions: how many of all), rejected/ (bad input lines, if any), metrics.json,
report.html; with --mode report all rows are in kept/, and audit/ has those that would go
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sparkprep decontaminate`; those of the settings are made from `DecontaminateSettings`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="files or folders of Parquet or JSON Lines"
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    add_work(parser)
    add_resume(parser)
    add_access(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an output that an earlier run has made")
    add_options(parser, DecontaminateSettings)
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    add_debug(parser)


def settings_of(args: argparse.Namespace) -> DecontaminateSettings:
    """Return the settings that the arguments name. Raises UserError for what cannot work, before anything is asked."""
    check_arguments(output=args.output, work=args.work)
    return from_arguments(DecontaminateSettings, args)


def run(args: argparse.Namespace) -> int:
    """Search for the benchmarks as the arguments say and print the summary."""
    settings = settings_of(args)
    benchmarks = [benchmark_of(word, settings.benchmark_columns).path for word in settings.benchmark]
    tell_access(args, [*args.input, *benchmarks], [args.output, args.work])
    with if_interrupted(NOTHING_IN_PLACE):
        try_output(args.output, args.overwrite, [*args.input, *benchmarks], MADE, args.work, args.resume)
        list_files(args.input, settings.text_column)

        from sparkprep.decontaminate.pipeline import decontaminate_documents
        from sparkprep.spark.displays import stream_of_face
    result = decontaminate_documents(
        args.input,
        settings,
        output=args.output,
        overwrite=args.overwrite,
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
    counts, stays = metrics["counts"], metrics["settings"]["mode"] == REPORT_ONLY
    share = f" ({100 * counts['contaminated'] / counts['input']:.2g} %)" if counts["input"] else ""
    texts = metrics["input"]
    rows = [("documents", f"{counts['input']:,} ({human_bytes(texts['text_bytes'])} of text)")]
    if stays:
        rows.append(("contaminated", f"{counts['contaminated']:,}{share}: {output}/{AUDIT} (all stay in kept/)"))
    else:
        rows.append(("kept", f"{counts['kept']:,} ({human_bytes(texts['clean_text_bytes'])} of text)"))
        rows.append(("removed", f"{counts['removed']:,}{share}"))
    for each in metrics["benchmarks"]:
        found = f"{each['questions_found']:,} of {each['questions']:,} questions in {each['documents']:,} documents"
        rows.append((f"  {each['name']}", found))
    if metrics["ngrams"]["common"]:
        most = metrics["settings"]["most_documents"]
        rows.append(("common n-grams", f"{metrics['ngrams']['common']:,} in more than {most:,} documents"))
    print_rows(
        [
            *rows,
            ("rejected", f"{counts['rejected']:,}"),
            *left_out_row(metrics, METRICS),
            ("seconds", f"{metrics['seconds']:.1f}"),
            ("output", output),
            ("report", f"{output}/{REPORT}"),
        ]
    )
    print_warnings(metrics["warnings"], METRICS)
    if counts["kept"]:
        tell_next("decontaminate", output, metrics["settings"])
    else:
        say_line(f"No document was kept: {output}/{REPORT} shows what they hold.")
