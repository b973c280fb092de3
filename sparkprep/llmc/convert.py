"""Published files to those that llm.c reads: the tokenizer, HellaSwag, tiny_shakespeare.

Each function writes files, local or on S3, that appear whole or not at all, and return a line that tells what it
wrote. They raise UserError if a file cannot be read or written, or if one to be written exists (without `overwrite`).
"""

from __future__ import annotations

import os

from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.io.paths import is_local, join_path, normalise
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE

# The module of each format is imported by the function that writes it, which bears its name.


def tokenizer(output: str, overwrite: bool = False) -> str:
    """Write GPT-2's vocabulary as gpt2_tokenizer.bin, by which llm.c prints tokens."""
    from sparkprep.llmc import tokenizer_file

    _refuse(output, overwrite)
    tokenizer_file.write(output)
    return f"{output}: {VOCABULARY_SIZE:,} tokens, SHA-256 {tokenizer_file.SHA256}"


def hellaswag(source: str, output: str, overwrite: bool = False) -> str:
    """Write HellaSwag's questions (JSON Lines with ctx, endings, label; .gz and .zst too) as hellaswag_val.bin."""
    from sparkprep.llmc import hellaswag, hellaswag_questions

    _refuse(output, overwrite, source)
    examples = hellaswag_questions.tokenise(hellaswag_questions.read_questions(source))
    if not examples:
        raise UserError(f"{source}: no question in it; get the file anew")
    header = hellaswag.write(output, examples)
    longest = max(example.longest_row for example in examples)
    return (
        f"{output}: {header.examples:,} examples, the longest of {header.longest_bytes:,} bytes; "
        f"llm.c needs a sequence length (-t) above {longest:,} and a batch (-b) of 4 or more to evaluate on it"
    )


def shakespeare(source: str, folder: str, overwrite: bool = False) -> str:
    """Write tiny_shakespeare's text as tiny_shakespeare_train.bin and tiny_shakespeare_val.bin in `folder`."""
    from sparkprep.llmc import shakespeare

    for name in (shakespeare.TRAIN_NAME, shakespeare.VAL_NAME):
        _refuse(join_path(folder, name), overwrite, source)
    tokens = shakespeare.tokenise(shakespeare.read_text(source))
    try:
        train, val = shakespeare.split(tokens)
    except ValueError as error:
        raise UserError(f"{source}: too short: {error}; give a longer text") from error
    shakespeare.write(folder, train, val)
    return f"{folder}: {len(train):,} tokens to train and {len(val):,} to validate"


def _refuse(output: str, overwrite: bool, source: str | None = None) -> None:
    """Raise UserError, before any work, for an output that must not be written."""
    if source is not None and _place(source) == _place(output):
        raise UserError(f"{output} is the input itself; name another output")
    if is_local(output) and os.path.isdir(_place(output)):
        raise UserError(f"{output} is a folder; name a file in it")
    if exists(output) and not overwrite:
        raise UserError(f"{output} exists; pass --overwrite to replace it or name another output")


def _place(path: str) -> str:
    """Return where a path leads, links followed."""
    return os.path.realpath(normalise(path)) if is_local(path) else normalise(path)
