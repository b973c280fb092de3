"""What a killed run left in an index of crawls: tables that its manifest does not name."""

from __future__ import annotations

import json
import os
import re

from sparkprep.errors import UserError
from sparkprep.io.files import open_input
from sparkprep.io.leftovers import INDEX_KIND
from sparkprep.io.paths import is_local, join_path, split_s3

INDEX, CRAWLS, LOCK = "index.json", "crawls", ".lock"
"""The manifest, the folder of the crawls' tables, and what a run on a disk holds while it writes."""


TABLE = re.compile(r"[^/]+-[0-9a-f]{8}/(?:kept|removed|shingles)")
"""The folder of a table, below that of the crawls."""


def table_folders(index: str) -> list[str]:
    """Return the folders of tables that lie in an index, sorted, as its manifest names them: crawls/CRAWL-ID/TABLE."""
    crawls = join_path(index, CRAWLS)
    if is_local(index):
        if not os.path.isdir(crawls):
            return []
        folders = [each for each in os.listdir(crawls) if os.path.isdir(os.path.join(crawls, each))]
        found = {f"{each}/{table}" for each in folders for table in os.listdir(os.path.join(crawls, each))}
        return _tables(found)
    from sparkprep.io.aws import bucket_client
    from sparkprep.io.objects import objects  # with boto3, which local work need not wait for

    bucket, key = split_s3(crawls)
    names = (name[len(key) + 1 :] for name in objects(bucket_client(bucket, crawls), bucket, f"{key}/"))
    return _tables({name.rpartition("/")[0] for name in names})


def _tables(found: set[str]) -> list[str]:
    return sorted(f"{CRAWLS}/{each}" for each in found if TABLE.fullmatch(each))


def named_folders(index: str) -> set[str] | None:
    """Return the folders that the manifest of an index names; None where there is none that can be read."""
    try:
        with open_input(join_path(index, INDEX)) as stream:
            value = json.loads(stream.read())
        if value["kind"] != INDEX_KIND:
            return None
        return {table["folder"] for crawl in value["crawls"] for table in crawl["tables"].values()}
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
