"""The face of `train/convert_hf.py`: llm.c's model files to and from folders of Hugging Face's transformers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sparkprep.console import add_debug, safe_text, say
from sparkprep.parser import Parser
from trainer.launch import guarded

EPILOG = """\
examples:
  %(prog)s export log/model_00004725.bin gpt2-mine          a folder for AutoModelForCausalLM and AutoTokenizer
  %(prog)s export model.bin gpt2-mine --dtype float32       as float32, whatever the file is
  %(prog)s import gpt2-mine seed.bin --version 5            a file that llm.c's bfloat16 trainer reads

Import reads safetensors (one file or several), never pickles. Nothing is fetched from the internet.

exit codes: docs/environment.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, convert and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(_parser().parse_args(words)), debug="--debug" in words)


def _parser() -> Parser:
    parser = Parser(description="Convert between llm.c's model files and Hugging Face's folders.", epilog=EPILOG)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, about: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=about, description=about)
        added.add_argument("--overwrite", action="store_true", help="replace an output that exists")
        add_debug(added)
        return added

    export = verb("export", "a model file as a folder for transformers, with GPT-2's tokenizer")
    export.add_argument("model", metavar="MODEL.bin", help="model file of llm.c, local or on S3")
    export.add_argument("output", metavar="OUTPUT", help="local folder to make")
    export.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the weights (default: that of the file)")
    imported = verb("import", "a folder of transformers with a GPT-2 as a model file")
    imported.add_argument("folder", metavar="FOLDER", help="local folder with config.json and model.safetensors")
    imported.add_argument("output", metavar="MODEL.bin", help="model file to make, local or on S3")
    imported.add_argument(
        "--version",
        type=int,
        choices=(3, 5),
        help="3 float32, 5 bfloat16 (default: 5 for a folder in bfloat16, else 3)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Convert as the arguments say and tell what was written; UserError for what cannot be."""
    # Here, as PyTorch takes seconds to import, which --help must not.
    from trainer.convert import huggingface, huggingface_import

    if args.verb == "export":
        shape = huggingface.export(args.model, args.output, dtype=args.dtype, overwrite=args.overwrite)
        say(f"wrote {safe_text(args.output)}: GPT-2 with {shape}; open it with AutoModelForCausalLM.from_pretrained")
    else:
        shape, written = huggingface_import.import_folder(
            args.folder, args.output, version=args.version, overwrite=args.overwrite
        )
        say(f"wrote {safe_text(args.output)}: GPT-2 with {shape}, {written.bytes:,} bytes, SHA-256 {written.sha256}")
    return 0
