"""Put files on S3, and look at what lies there; the same words work for local folders."""

from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sparkprep.io.paths import filesystem


def access_to(url: str, access_key: str = "test", secret_key: str = "test") -> dict[str, str]:
    """Return the variables that tell an AWS client of a server of S3's protocol, and who asks it."""
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def put_folder(folder: Path, there: str) -> str:
    """Copy a folder, and return the place."""
    system, inner = filesystem(there)
    pafs.copy_files(str(folder), inner, pafs.LocalFileSystem(), system)
    return there


def names(folder: str, recursive: bool = False) -> set[str]:
    """Return the paths, from there, of what lies in a folder, or of all files below it."""
    system, inner = filesystem(folder)
    infos = system.get_file_info(pafs.FileSelector(inner, recursive=recursive, allow_not_found=True))
    return {info.path.removeprefix(f"{inner}/") for info in infos if not recursive or info.type == pafs.FileType.File}


def table(folder: str | Path, by: str = "id") -> pa.Table:
    """Read a folder of Parquet, its rows in the order of a column."""
    system, inner = filesystem(str(folder))
    return pq.read_table(inner, filesystem=system).sort_by(by)


def text(path: str) -> str:
    """Read a small file of UTF-8."""
    system, inner = filesystem(path)
    with system.open_input_file(inner) as stream:
        return stream.read().decode()
