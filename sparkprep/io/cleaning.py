"""What killed runs of ours left in a place, local or on S3: found, told apart from what must stay, and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sparkprep.io.leftovers import Leftover, State
from sparkprep.io.paths import is_local, normalise


@dataclass(frozen=True)
class Choice:
    """What is removed beside what killed runs have left.

    now: the time, with its zone. kept_work: what --keep-work kept. even_if_running: what a run seems to write to.
    """

    now: datetime
    kept_work: bool = False
    even_if_running: bool = False

    def applied(self, leftover: Leftover) -> Leftover:
        """Return the leftover as one to be removed, where it is chosen."""
        chosen = (self.kept_work and leftover.state is State.KEPT) or (
            self.even_if_running and leftover.state is State.RUNNING
        )
        return replace(leftover, state=State.DEAD, why="") if chosen else leftover


def find(place: str, choice: Choice) -> list[Leftover]:
    """Return what runs of ours have left, or need, at a place: below it, or beside it under its name.

    place: a folder or an s3:// URI, such as the output of a run. Raises UserError where it cannot be listed.
    """
    path = normalise(place)
    if is_local(path):
        from sparkprep.io.local_leftovers import find_local

        found = find_local(path, choice.now)
    else:
        from sparkprep.io.s3_leftovers import find_on_s3  # with boto3, which local work need not wait for

        found = find_on_s3(path, choice.now)
    return sorted((choice.applied(each) for each in found), key=lambda each: each.path)


def remove(leftover: Leftover) -> None:
    """Remove a leftover that is DEAD. Raises UserError where that cannot be."""
    if leftover.state is not State.DEAD:
        raise ValueError(f"{leftover.path} is {leftover.state.value}")
    if is_local(leftover.path):
        from sparkprep.io.local_leftovers import remove_local

        remove_local(leftover.path)
    else:
        from sparkprep.io.s3_leftovers import remove_from_s3

        remove_from_s3(leftover.path)


def sizes(places: Sequence[str]) -> int:
    """Return the bytes of all that lies in folders of runs. Raises UserError where one cannot be listed."""
    choice = Choice(datetime.now(UTC))
    return sum(each.size + each.uploaded for place in places for each in find(place, choice))
