"""Token ids back to bytes, for tests that compare texts."""

from collections.abc import Iterable

from sparkprep.tokenizer.vocabulary import END_OF_TEXT_WORD, tokens


def decode(ids: Iterable[int]) -> bytes:
    """The bytes that the ids stand for; end-of-text as `<|endoftext|>`."""
    words = (*tokens(), END_OF_TEXT_WORD)
    return b"".join(words[int(i)] for i in ids)
