"""Quantities as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def human_bytes(count: float) -> str:
    """Return a number of bytes in decimal units with one place: 999 -> "999 B", 1234567 -> "1.2 MB"."""
    if count < 999.5:
        return f"{count:.0f} B"
    value, unit = count / 1000, 0
    while value >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.1f} {_UNITS[unit]}"


def human_duration(seconds: float) -> str:
    """Return a time as people say it: 45 -> "45 seconds", 2500 -> "42 minutes", 7900 -> "2 hours 12 minutes"."""
    if seconds < 90:
        return counted(round(seconds), "second")
    minutes = round(seconds / 60)
    if minutes < 90:
        return counted(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return counted(hours, "hour") + (f" {counted(minutes, 'minute')}" if minutes else "")
    days, hours = divmod(hours, 24)
    return counted(days, "day") + (f" {counted(hours, 'hour')}" if hours else "")


def time_of_day(seconds: float, now: datetime | None = None) -> str:
    """Return when so many seconds from now are over, by this machine's clock: "14:35", on another day with its date."""
    now = now or datetime.now().astimezone()
    end = now + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"


def counted(number: int, unit: str) -> str:
    """Return a number of things: 1 -> "1 file", 2500 -> "2,500 files"."""
    return f"{number} {unit}" if number == 1 else f"{number:,} {unit}s"
