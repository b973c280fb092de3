"""Quantities as people read them."""


def human_bytes(count: float) -> str:
    """1234567 -> '1.2 MB'; decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"
