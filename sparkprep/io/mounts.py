"""Mount points: folders that can be neither renamed nor replaced."""

from __future__ import annotations

import os
import re

_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(r"\\([0-7]{3})")


def mounts_below(folder: str) -> list[str]:
    """Return the mount points at or below a folder (a real absolute path), sorted.

    On Linux from the kernel's table, which knows mounts of the same file system too (as of a container's volumes);
    elsewhere only the folder itself is looked at.
    """
    try:
        with open(_TABLE, encoding="utf-8", errors="surrogateescape") as table:
            points = {_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), line.split(" ")[4]) for line in table}
    except OSError:
        return [folder] if os.path.ismount(folder) else []
    inside = folder.rstrip("/") + "/"
    return sorted(point for point in points if point == folder or point.startswith(inside))
