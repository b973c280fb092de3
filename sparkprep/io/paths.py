"""Local paths and s3:// URIs: telling them apart, joining them, and what each reader wants to be handed."""

from __future__ import annotations

import os
import re
import shlex

import pyarrow.fs as pafs

from sparkprep.errors import UserError

_SCHEME = re.compile(r"^(file(?=:/)|[A-Za-z][A-Za-z0-9+.-]*(?=://))")
_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/@:]*(?::[^@]*)?@")
"""What may stand before the "@" of a URI: a secret of AWS's may hold a "/"."""
_S3_SCHEMES = ("s3", "s3a", "s3n")
_GLOB_CHARACTERS = re.compile(r"([\[\]{}*?\\])")


def scheme_of(path: str) -> str:
    """Return the URI scheme in lower case; "" for a plain local path."""
    match = _SCHEME.match(path)
    return match.group(1).lower() if match else ""


def is_local(path: str) -> bool:
    """Return True for a local path or a file: URI, False for s3://. Raises UserError for any other scheme."""
    scheme = scheme_of(path)
    if scheme in ("", "file"):
        return True
    if scheme in _S3_SCHEMES:
        return False
    if scheme in ("http", "https"):
        raise UserError(f"{without_credentials(path)}: '{scheme}://' is not supported; {_instead_of_web(path)}")
    raise UserError(
        f"{without_credentials(path)}: '{scheme}://' is not supported; use a local path or an s3:// URI, or hand "
        "deduplicate() the DataFrame that Spark reads from there"
    )


_COMMON_CRAWL = re.compile(
    r"https?://(?:data\.commoncrawl\.org|(?:aws-publicdatasets|commoncrawl)\.s3[a-z0-9.-]*\.amazonaws\.com)/+(.+)", re.I
)


def _instead_of_web(path: str) -> str:
    """Return how to come by a file of the web: what is read must stand still, and be read again by a task that failed.

    Common Crawl's files lie on S3 under the same names.
    """
    url = without_credentials(path)
    name = url.split("?", 1)[0].rstrip("/").rpartition("/")[2] or "FILE"
    fetch = f"`{shlex.join(['curl', '--fail', '--location', '--output', name, url])}`"
    crawled = _COMMON_CRAWL.fullmatch(url)
    if crawled:
        there = f"s3://commoncrawl/{crawled[1]}"
        return f"name {there}, which takes credentials of AWS, or fetch it by {fetch} and name {name}"
    return f"fetch it by {fetch} and name {name}"


def normalise(path: str | os.PathLike[str]) -> str:
    """Return an absolute local path (symbolic links kept, `~/` expanded), or the URI without a slash at its end.

    What Hadoop writes s3a:// or s3n:// is s3:// here. Raises UserError for a path that is empty or not UTF-8, and for a
    URI without a bucket, or with a key before it.
    """
    text = os.fspath(path)
    if not text:
        raise UserError("an empty path was given where a file or folder is needed")
    check_utf8(text)
    if not is_local(text):
        rest = text.split("://", 1)[1]
        if set(":@") & set(rest.split("/", 1)[0]):  # which no bucket's name has
            raise UserError(
                f"{without_credentials(text) if '@' in rest else 's3://...'}: a user or a key stands before the bucket "
                "(s3://KEY:SECRET@BUCKET), where logs and histories keep it: leave it out, set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, and make a new key in the place of one that was written there"
            )
        if not rest.split("/", 1)[0]:
            raise UserError(f"{text}: names no bucket; write s3://BUCKET/FOLDER")
        return "s3://" + rest.rstrip("/")
    if scheme_of(text) == "file":
        text = "/" + text.split(":", 1)[1].lstrip("/")
    return os.path.abspath(os.path.expanduser(text))


def without_credentials(path: str) -> str:
    """Return a path or URI without what may stand before an "@" in the place of its host: for messages."""
    return _USER.sub(r"\1", path)


def check_utf8(path: str) -> None:
    """Raise UserError for a path with bytes that are no UTF-8, which Linux bears and Arrow does not."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: a name that is not UTF-8, which cannot be read or written; rename it") from error


def join_path(path: str, *names: str) -> str:
    """Return the path of something inside a folder, local or on S3."""
    return os.path.join(path, *names) if is_local(path) else "/".join([path.rstrip("/"), *names])


def split_s3(path: str) -> tuple[str, str]:
    """Return (bucket, key) of an s3:// URI; the key is "" for the bucket itself. Raises UserError as `normalise`."""
    bucket, _, key = normalise(path).removeprefix("s3://").partition("/")
    return bucket, key


def lies_in(path: str, folder: str) -> bool:
    """Return whether `path` is `folder` or lies below it; both as `normalise` returns them, local or on S3."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """Return the pyarrow file system that holds `path`, and the path as that file system writes it.

    For S3, credentials and region come from the environment as for any AWS client; AWS_ENDPOINT_URL_S3 (or
    AWS_ENDPOINT_URL) names another endpoint. The first call of a process for a bucket asks for it, and raises UserError
    where it cannot be reached; later ones cost nothing.
    """
    path = normalise(path)
    if is_local(path):
        return pafs.LocalFileSystem(), path
    bucket, key = split_s3(path)
    from sparkprep.io.aws import arrow_filesystem  # boto3 takes a third of a second, which local work need not wait for

    return arrow_filesystem(bucket, path), f"{bucket}/{key}" if key else bucket


def spark_uri(path: str) -> str:
    """Return what to hand to `spark.read` so that exactly this file or folder is read.

    Spark takes []{}*? in a path for a pattern, so they are escaped; a local path gets the scheme `file:`, because on a
    cluster a bare path would mean HDFS. Blanks, '%' and '#' stay: Hadoop takes the text after the scheme as it is.
    """
    path = normalise(path)
    return _GLOB_CHARACTERS.sub(r"\\\1", f"file:{path}" if is_local(path) else path)
