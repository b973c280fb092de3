"""Quantities as people read them."""

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def human_bytes(count: float) -> str:
    """Return a number of bytes in decimal units with one place: 999 -> "999 B", 1234567 -> "1.2 MB"."""
    if count < 999.5:
        return f"{count:.0f} B"
    value, unit = count / 1000, 0
    while value >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.1f} {_UNITS[unit]}"
