"""The flags of faces that read from buckets of others: --request-payer, --no-sign-request."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from sparkprep.errors import UserError, argument
from sparkprep.io.access import names_in
from sparkprep.io.paths import is_local, split_s3


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a face that reads from buckets of others; they have the names that the `aws` command gives."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--request-payer",
        action="store_true",
        help="the requester pays for the buckets that are read: say that we do (S3 bills requests and bytes)",
    )
    how.add_argument(
        "--no-sign-request",
        action="store_true",
        help="the buckets that are read are public: ask without credentials",
    )


def tell_access(args: argparse.Namespace, paths: Iterable[str]) -> None:
    """Note for this process, and all that it starts, what the flags say of the buckets in these paths.

    Raises UserError where none of them is on S3.
    """
    name = "request_payer" if args.request_payer else "no_sign_request" if args.no_sign_request else None
    if name is None:
        return
    buckets = sorted({split_s3(path)[0] for path in paths if not is_local(path)})
    if not buckets:
        raise UserError(f"{argument(name, True)} is of an input on S3, and none is named; leave it out")
    variable = f"SPARKPREP_{name.upper()}"
    os.environ[variable] = ",".join(dict.fromkeys([*names_in(os.environ.get(variable, "")), *buckets]))
