"""The definition of what decontamination finds, in plain Python: words, n-grams of questions, and where they stand."""

import re
from collections.abc import Iterable

from sparkprep.dedup.kernels.unicode import NO_SPACES, table


def plain_words(text: str) -> list[str]:
    """The runs of letters and numbers of the lower-cased text, every letter of a script without blanks for itself."""
    cut = "".join(f" {c} " if table()[ord(c)] & NO_SPACES else c for c in text.lower())
    return re.findall(r"[^\W_]+", cut)


def plain_ngrams(texts: Iterable[str], width: int, least: int) -> set[tuple[str, ...]]:
    """The n-grams of texts: of one of fewer words than `width`, and of `least` or more, all of it."""
    found = set()
    for words in map(plain_words, texts):
        size = min(width, len(words))
        if size >= min(width, least):
            found |= {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}
    return found


def plain_hits(text: str, ngrams: set[tuple[str, ...]]) -> set[tuple[int, tuple[str, ...]]]:
    """Where n-grams stand in a text: (first word, words)."""
    words = plain_words(text)
    sizes = {len(each) for each in ngrams}
    runs = ((at, tuple(words[at : at + size])) for size in sizes for at in range(len(words) - size + 1))
    return {(at, run) for at, run in runs if run in ngrams}
