"""Token ids back to bytes, for tests that compare texts."""

from collections.abc import Iterable

from sparkprep.tokenizer.vocabulary import all_tokens


def decode(ids: Iterable[int]) -> bytes:
    """The bytes that the ids stand for; end-of-text as `<|endoftext|>`."""
    words = all_tokens()
    return b"".join(words[int(i)] for i in ids)
