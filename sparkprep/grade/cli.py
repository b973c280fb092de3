"""The face of the grader: arguments, the table of figures, the exit code."""

import argparse
import json

from sparkprep.arguments import check_arguments
from sparkprep.console import Exit, add_debug, say, say_line
from sparkprep.grade.grading import Grade, grade
from sparkprep.grade.library import refuse_other_harvest
from sparkprep.grade.settings import GradeSettings
from sparkprep.grade.shown import decimal, table
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.files import write_text
from sparkprep.io.overlap import refuse_same_place
from sparkprep.io.results import results_in
from sparkprep.options import add_options, from_arguments
from sparkprep.sample import embedded
from sparkprep.sample.build import SIZES

EPILOG = """\
examples:
  %(prog)s out/ --size 10k                                  the embedded subset that the job read
  %(prog)s out/ --truth truth.pairs.parquet                 by the threshold that the run was given
  %(prog)s kept.snappy.parquet --truth clusters.parquet --min-precision 0.99 --min-recall 0.99

exit code: 0; 1 below --min-precision or --min-recall; 2 if something cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the grader's arguments to a parser or sub-parser."""
    parser.epilog = EPILOG
    parser.add_argument("output", help="the job's output folder (kept/, removed/), or the kept documents as Parquet")
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument(
        "--truth",
        metavar="PARQUET",
        help="pairs (id_a, id_b, jaccard), clusters (id, cluster_id) or kept ids (id); told by the columns",
    )
    truth.add_argument("--size", choices=SIZES, help="use the true pairs of this embedded subset")
    add_options(parser, GradeSettings)
    parser.add_argument("--input", metavar="PARQUET", help="the documents that the job read, to find what it lost")
    add_access(parser)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    add_debug(parser)


def run(args: argparse.Namespace) -> int:
    """Grade as the arguments say and print the table, of each of several thresholds; 0, or 1 below a limit."""
    settings = from_arguments(GradeSettings, args)
    check_arguments(truth=args.truth, input=args.input, json=args.json)
    tell_access(args, filter(None, [args.output, args.truth, args.input]), [args.json])
    truth, documents = args.truth, args.input
    refuse_same_place([place for place in (truth, documents) if place], json=args.json)
    if args.size:
        subset = embedded(args.size, announce=say_line)
        refuse_other_harvest(args.output, subset)
        truth, documents = str(subset.pairs), documents or str(subset.documents)
    folders = results_in(args.output)
    results = [
        grade(folder, truth, threshold=settings.threshold, id_column=settings.id_column, input=documents)
        for folder in folders or [args.output]
    ]
    if args.json:
        figures = [{"output": folder, **each.as_dict()} for folder, each in zip(folders, results, strict=False)]
        write_text(args.json, json.dumps(figures if folders else results[0].as_dict(), indent=1) + "\n")
    failed = False
    for folder, result in zip(folders or [args.output], results, strict=True):
        say_line(f"{folder} against {result.truth} in {truth}")
        failed = not _tell(result, settings) or failed
    return Exit.CHECK_FAILED if failed else Exit.DONE


def _tell(result: Grade, settings: GradeSettings) -> bool:
    """Print the figures, and return whether they are within the limits."""
    say(result.counted())
    say(f"\n{table(result.scores)}\n")
    for note in result.notes:
        say_line(f"note: {note}")
    limits = (
        ("precision of removed documents", result.precision, "--min-precision", settings.min_precision),
        (f"recall of {'removed documents' if result.truth == 'kept' else 'pairs'}", result.recall, "--min-recall",
         settings.min_recall),
    )  # fmt: skip
    passed = True
    for name, figure, flag, limit in limits:
        if limit is not None and figure.value is None:
            say(f"note: {flag} says nothing here: there is nothing to judge (0 of 0)")
        elif limit is not None and figure.value is not None and figure.value < limit:
            say(f"FAILED: {name} {decimal(figure.value)} is below {flag} {limit:g}")
            passed = False
    return passed
