"""The keep order: of documents that are alike, who comes first, and so stays.

The signature rows hold it as bytes (`kernels.rank`): what the setting `keep` says, then the identifier. Documents that
are equal in it come by a hash of their rows (`ties`); of those that are equal in every column it does not matter which.
"""

from __future__ import annotations

from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY

ORDER = ("rank", "row_hash", KEY)
"""Columns, all ascending, of which the first document stays; row_hash is 0 but for documents that are equal in rank."""


def keep_column(settings: Settings) -> str | None:
    """Return the input column that the keep order looks at, if it is one of the input's own."""
    return None if settings.keep in ("longest", "first") else settings.keep.removeprefix("-")
