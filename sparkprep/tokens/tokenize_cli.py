"""The face of tokenization: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
import sys

from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.io.paths import is_local
from sparkprep.tokens.shards_cli import add_common, add_shard_options, make, print_rows, shard_settings

EPILOG = """\
examples:
  spark-submit jobs/tokens.py --input clean/ --output tokens/        what the dedup job kept
  sparkprep tokenize --input docs.jsonl.gz --output tokens/ --shards shards/ --shard-tokens 1000000

output folder: Parquet rows of id, tokens (uint16, little-endian, in a binary column) and count; _metrics.json. With
--shards, llm.c's .bin files too; a run that was cut short goes on where it stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sparkprep tokenize`."""
    parser.add_argument("--input", nargs="+", required=True, metavar="PATH", help="documents: Parquet or JSON Lines")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder of token rows to make")
    parser.add_argument("--text-column", default="text", metavar="COLUMN", help="column of the text (default text)")
    parser.add_argument("--max-bad", default="1%", metavar="N|P%%", help="bad lines of JSON Lines borne (default 1%%)")
    parser.add_argument("--shards", metavar="FOLDER", help="write llm.c's shards too, to this folder")
    add_shard_options(parser)
    add_common(parser, EPILOG)


def run(args: argparse.Namespace) -> int:
    """Tokenize as the arguments say and print the summary."""
    settings = shard_settings(args)
    for path in args.input:
        if is_local(path) and not exists(path):
            raise UserError(f"{path}: no such file or folder; check --input")

    from sparkprep.spark.session import get_session
    from sparkprep.tokens.pipeline import TokenizeSettings, tokenize

    spark = get_session("sparkprep tokenize")
    stream = None if args.quiet else sys.stderr
    metrics = tokenize(
        spark,
        args.input,
        args.output,
        TokenizeSettings(args.text_column, args.id_column, args.max_bad),
        overwrite=args.overwrite,
        reuse=bool(args.shards),
        stream=stream,
    )
    print_rows(
        [
            ("documents", f"{metrics['documents']:,}"),
            ("without tokens", f"{metrics['empty']:,}"),
            ("rejected", f"{metrics['rejected']:,}"),
            ("tokens", f"{metrics['tokens']:,}"),
            ("bytes per token", f"{metrics['text_bytes'] / max(1, metrics['tokens']):.2f}"),
            ("engine", metrics["engine"]),
            ("seconds", f"{metrics['seconds']:.1f}"),
            ("output", args.output),
        ]
    )
    for warning in metrics["warnings"][:5]:
        print(f"  warning: {warning}")
    if args.shards:
        make(spark, [args.output], args.shards, settings, args)
    return 0
