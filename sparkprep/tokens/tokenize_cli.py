"""The face of tokenization: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
from typing import Any

from sparkprep.arguments import check_arguments
from sparkprep.console import if_interrupted
from sparkprep.errors import UserError
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.left_out import left_out_row
from sparkprep.io.listing import list_files
from sparkprep.io.output import try_output
from sparkprep.io.overlap import refuse_same_place
from sparkprep.io.run_folders import NOTHING_IN_PLACE
from sparkprep.journey import tell_next
from sparkprep.options import add_options, add_resume, add_work, flags_given, from_arguments
from sparkprep.summary import print_rows, print_warnings
from sparkprep.tokens.contents import MADE, METRICS, asked_of, finished
from sparkprep.tokens.settings import ShardSettings, TokenizeSettings, TokenRowsSettings
from sparkprep.tokens.shards_cli import add_common, make

EPILOG = """\
examples:
  spark-submit jobs/tokens.py --input clean/ --output tokens/        what the dedup job kept
  sparkprep tokenize --input docs.jsonl.gz --output tokens/ --shards shards/ --shard-tokens 1000000

output folder: Parquet rows of id, tokens (uint16, little-endian, in a binary column) and count; _metrics.json. With
--shards, llm.c's .bin files too; a run that was cut short goes on where it stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sparkprep tokenize`."""
    parser.epilog = EPILOG
    parser.add_argument("--input", nargs="+", required=True, metavar="PATH", help="documents: Parquet or JSON Lines")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder of token rows to make")
    add_work(parser)
    add_resume(parser)
    add_access(parser)
    add_options(parser, TokenizeSettings)
    parser.add_argument("--shards", metavar="FOLDER", help="write llm.c's shards too, to this folder")
    add_options(parser, ShardSettings)
    add_common(parser)


def settings_of(args: argparse.Namespace) -> tuple[TokenizeSettings, ShardSettings]:
    """Return the settings that the arguments name. Raises UserError for what cannot work, before anything is asked."""
    settings, shard_settings = from_arguments(TokenizeSettings, args), from_arguments(ShardSettings, args)
    check_arguments(output=args.output, work=args.work, shards=args.shards)
    if not args.shards and (unused := flags_given(ShardSettings, args.words)):
        raise UserError(f"{unused[0]} is of the shards: name their folder with --shards, or leave it out")
    refuse_same_place(args.input, output=args.output, shards=args.shards)
    return settings, shard_settings


def run(args: argparse.Namespace) -> int:
    """Tokenize as the arguments say and print the summary."""
    settings, shard_settings = settings_of(args)
    tell_access(args, args.input, [args.output, args.shards, args.work])
    with if_interrupted(NOTHING_IN_PLACE):
        _try(args, settings)

        from sparkprep.spark.displays import stream_of_face
        from sparkprep.spark.session import get_session
        from sparkprep.tokens.pipeline import make_tokens

        spark = get_session("sparkprep tokenize")
    metrics = make_tokens(
        spark,
        args.input,
        args.output,
        settings,
        overwrite=args.overwrite,
        reuse=bool(args.shards),
        stream=stream_of_face(args.quiet),
        work=args.work,
        keep_work=args.keep_work,
        resume=args.resume,
    )
    goes_on = "; the same command goes on from there" if args.shards else ""
    with if_interrupted(f"the token rows are whole in {args.output}{goes_on}"):
        _tell(metrics, args.output)
        if args.shards:
            make(spark, [args.output], args.shards, shard_settings, TokenRowsSettings(), args)
        elif metrics["tokens"]:
            tell_next("tokenize", args.output)
    return 0


def _tell(metrics: dict[str, Any], output: str) -> None:
    """Print the summary of a run that is finished."""
    print_rows(
        [
            ("documents", f"{metrics['documents']:,}"),
            ("without tokens", f"{metrics['empty']:,}"),
            ("rejected", f"{metrics['rejected']:,}"),
            ("tokens", f"{metrics['tokens']:,}"),
            ("bytes per token", f"{metrics['text_bytes'] / max(1, metrics['tokens']):.2f}"),
            ("engine", metrics["engine"]),
            *left_out_row(metrics, METRICS),
            ("seconds", f"{metrics['seconds']:.1f}"),
            ("output", output),
        ]
    )
    print_warnings(metrics["warnings"], METRICS)


def _try(args: argparse.Namespace, settings: TokenizeSettings) -> None:
    """Refuse at once, rather than when Spark has started, a path that is not there or cannot be written."""
    files = list_files(args.input, settings.text_column)
    if not (args.shards and finished(args.output, asked_of(files, settings))):
        try_output(args.output, args.overwrite, args.input, MADE, args.work, args.resume)
