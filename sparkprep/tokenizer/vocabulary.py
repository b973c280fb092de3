"""GPT-2's vocabulary: 50,256 byte strings in the order of their ids, and end-of-text.

It lies in the package as `gpt2.bpe`, the list of merges that OpenAI published (scripts/build_gpt2_vocabulary.py), so
that no node needs the internet; the rest follows from it. Ids: Radford et al., "Language Models are Unsupervised
Multitask Learners" (2019).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from sparkprep.errors import UserError

FILE = "gpt2.bpe"
SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
END_OF_TEXT = 50256
VOCABULARY_SIZE = 50257
END_OF_TEXT_WORD = b"<|endoftext|>"

PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How GPT-2 cuts a text into the pieces inside which bytes merge: contractions, words, numbers, other signs, blanks."""


def check(merges: bytes, name: str) -> None:
    """Raise UserError where a list of merges is not GPT-2's."""
    digest = hashlib.sha256(merges).hexdigest()
    if digest != SHA256:
        raise UserError(f"{name}: not GPT-2's vocabulary (SHA-256 {digest}, not {SHA256}); install sparkprep anew")


@cache
def shown_bytes() -> dict[str, int]:
    """Return the character by which GPT-2's files show each byte: itself where it prints, else the next from U+0100.

    In the order of the bytes' ids.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    shown = [(chr(byte), byte) for byte in printable]
    return dict([*shown, *((chr(0x100 + n), byte) for n, byte in enumerate(others))])


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """Return the pairs in the order in which they merge, as GPT-2's files show them; the file's hash is checked."""
    content = resources.files(__package__).joinpath(FILE).read_bytes()
    check(content, FILE)
    lines = content.decode("utf-8").splitlines()[1:]  # the first is a comment with the version
    return tuple((left, right) for left, _, right in (line.partition(" ") for line in lines))


@cache
def tokens() -> tuple[bytes, ...]:
    """Return the byte string of each id from 0 to 50,255: the single bytes, then what each merge makes."""
    byte_of = shown_bytes()
    merged = (bytes(byte_of[character] for character in left + right) for left, right in merges())
    return (*(bytes([byte]) for byte in byte_of.values()), *merged)


@cache
def all_tokens() -> tuple[bytes, ...]:
    """Return the byte string of each id from 0 to 50,256: `tokens`, and the word of end-of-text."""
    return (*tokens(), END_OF_TEXT_WORD)


@cache
def ranks() -> dict[bytes, int]:
    """Return the id of each byte string; the lesser of two is merged first."""
    return {token: rank for rank, token in enumerate(tokens())}


@cache
def shown_ranks() -> dict[str, int]:
    """Return the id of each byte string as GPT-2's files show it (`shown_bytes`), in the order of the ids."""
    shown = {byte: character for character, byte in shown_bytes().items()}
    return {"".join(shown[byte] for byte in token): rank for rank, token in enumerate(tokens())}
