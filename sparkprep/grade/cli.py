"""The face of the grader: arguments, the table of figures, the exit code."""

import argparse
import json
import math

from sparkprep.console import Exit, add_debug, say, say_line
from sparkprep.errors import UserError
from sparkprep.grade.figures import F1_DEFINITION, Figure
from sparkprep.grade.grading import Grade, grade
from sparkprep.grade.loading import run_facts
from sparkprep.grade.settings import GradeSettings
from sparkprep.io.files import write_text
from sparkprep.options import add_options, from_arguments
from sparkprep.sample import Subset, embedded
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
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    add_debug(parser)


def table(result: Grade) -> str:
    """Return the figures as aligned lines, each with its counts and its definition."""
    rows = [("", "", "value", "counts", "definition")]
    for scores in result.scores:
        rows.append((scores.subject, "precision", *_cells(scores.precision)))
        rows.append(("", "recall", *_cells(scores.recall)))
        rows.append(("", "F1", _decimal(scores.f1), "", F1_DEFINITION))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    )


def run(args: argparse.Namespace) -> int:
    """Grade as the arguments say and print the table; 0, or 1 below a limit."""
    settings = from_arguments(GradeSettings, args)
    truth, documents = args.truth, args.input
    if args.size:
        subset = embedded(args.size, announce=say_line)
        _refuse_other_harvest(args.output, subset)
        truth, documents = str(subset.pairs), documents or str(subset.documents)
    result = grade(args.output, truth, threshold=settings.threshold, id_column=settings.id_column, input=documents)
    if args.json:
        write_text(args.json, json.dumps(result.as_dict(), indent=1) + "\n")
    say_line(f"{args.output} against {result.truth} in {truth}")
    counts = " · ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in result.counts.items())
    say(counts + (f" (Jaccard >= {result.threshold:g})" if result.threshold is not None else ""))
    say(f"\n{table(result)}\n")
    for note in result.notes:
        say_line(f"note: {note}")
    limits = (
        ("precision of removed documents", result.precision, "--min-precision", settings.min_precision),
        (f"recall of {'removed documents' if result.truth == 'kept' else 'pairs'}", result.recall, "--min-recall",
         settings.min_recall),
    )  # fmt: skip
    failed = False
    for name, figure, flag, limit in limits:
        if limit is not None and figure.value is None:
            say(f"note: {flag} says nothing here: there is nothing to judge (0 of 0)")
        elif limit is not None and figure.value is not None and figure.value < limit:
            say(f"FAILED: {name} {_decimal(figure.value)} is below {flag} {limit:g}")
            failed = True
    return Exit.CHECK_FAILED if failed else Exit.DONE


def _refuse_other_harvest(output: str, subset: Subset) -> None:
    """Raise UserError where a result says that it was made of an embedded subset, and of another than this."""
    made_of = run_facts(output).sample
    if made_of is None:
        return
    truth = subset.origin()
    if made_of.get("size") != truth["size"]:
        raise UserError(f"{output} was made of --size {made_of.get('size')}, not {truth['size']}: grade it by that")
    if made_of.get("sha256") != truth["sha256"]:
        theirs = made_of.get("versions")
        theirs = theirs if isinstance(theirs, dict) else {}
        names = sorted(theirs.keys() | truth["versions"].keys())
        differing = [
            f"{name} {theirs.get(name, 'absent')} then, {truth['versions'].get(name, 'absent')} now"
            for name in names
            if theirs.get(name) != truth["versions"].get(name)
        ]
        why = "; ".join(differing) or "the same packages with other contents"
        raise UserError(
            f"{output} was made of an embedded subset that is not the one built here ({why}): make it anew, or grade "
            "it where those versions are installed"
        )


def _cells(figure: Figure) -> tuple[str, str, str]:
    counts = "" if figure.total is None else f"{figure.right:,} / {figure.total:,}"
    return _decimal(figure.value), counts, figure.definition


def _decimal(value: float | None) -> str:
    """Four places, rounded down: 1.0000 is printed only for a figure without any error."""
    return "n/a" if value is None else f"{math.floor(value * 10_000) / 10_000:.4f}"
