"""What tokenization and sharding can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from sparkprep.documents.jsonl.max_bad import max_bad_option
from sparkprep.errors import UserError, argument
from sparkprep.kinds import Integer, Text
from sparkprep.llmc.shard import MAX_TOKENS
from sparkprep.options import Keywords, check_options, option


@dataclass(frozen=True)
class TokenizeSettings(Keywords):
    """How documents become token rows. Raises UserError on a value that cannot work."""

    text_column: str = option("text", "column of the text", Text(), "NAME")
    id_column: str | None = option(
        None,
        "column that names a document (default: `id` where there is one, else the SHA-256 of the text)",
        Text(),
        "NAME",
    )
    max_bad: str = max_bad_option()

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class TokenRowsSettings(Keywords):
    """Where token rows have their tokens and names; by default where `tokenize` writes them. Raises UserError."""

    tokens_column: str = option("tokens", "column of the tokens: lists of numbers, or binary uint16", Text(), "NAME")
    id_column: str | None = option(
        None,
        "column that names a document (default: `id` where there is one, else the tokens order the rows)",
        Text(),
        "NAME",
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class ShardSettings(Keywords):
    """How token rows become shards. Raises UserError on a value that cannot work."""

    name: str = option("docs", "what the files' names begin with", Text(), "NAME")
    shard_tokens: int = option(100_000_000, "tokens of a shard", Integer(1, MAX_TOKENS))
    val_tokens: int | None = option(
        None, "tokens to validate on (default: one shard, at most 1 % of all)", Integer(1, MAX_TOKENS)
    )
    seed: int = option(1, "of the documents' order", Integer(-(1 << 63), (1 << 63) - 1))

    def __post_init__(self) -> None:
        check_options(self)
        if not all(c.isalnum() or c in "._-" for c in self.name) or self.name.startswith("."):
            raise UserError(
                f"{argument('name', self.name)}: use letters, digits, '-', '_' and '.' only, and no '.' first"
            )


class TokenizeKeywords(TypedDict, total=False):
    """The fields of `TokenizeSettings`, as a function takes them by keyword."""

    text_column: str
    id_column: str | None
    max_bad: str


class ShardKeywords(TypedDict, total=False):
    """The fields of `ShardSettings`, as a function takes them by keyword."""

    name: str
    shard_tokens: int
    val_tokens: int | None
    seed: int
