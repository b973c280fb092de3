"""tiny_shakespeare: one text file to a train and a val shard, the same bytes as llm.c's dev/data/tinyshakespeare.py.

The text is cut at blank lines; each section is a document: end-of-text, its tokens, and the tokens of the blank line
that ended it, which belongs to the section. The first 32,768 tokens are for validation.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder, open_input
from sparkprep.io.paths import join_path
from sparkprep.llmc import header, shard
from sparkprep.llmc.shard import Tokens
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import END_OF_TEXT

VAL_TOKENS = 32_768
TRAIN_NAME, VAL_NAME = "tiny_shakespeare_train.bin", "tiny_shakespeare_val.bin"

_BLANK_LINE = "\n\n"


def read_text(path: str) -> str:
    """Return a UTF-8 text file, local or on S3, with each line end as a line feed. Raises UserError if it is none."""
    with open_input(path) as stream:
        data = stream.read()
    if header.is_binary(data[: header.HEADER_BYTES]):
        raise header.wrong_kind(path, data[: header.HEADER_BYTES], "UTF-8 text")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 text: invalid at byte {error.start:,}; convert it to UTF-8 first (iconv)"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")  # as Python's text mode, in which llm.c's script reads it


def sections(text: str) -> list[str]:
    """Return the documents of the text; all but the last end with the blank line that was their border."""
    *ended, last = text.split(_BLANK_LINE)
    return [*(section + _BLANK_LINE for section in ended), last]


def tokenise(text: str) -> Tokens:
    """Return the tokens of the text, each section preceded by end-of-text; uint16."""
    ids, offsets = Tokenizer().encode(pa.array(sections(text), pa.string()))
    return np.insert(ids, offsets[:-1], END_OF_TEXT).astype(np.uint16, copy=False)


def split(tokens: Tokens) -> tuple[Tokens, Tokens]:
    """Return (train, val): val is the first 32,768 tokens. Raises ValueError where nothing is left to train on."""
    if len(tokens) <= VAL_TOKENS:
        raise ValueError(f"{len(tokens):,} tokens, and the first {VAL_TOKENS:,} are for validation")
    return tokens[VAL_TOKENS:], tokens[:VAL_TOKENS]


def write(folder: str, train: Tokens, val: Tokens) -> None:
    """Write both shards into a folder, local or on S3, made where it is missing. Raises UserError if it cannot be."""
    make_folder(folder)
    shard.write(join_path(folder, TRAIN_NAME), train)
    shard.write(join_path(folder, VAL_NAME), val)
