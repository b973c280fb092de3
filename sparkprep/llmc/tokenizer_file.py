"""llm.c's gpt2_tokenizer.bin: the vocabulary by which its programs print tokens.

Header fields (int32): magic 20240328, version, number of tokens (50257) and, from version 2 on, the id of end-of-text
(50256). Then for each token, by id, one byte with its length and its bytes; end-of-text stands as `<|endoftext|>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkprep.errors import UserError
from sparkprep.io.files import open_input
from sparkprep.llmc import header
from sparkprep.tokenizer import vocabulary

MAGIC = header.TOKENIZER_MAGIC
VERSION = 2
SHA256 = "6f3abc21e444e4e8300e225f4e03da48ea121cf17e30f67009b8dad7a66c2f13"
"""Of the file that `write` makes, which is the one that llm.c's train_gpt2.py makes."""
KIND = "a tokenizer file"

_END_OF_TEXT_OF_VERSION_1 = 50256  # which had no field for it: llm.c takes GPT-2's


@dataclass(frozen=True)
class TokenizerFile:
    """What a tokenizer file holds. tokens: the bytes of each id, end-of-text included."""

    version: int
    end_of_text: int
    tokens: tuple[bytes, ...]


def write(path: str) -> None:
    """Write GPT-2's tokenizer to a file, local or on S3, which appears whole or not at all.

    Raises UserError naming the file if it cannot be written.
    """
    header.write(path, _chunks(vocabulary.all_tokens(), vocabulary.END_OF_TEXT))


def read(path: str) -> TokenizerFile:
    """Read a tokenizer file of version 1 or 2, local or on S3.

    Raises UserError naming the file for another kind of file, an unknown version, a file cut short (with the token at
    which it ends), bytes after the last token, and an end-of-text that is none of its tokens.
    """
    first, size = header.read_first(path)
    fields = header.unpack(path, first, MAGIC, (1, VERSION), KIND)
    version, count = int(fields[1]), int(fields[2])
    if not 0 < count <= size - header.HEADER_BYTES:  # a token takes a byte at least
        raise UserError(
            f"{path}: its header tells {count:,} tokens, which {size:,} bytes cannot hold; make or copy it anew"
        )
    end_of_text = int(fields[3]) if version >= 2 else _END_OF_TEXT_OF_VERSION_1
    if not 0 <= end_of_text < count:
        raise UserError(f"{path}: end-of-text is {end_of_text:,}, and there are {count:,} tokens; make it anew")
    with open_input(path) as stream:
        data = stream.read()
    return TokenizerFile(version, end_of_text, tuple(_tokens(path, data, count)))


def _chunks(tokens: Sequence[bytes], end_of_text: int) -> Iterator[bytes]:
    yield header.pack(MAGIC, VERSION, len(tokens), end_of_text)
    yield b"".join(bytes([len(token)]) + token for token in tokens)


def _tokens(path: str, data: bytes, count: int) -> Iterator[bytes]:
    position = header.HEADER_BYTES
    for number in range(count):
        end = position + 1 + data[position] if position < len(data) else len(data) + 1
        if end > len(data):
            raise UserError(f"{path}: cut short at token {number:,} of {count:,}; make or copy it anew")
        yield data[position + 1 : end]
        position = end
    if position != len(data):
        raise UserError(
            f"{path}: too long: {len(data) - position:,} bytes follow the last of {count:,} tokens; "
            "make or copy it anew"
        )
