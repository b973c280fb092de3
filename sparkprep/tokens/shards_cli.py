"""The face of sharding: arguments, and the summary at the end."""

from __future__ import annotations

import argparse
from typing import Any

from sparkprep.arguments import check_arguments
from sparkprep.console import add_debug, if_interrupted, say_line
from sparkprep.errors import UserError
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.left_out import left_out_row
from sparkprep.io.listing import list_files
from sparkprep.io.overlap import refuse_same_place
from sparkprep.journey import tell_training
from sparkprep.options import add_options, from_arguments
from sparkprep.summary import print_rows, print_warnings
from sparkprep.tokens.settings import ShardSettings, TokenRowsSettings

EPILOG = """\
examples:
  spark-submit jobs/shards.py --input tokens/ --output shards/ --name fineweb
  sparkprep shards --input tokens.parquet --tokens-column input_ids --output s3://bucket/shards/
  sparkprep shards --output shards/ --verify

output folder: NAME_val_000000.bin, NAME_train_000001.bin, ... for llm.c, and manifest.json with tokens, documents and
SHA-256 of each. Run again after a crash: only what is missing or wrong is made.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sparkprep shards`."""
    parser.epilog = EPILOG
    parser.add_argument("--input", nargs="+", metavar="PATH", help="token rows: Parquet files or folders")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder of the shards, local or s3://")
    add_access(parser)
    add_options(parser, TokenRowsSettings)
    parser.add_argument(
        "--verify", action="store_true", help="only check the shards of --output against their manifest"
    )
    add_options(parser, ShardSettings)
    add_common(parser)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what both verbs take."""
    parser.add_argument("--overwrite", action="store_true", help="replace an output made from something else")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    add_debug(parser)


def settings_of(args: argparse.Namespace) -> tuple[ShardSettings, TokenRowsSettings]:
    """Return the settings that the arguments name. Raises UserError for what cannot work, before anything is asked."""
    check_arguments(output=args.output)
    if args.verify and args.input:
        raise UserError("--verify only checks the shards of --output: leave out --input, or --verify")
    if not args.verify and not args.input:
        raise UserError("--input is missing: name the token rows, or take --verify to check --output")
    refuse_same_place(args.input or [], output=args.output)
    return from_arguments(ShardSettings, args), from_arguments(TokenRowsSettings, args)


def run(args: argparse.Namespace) -> int:
    """Write or check shards as the arguments say."""
    from sparkprep.tokens.manifest import verify

    settings, columns = settings_of(args)
    tell_access(args, args.input or [args.output], [args.output] if args.input else [])
    if args.verify:
        manifest = verify(args.output)
        say_line(f"{args.output}: all {len(manifest['shards'])} shards are what the manifest tells")
        _print_manifest(manifest, args.output)
        return 0
    list_files(args.input, columns.tokens_column)  # refuses at once, rather than when Spark has started

    from sparkprep.spark.session import get_session

    spark = get_session("sparkprep shards")
    make(spark, args.input, args.output, settings, columns, args)
    return 0


def make(
    spark: Any,
    source: list[str],
    folder: str,
    settings: ShardSettings,
    columns: TokenRowsSettings,
    args: argparse.Namespace,
) -> None:
    """Write the shards and say what they hold."""
    from sparkprep.spark.displays import stream_of_face
    from sparkprep.spark.forecast import SHARDS
    from sparkprep.spark.progress import Progress
    from sparkprep.tokens.manifest import MANIFEST
    from sparkprep.tokens.shards import make_shards

    progress = Progress(spark, stream_of_face(args.quiet), SHARDS)
    with if_interrupted("the shards that are finished stay, and the same command makes the others"):
        manifest = make_shards(
            spark,
            source,
            folder,
            settings,
            progress,
            tokens_column=columns.tokens_column,
            id_column=columns.id_column,
            overwrite=args.overwrite,
        )
        _print_manifest(manifest, folder)
        print_warnings(manifest["warnings"], MANIFEST)
        tell_training(folder, settings.name, min(shard["tokens"] for shard in manifest["shards"]))


def _print_manifest(manifest: dict[str, Any], folder: str) -> None:
    from sparkprep.tokens.manifest import MANIFEST

    shards = manifest["shards"]
    val = sum(shard["tokens"] for shard in shards if shard["split"] == "val")
    rows = [
        ("documents", f"{manifest['documents']:,}"),
        ("tokens", f"{manifest['tokens']:,}, {val:,} of them to validate on"),
        ("shards", f"{len(shards)}: {shards[0]['file']} to {shards[-1]['file']}"),
        *left_out_row(manifest, MANIFEST),
        ("output", folder),
    ]
    print_rows(rows)
