"""The face of sharding: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.io.paths import is_local
from sparkprep.tokens.plan import DEFAULT_SHARD_TOKENS, ShardSettings

EPILOG = """\
examples:
  spark-submit jobs/shards.py --input tokens/ --output shards/ --name fineweb
  sparkprep shards --input tokens.parquet --tokens-column input_ids --output s3://bucket/shards/
  sparkprep shards --output shards/ --verify

output folder: NAME_val_000000.bin, NAME_train_000001.bin, ... for llm.c, and manifest.json with tokens, documents and
SHA-256 of each. Run again after a crash: only what is missing or wrong is made.
"""


def add_common(parser: argparse.ArgumentParser, epilog: str) -> None:
    """What both verbs take."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = epilog
    parser.add_argument("--overwrite", action="store_true", help="replace an output made from something else")
    parser.add_argument("--id-column", default="id", metavar="COLUMN", help="identifier of a document (default id)")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_shard_options(parser: argparse.ArgumentParser) -> None:
    """How the shards are cut and named."""
    parser.add_argument("--name", default="docs", help="what the files' names begin with (default docs)")
    parser.add_argument(
        "--shard-tokens",
        type=int,
        default=DEFAULT_SHARD_TOKENS,
        metavar="N",
        help=f"tokens of a shard (default {DEFAULT_SHARD_TOKENS:,})",
    )
    parser.add_argument(
        "--val-tokens", type=int, metavar="N", help="tokens to validate on (default: one shard, at most 1 %% of all)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the documents' order (default 1)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sparkprep shards`."""
    parser.add_argument("--input", nargs="+", metavar="PATH", help="token rows: Parquet files or folders")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder of the shards, local or s3://")
    parser.add_argument(
        "--tokens-column",
        default="tokens",
        metavar="COLUMN",
        help="lists of numbers, or binary uint16 (default tokens)",
    )
    parser.add_argument(
        "--verify", action="store_true", help="only check the shards of --output against their manifest"
    )
    add_shard_options(parser)
    add_common(parser, EPILOG)


def run(args: argparse.Namespace) -> int:
    """Write or check shards as the arguments say."""
    from sparkprep.tokens.shards import verify

    if args.verify:
        manifest = verify(args.output)
        print(f"{args.output}: all {len(manifest['shards'])} shards are what the manifest tells")
        _print_manifest(manifest, args.output)
        return 0
    if not args.input:
        raise UserError("--input is missing: name the token rows, or take --verify to check --output")
    settings = shard_settings(args)
    for path in args.input:
        if is_local(path) and not exists(path):
            raise UserError(f"{path}: no such file or folder; check --input")

    from sparkprep.spark.session import get_session

    spark = get_session("sparkprep shards")
    make(spark, args.input, args.output, settings, args, args.tokens_column, args.id_column)
    return 0


def make(
    spark: Any,
    source: list[str],
    folder: str,
    settings: ShardSettings,
    args: argparse.Namespace,
    tokens_column: str = "tokens",
    id_column: str = "id",
) -> None:
    """Write the shards and say what they hold."""
    from sparkprep.spark.progress import Progress
    from sparkprep.tokens.shards import make_shards

    progress = Progress(spark, None if args.quiet else sys.stderr)
    manifest = make_shards(
        spark,
        source,
        folder,
        settings,
        progress,
        tokens_column=tokens_column,
        id_column=id_column,
        overwrite=args.overwrite,
    )
    _print_manifest(manifest, folder)


def shard_settings(args: argparse.Namespace) -> ShardSettings:
    """What the arguments say of the shards; UserError for what cannot be."""
    return ShardSettings(args.name, args.shard_tokens, args.val_tokens, args.seed)


def _print_manifest(manifest: dict[str, Any], folder: str) -> None:
    shards = manifest["shards"]
    val = sum(shard["tokens"] for shard in shards if shard["split"] == "val")
    rows = [
        ("documents", f"{manifest['documents']:,}"),
        ("tokens", f"{manifest['tokens']:,}, {val:,} of them to validate on"),
        ("shards", f"{len(shards)}: {shards[0]['file']} to {shards[-1]['file']}"),
        ("output", folder),
    ]
    print_rows(rows)


def print_rows(rows: list[tuple[str, str]]) -> None:
    """A summary, one value on a line."""
    for name, value in rows:
        print(f"  {name:<15} {value}")
