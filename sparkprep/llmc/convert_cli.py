"""The face of the conversions: one word for each kind of file."""

from __future__ import annotations

import argparse

from sparkprep.console import add_debug, if_interrupted, say_line
from sparkprep.llmc import convert

EPILOG = """\
examples:
  %(prog)s tokenizer gpt2_tokenizer.bin                      GPT-2's vocabulary, which comes with sparkprep
  %(prog)s hellaswag hellaswag_val.jsonl hellaswag_val.bin   .jsonl.gz and .jsonl.zst too
  %(prog)s shakespeare input.txt data/                       tiny_shakespeare_train.bin, tiny_shakespeare_val.bin

The files are those that llm.c reads, byte for byte as its own scripts make them.
`peek` shows what is in them. Inputs and outputs may be s3:// URIs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.epilog = EPILOG
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")

    def kind(name: str, about: str) -> argparse.ArgumentParser:
        added = kinds.add_parser(name, help=about, description=about)
        added.add_argument("--overwrite", action="store_true", help="replace what exists")
        add_debug(added)
        return added

    tokenizer = kind("tokenizer", "GPT-2's vocabulary, by which llm.c prints tokens")
    tokenizer.add_argument("output", metavar="OUT.bin", help="file to make, by custom gpt2_tokenizer.bin")
    hellaswag = kind("hellaswag", "HellaSwag's questions, on which llm.c evaluates a model")
    hellaswag.add_argument("source", metavar="IN.jsonl", help="JSON Lines with ctx, endings and label; .gz, .zst too")
    hellaswag.add_argument("output", metavar="OUT.bin", help="file to make, by custom hellaswag_val.bin")
    shakespeare = kind("shakespeare", "tiny_shakespeare as a train and a val shard")
    shakespeare.add_argument("source", metavar="IN.txt", help="the text, UTF-8; documents end at blank lines")
    shakespeare.add_argument("output", metavar="FOLDER", help="folder for both shards, made where it is missing")


def run(args: argparse.Namespace) -> int:
    """Convert as the arguments say and tell what was written; UserError for what cannot be."""
    with if_interrupted("a file that is there is whole"):
        if args.kind == "tokenizer":
            done = convert.tokenizer(args.output, args.overwrite)
        elif args.kind == "hellaswag":
            done = convert.hellaswag(args.source, args.output, args.overwrite)
        else:
            done = convert.shakespeare(args.source, args.output, args.overwrite)
        say_line(done)
    return 0
