"""Places of one command that must not be the same, nor one inside the other: what is read, and what is made."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sparkprep.errors import UserError, argument
from sparkprep.io.paths import is_local, lies_in, normalise


def refuse_same_place(inputs: Sequence[str | os.PathLike[str]], /, **made: str | os.PathLike[str] | None) -> None:
    """Refuse folders to be made of which one is another, or lies inside one, or in what is read, or the reverse.

    inputs: what is read. made: by the names of the arguments; None: not asked for. Raises UserError that names both.
    """
    folders = [(argument(name, place), _real(place)) for name, place in made.items() if place is not None]
    read = [(f"the input {place}", _real(place)) for place in inputs]
    for number, (name, place) in enumerate(folders):
        for other, there in [*folders[:number], *read]:
            if lies_in(place, there) or lies_in(there, place):
                where = "is" if place == there else "lies inside" if lies_in(place, there) else "has inside it"
                raise UserError(f"{name} {where} {other}; name another place")


def _real(place: str | os.PathLike[str]) -> str:
    place = normalise(place)
    return os.path.realpath(place) if is_local(place) else place
