"""How the buckets of others are asked: as one who pays for what is read, or without credentials, as the public may."""

from __future__ import annotations

import os
import re
from enum import Enum

from sparkprep.errors import UserError


class Access(Enum):
    """How a bucket is asked."""

    OWN = "with the credentials that are found"
    PAYER = "with them, and the word that we pay for it"
    PUBLIC = "without credentials"


def access_to(bucket: str) -> Access:
    """Return how a bucket is asked, as SPARKPREP_REQUEST_PAYER and SPARKPREP_NO_SIGN_REQUEST say: names of buckets.

    Raises UserError where both name it.
    """
    pays = bucket in names_in(os.environ.get("SPARKPREP_REQUEST_PAYER", ""))
    is_public = bucket in names_in(os.environ.get("SPARKPREP_NO_SIGN_REQUEST", ""))
    if pays and is_public:
        raise UserError(
            f"bucket {bucket}: who pays must say who asks: name it in SPARKPREP_REQUEST_PAYER or in "
            "SPARKPREP_NO_SIGN_REQUEST, not in both"
        )
    return Access.PAYER if pays else Access.PUBLIC if is_public else Access.OWN


def told_access() -> dict[str, str]:
    """Return the variables that say it, for the environment of tasks."""
    names = ("SPARKPREP_REQUEST_PAYER", "SPARKPREP_NO_SIGN_REQUEST")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def names_in(text: str) -> list[str]:
    """Return the buckets that a variable names."""
    return [name.removeprefix("s3://").rstrip("/") for name in re.split(r"[,\s]+", text) if name]
