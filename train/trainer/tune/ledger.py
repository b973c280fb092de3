"""ledger.jsonl: what a study has spent, by the clock that nobody sets, written before it is used.

A line is one JSON object; a segment is one process that costs money, such as a trial or the part of one until it was
killed, and the last line of a segment counts:

    {"segment": 3, "of": "trial 2", "seconds": 30.0, "price": 1.5, "ended": false, "at": "2026-11-28T16:40:12Z"}

`seconds` are paid a little ahead of time: a process is under way only while that is on disk, so a machine that dies, or
a disk that gets full, leaves a ledger that tells of too much by `AHEAD` at most and never of too little. `at` is for
people; what was spent is told by differences of the monotonic clock, to which no jump of the date matters.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.json_files import checked_object
from trainer.checkpoints.checkpoint import sync_folder
from trainer.runs.log import cut_unfinished

NAME = "ledger.jsonl"
AHEAD = 10.0
"""Seconds that are paid before they have passed."""

_ADVICE = "it tells what was spent, so it is not guessed at: mend that line, or begin another study (--output)"
Clock = Callable[[], float]


@dataclass(frozen=True)
class Charge:
    """A segment as its last line tells it. price: dollars an hour."""

    segment: int
    of: str
    seconds: float
    price: float
    ended: bool

    @property
    def dollars(self) -> float:
        """Of its seconds."""
        return self.seconds * self.price / 3600


class Ledger:
    """The charges of a study's folder, which is held by this process, or is only read.

    Raises UserError, naming the line, where a line is none of ours.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME)
        self._charges = _read(self.path) if os.path.exists(self.path) else {}

    @property
    def dollars(self) -> float:
        """All that was spent."""
        return sum(charge.dollars for charge in self._charges.values())

    def of(self, what: str) -> tuple[float, float]:
        """Return the seconds and dollars of all segments of one thing."""
        charges = [charge for charge in self._charges.values() if charge.of == what]
        return sum(each.seconds for each in charges), sum(each.dollars for each in charges)

    def begin(self, of: str, price: float, most: float, clock: Clock = time.monotonic) -> Meter:
        """Return the meter of a new segment, of at most so many dollars. Raises UserError where it cannot be paid."""
        return Meter(self, max(self._charges, default=0) + 1, of, price, most, clock)

    def write(self, charge: Charge) -> None:
        """Append a line, and return when it is on disk. Raises UserError where it cannot be."""
        line = json.dumps({**asdict(charge), "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}) + "\n"
        anew = not os.path.exists(self.path)
        try:
            if not anew:
                cut_unfinished(self.path)
            with open(self.path, "ab", buffering=0) as file:
                if file.write(line.encode()) != len(line):  # how a disk that gets full takes what it has room for
                    raise OSError(28, os.strerror(28))
                os.fsync(file.fileno())
            if anew:
                sync_folder(os.path.dirname(self.path))
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written: {cause(error)}; nothing runs that is not paid there. Free space, "
                "then give the same command again"
            ) from error
        self._charges[charge.segment] = charge


class Meter:
    """One segment under way: `pay` is called again and again while its process runs, `end` when that has ended."""

    def __init__(self, ledger: Ledger, segment: int, of: str, price: float, most: float, clock: Clock) -> None:
        self._ledger, self._segment, self._of, self._price = ledger, segment, of, price
        self._clock, self._start = clock, clock()
        self.limit = 3600 * most / price if price else float("inf")
        """Seconds that it may take in all."""
        self._paid = 0.0
        self.pay()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._start

    def pay(self) -> None:
        """Pay so far ahead that it may go on for a while, but not beyond the limit. Raises UserError where it cannot.

        A line is written when half of what is paid ahead has been used, so this costs nothing to call often.
        """
        now = self.seconds
        if self._paid < self.limit and self._paid - now < AHEAD / 2:
            self._write(min(max(now, 0.0) + AHEAD, self.limit), ended=False)

    def end(self) -> None:
        """Write what it has taken. Where that cannot be, what was paid ahead stands, and UserError is raised."""
        self._write(self.seconds, ended=True)

    def _write(self, seconds: float, *, ended: bool) -> None:
        self._ledger.write(Charge(self._segment, self._of, round(seconds, 3), self._price, ended))
        self._paid = seconds


def _read(path: str) -> dict[int, Charge]:
    """Return the last line of each segment; part of a line at the end, of a killed writer, does not count."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")[:-1]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}; {_ADVICE}") from error
    charges: dict[int, Charge] = {}
    keys = {"segment": int, "of": str, "seconds": float, "price": float, "ended": bool}
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}: line {number} is not sound ({error}); {_ADVICE}") from error
        checked = checked_object(value, f"{path}, line {number}", _ADVICE, keys)
        charge = Charge(**{name: checked[name] for name in keys})
        charges[charge.segment] = charge
    return charges
