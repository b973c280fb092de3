"""Whether the run whose heartbeat lies on S3 still lives, by its age and, on the same machine, by its process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

IDLE_SECONDS = 30 * 60.0
"""After so long without a write a run is taken for dead: seven beats, some of which may fail, and two clocks differ."""
ENDED = "ended"
"""The state that a run leaves in its heartbeat where it leaves its folder, so that another may go on from it."""
_BOOT = "/proc/sys/kernel/random/boot_id"


def is_dead(content: Mapping[str, Any], written: datetime) -> bool:
    """Return whether the run of a heartbeat has ended: by its age, or as its process, of this machine, is no more."""
    if (datetime.now(UTC) - written).total_seconds() > IDLE_SECONDS:
        return True
    return has_ended_here(content)


def has_ended_here(content: Mapping[str, Any]) -> bool:
    """Return whether a heartbeat says that its run has ended, or names a process of this machine that is no more."""
    if content.get("state") == ENDED:
        return True
    process = content.get("process")
    if not machine() or content.get("machine") != machine() or not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        pass
    return False


def machine() -> str:
    """Return what those have in common that know one another by their numbers; "" where the system does not say.

    Not the host's name: two containers may have the same.
    """
    try:
        with open(_BOOT, encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
