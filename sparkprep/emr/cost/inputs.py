"""Whether what a run is to read is what its estimate is of: its price, its disks and its hard stop hang on that."""

from __future__ import annotations

from sparkprep.emr.cost.formula import Factor
from sparkprep.errors import UserError
from sparkprep.io.aws import bucket_client
from sparkprep.io.objects import entries
from sparkprep.io.paths import split_s3
from sparkprep.units import human_bytes

_MORE = 2.0
"""What is stored may be more than the text in it: other columns, JSON's quotation marks."""
_PACKED = 10.0
"""Text may be so many times what is stored of it."""


def check_size(uri: str, gigabytes: Factor) -> str | None:
    """Return a warning where an input is much less than the estimated GB of text. Raises UserError for much more."""
    stored = _stored(uri)
    told = (
        f"--input {uri} holds {human_bytes(stored)}, and the estimate is of {gigabytes.low:.2g} to {gigabytes.high:.2g}"
        " GB of text: give --text-gb, or --documents"
    )
    if stored > gigabytes.high * 1e9 * _MORE:
        raise UserError(f"{told}, for what it costs, and whether it has room")
    return told if stored * _PACKED < gigabytes.low * 1e9 else None


def _stored(uri: str) -> int:
    bucket, key = split_s3(uri)
    found = entries(bucket_client(bucket, uri), bucket, key, uri)
    return sum(each.size for each in found if each.key == key or each.key.startswith(f"{key}/"))
