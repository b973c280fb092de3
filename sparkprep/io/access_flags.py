"""The flags of faces that read from buckets of others: --request-payer, --no-sign-request."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable

from sparkprep.console import say_line
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


def tell_access(args: argparse.Namespace, paths: Iterable[str], written: Iterable[str | None] = ()) -> None:
    """Note for this process, and all that it starts, what the flags say of the buckets in these paths.

    written: where the face writes, if anywhere: a bucket there is asked with credentials, for what is read of it, too.
    Raises UserError where none of the paths is on S3.
    """
    name = "request_payer" if args.request_payer else "no_sign_request" if args.no_sign_request else None
    if name is None:
        return
    buckets = sorted({split_s3(path)[0] for path in paths if not is_local(path)})
    if not buckets:
        raise UserError(f"{argument(name, True)} is of an input on S3, and none is named; leave it out")
    if args.no_sign_request:
        own = {split_s3(path)[0] for path in written if path and not is_local(path)}
        for bucket in own.intersection(buckets):
            say_line(f"note: {bucket} is written to as well, and so asked with credentials", sys.stderr)
            buckets.remove(bucket)
    variable = f"SPARKPREP_{name.upper()}"
    os.environ[variable] = ",".join(dict.fromkeys([*names_in(os.environ.get(variable, "")), *buckets]))
