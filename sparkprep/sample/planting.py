"""Plant copies beside the natural near-duplicates: exact, retyped, edited, shortened, and wrapped in boilerplate."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, fields

from sparkprep.errors import UserError
from sparkprep.sample.harvest import Document, document_id


@dataclass(frozen=True)
class PlantingRates:
    """How many documents of a subset are planted copies, as shares of its size, by what was done to the copy."""

    exact: float = 0.02
    """The same text under another address."""
    retyped: float = 0.01
    """Other case, other punctuation, other line breaks; the words stay, so the Jaccard is 1."""
    edited: float = 0.02
    """Between 0.2 % and 4 % of the words replaced, dropped or swapped: Jaccard on both sides of 0.8."""
    shortened: float = 0.01
    """One or two paragraphs are missing."""
    wrapped: float = 0.01
    """A site's header and footer around the text."""

    def counts(self, documents: int) -> dict[str, int]:
        """Return the number of copies of each kind in a subset of so many documents."""
        return {field.name: round(getattr(self, field.name) * documents) for field in fields(self)}


# How often one original is copied by the same recipe: mostly once, sometimes enough for a larger cluster.
_COPIES = (1, 1, 1, 1, 1, 2, 2, 3, 6)
_TOKEN = re.compile(r"\w+|\W+")

_HEADERS = (
    "Skip to main content. Search the documentation. Home, User guide, Reference, Release notes. You are here:",
    "Cached copy of a page that has moved. The owner of this page may have changed it since it was stored here.",
    "Welcome, guest. Log in or register to leave a comment. Share this page. Print this page. Table of contents",
)
_FOOTERS = (
    "Was this page helpful? Yes, No. Report a mistake on this page. Terms of use, Privacy, Contact. Back to top",
    "All trademarks belong to their owners. This mirror is refreshed once a week and comes with no warranty at all.",
    "Previous page, Next page. Built from the sources of the project. Subscribe and never miss a release.",
)


def plant(originals: list[Document], rates: PlantingRates, documents: int, seed: int) -> list[Document]:
    """Return the planted copies for a subset of `documents` rows, made from `originals`, which `planted_from` names.

    The same for the same originals, rates and seed: all draws come from generators seeded with text, which depend
    neither on PYTHONHASHSEED nor on the order of `originals`. Raises `UserError` where too few originals suit a kind.
    """
    planted: list[Document] = []
    for kind, count in rates.counts(documents).items():
        rng = random.Random(f"{seed}/{kind}")
        candidates = sorted(originals, key=lambda d: d.id)
        rng.shuffle(candidates)
        copies: list[Document] = []
        for original in candidates:
            for number in range(min(rng.choice(_COPIES), count - len(copies))):
                text = RECIPES[kind](original.text, random.Random(f"{seed}/{kind}/{original.id}/{number}"))
                if text is not None:
                    copies.append(_copy(original, kind, number, text))
            if len(copies) == count:
                break
        else:
            raise UserError(f"only {len(copies)} of {count} copies could be planted ({kind}): too few documents suit")
        planted += copies
    return planted


def _copy(original: Document, kind: str, number: int, text: str) -> Document:
    path = original.url.removeprefix("https://").replace(".docs.example/", "/")
    url = f"https://{kind}.copies.example/{number + 1}/{path}"
    return Document(
        id=document_id(url, original.id),
        url=url,
        text=text,
        package=original.package,
        version=original.version,
        licence=original.licence,
        kind="planted",
        planted_from=original.id,
    )


def _exact(text: str, rng: random.Random) -> str:
    return text


def _retype(text: str, rng: random.Random) -> str:
    """Change only signs between words, and only to such as separate words too."""
    text = rng.choice((str.upper, str.swapcase, str.lower))(text) if text.isascii() else text
    comma, stop, gap = rng.choice((";", " -", ",,")), rng.choice(("!", " .", "...")), rng.choice(("  ", "\n", "\t"))
    return text.replace(", ", f"{comma} ").replace(". ", f"{stop}{gap}").replace("\n", "\n" * rng.choice((1, 2)))


def _edit(text: str, rng: random.Random) -> str:
    tokens = _TOKEN.findall(text)
    words = [i for i, token in enumerate(tokens) if token[0].isalnum()]
    for i in rng.sample(words, max(1, round(len(words) * rng.uniform(0.002, 0.04)))):
        action = rng.randrange(3)
        if action == 0:
            tokens[i] = tokens[rng.choice(words)]
        elif action == 1:
            tokens[i] = ""
        else:
            j = rng.choice(words)
            tokens[i], tokens[j] = tokens[j], tokens[i]
    return "".join(tokens)


def _shorten(text: str, rng: random.Random) -> str | None:
    paragraphs = text.split("\n\n")
    if len(paragraphs) < 6:
        return None
    for _ in range(rng.choice((1, 1, 2))):
        del paragraphs[rng.randrange(len(paragraphs))]
    return "\n\n".join(paragraphs)


def _wrap(text: str, rng: random.Random) -> str | None:
    if len(text) < 600:  # around a short text the wrapping would be most of the document
        return None
    return f"{rng.choice(_HEADERS)}\n\n{text}\n\n{rng.choice(_FOOTERS)}"


RECIPES: dict[str, Callable[[str, random.Random], str | None]] = {
    "exact": _exact,
    "retyped": _retype,
    "edited": _edit,
    "shortened": _shorten,
    "wrapped": _wrap,
}
