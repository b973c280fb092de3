"""What S3 answers where it refuses, in one line with the way out: the same words for boto3's errors and for Arrow's."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from sparkprep.io.access import Access, access_to

_BAD_CREDENTIALS = frozenset(
    {
        *("invalidaccesskeyid", "signaturedoesnotmatch", "expiredtoken", "expiredtokenexception"),
        *("invalidtoken", "requesttimetooskewed", "tokenrefreshrequired", "unrecognizedclient"),
    }
)
_DENIED = frozenset({"403", "forbidden", "accessdenied", "allaccessdisabled"})
_NO_BUCKET = frozenset({"nosuchbucket", "404", "notfound"})
_NO_OBJECT = frozenset({"nosuchkey", "404", "notfound", "resourcenotfound"})
_OTHER_REGION = frozenset({"301", "permanentredirect", "authorizationheadermalformed", "illegallocationconstraint"})
_BUSY = frozenset({"503", "500", "slowdown", "serviceunavailable", "internalerror", "internalfailure", "throttling"})
_OF_READING = frozenset({"HeadObject", "GetObject", "HeadBucket", "ListObjectsV2"})
_OF_OBJECTS = frozenset({"HeadObject", "GetObject"})

_ARROW = re.compile(
    r"AWS Error (?P<code>\w+|\[code \d+\])(?: \(HTTP status (?P<status>\d+)\))? during (?P<operation>\w+)"
)
_ARROW_NAME = re.compile(r"Unable to parse ExceptionName: (\S+)")
_ARROW_NOISE = re.compile(r"^.*? operation: (?:Unable to parse ExceptionName: (?:\S+) Message: )?| \(Request ID: .*$")
_ARROW_PLACE = re.compile(r"^When [^']*'(?P<key>.*)' in bucket '(?P<bucket>[^']+)'")
_OTHER_PLACE = re.compile(r"the bucket is located in '([\w-]+)'")

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""The variables that name a server, for every command; the first that is set counts."""
_REGION = re.compile(r"[./]s3[.-]([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$")
_AMAZON = re.compile(r"\.amazonaws\.com(\.cn)?(:\d+)?$")

NO_CREDENTIALS = (
    "no complete AWS credentials found; run `aws configure`, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
    "and, for temporary ones, AWS_SESSION_TOKEN (for a public bucket, SPARKPREP_NO_SIGN_REQUEST=BUCKET)"
)


def says_bad_credentials(code: str) -> bool:
    """Return whether S3 gives this word where it does not know who asks, so that no other request can go better."""
    return _plain(code) in _BAD_CREDENTIALS


def says_denied(code: str) -> bool:
    """Return whether S3 gives this word, or status, where it knows who asks and forbids it."""
    return _plain(code) in _DENIED


def wording(code: str, operation: str, text: str, is_signed: bool = True) -> str:
    """Return one line: the cause, and what to do.

    code: S3's short word for the error as S3 or as Arrow writes it (NoSuchBucket, NO_SUCH_BUCKET), or the HTTP status.
    operation: what was asked for, such as PutObject. text: what S3 said, for an error that is none of the known.
    is_signed: whether it was asked with credentials.
    """
    plain = _plain(code)
    if operation in _OF_OBJECTS and plain in _NO_OBJECT:
        return "no such object any more; run the command again"
    if plain in _NO_BUCKET:
        return "no such bucket; check its name, or make it with `aws s3 mb s3://NAME`"
    if plain in _BAD_CREDENTIALS:
        return f"S3 does not accept the AWS credentials ({code}); renew them, and check the clock"
    if plain in _DENIED and not is_signed:
        kind = "public" if operation in _OF_READING else "one that the public may write to"
        return (
            f"access denied ({operation}): it was asked for without credentials, and the bucket is not {kind}; "
            "leave out --no-sign-request, or the bucket's name in SPARKPREP_NO_SIGN_REQUEST"
        )
    if plain in _DENIED:
        pays = "; where the requester pays, set SPARKPREP_REQUEST_PAYER=BUCKET" if operation in _OF_READING else ""
        return f"access denied ({operation}); ask the bucket's owner for leave to read, list and write there{pays}"
    if plain in _OTHER_REGION:
        place = _OTHER_PLACE.search(text)
        there = f", {place[1]}" if place else ""
        return f"the bucket lies in another region than the one set{there}; set AWS_DEFAULT_REGION to the bucket's"
    if plain in _BUSY:
        return f"S3 is overloaded or out of order ({code}); run the command again later"
    if plain == "400":  # what it answers where an answer has no text
        return "S3 refuses the request (400), as for AWS credentials that have expired; renew them"
    return f"S3 answered: {text}"


def no_connection(url: str | None = None) -> str:
    """Return one line for a server of S3 that does not answer. url: of the request, where it is known."""
    variable = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    server = server_of(url or (os.environ[variable] if variable else ""))
    at = f" at {server}" if server else ""
    if variable and server == server_of(os.environ[variable]):
        return f"no connection to S3{at}; check the network, and {variable}, which names that server"
    if not server or _AMAZON.search(server):
        region = _REGION.search(server)
        also = f", AWS_DEFAULT_REGION another region than {region[1]}" if region else ""
        return f"no connection to S3{at}; check the network; {ENDPOINTS[0]} names another server than Amazon's{also}"
    return f"no connection to S3{at}; check the network, and the endpoint that is set"


def server_of(url: str) -> str:
    """Return scheme, host and port of a URL: all of it that may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}" if parts.hostname else ""


def explain_arrow(text: str) -> str | None:
    """Return one line as `wording` for what Arrow says of an error of S3; None for a text that is no such thing."""
    error = _ARROW.search(text)
    if error is None:
        return None
    if error["code"] == "NETWORK_CONNECTION":
        return no_connection()
    name = _ARROW_NAME.search(text)
    code = name[1] if name else error["status"] or error["code"]
    place = _ARROW_PLACE.search(text)
    is_signed = place is None or access_to(place["bucket"]) is not Access.PUBLIC
    return wording(code, error["operation"], " ".join(_ARROW_NOISE.sub("", text).split())[:300], is_signed)


def asked_of_arrow(text: str) -> tuple[str, str, str] | None:
    """Return (operation, bucket, key) of what Arrow was refused by S3 for who asks, or could not ask at all.

    None for other errors, and for what was not reading.
    """
    error, place = _ARROW.search(text), _ARROW_PLACE.search(text)
    if error is None or place is None or error["operation"] not in _OF_READING:
        return None
    name = _ARROW_NAME.search(text)
    code = _plain(name[1] if name else error["status"] or error["code"])
    is_about_who = code in _BAD_CREDENTIALS | _DENIED | {"400", "networkconnection"}
    return (error["operation"], place["bucket"], place["key"]) if is_about_who else None


def _plain(code: str) -> str:
    return code.replace("_", "").lower()
