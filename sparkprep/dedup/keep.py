"""The keep order: of documents that are alike, who comes first, and so stays.

The signature rows hold it as bytes (`kernels.rank`): what the setting `keep` says, then the identifier. Documents that
are equal in it come by a hash of their rows (`ties`); of those that are equal in every column it does not matter which.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import DEFAULT_SOURCE, KEY, id_column, named_column
from sparkprep.errors import UserError, argument

ORDER = ("rank", "row_hash", KEY)
"""Columns, all ascending, of which the first document stays; row_hash is 0 but for documents that are equal in rank."""


def keep_column(settings: Settings) -> str | None:
    """Return the input column that the keep order looks at, if it is one of the input's own."""
    return None if settings.keep in ("longest", "first") else settings.keep.removeprefix("-")


def named_columns(settings: Settings, columns: Sequence[str]) -> tuple[str | None, str | None, str | None]:
    """Return the input's columns (identifier, source, that of the keep order), each None where there is none.

    Raises UserError for one that is named and not among the columns.
    """
    identifier = id_column(settings.id_column, columns)
    source = named_column("source_column", settings.source_column, DEFAULT_SOURCE, columns)
    keep = keep_column(settings)
    if keep is not None and keep not in columns:
        there = ", ".join(columns)
        raise UserError(f"{argument('keep', settings.keep)}: there is no column {keep!r}; columns there are: {there}")
    return identifier, source, keep
