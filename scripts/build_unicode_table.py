#!/usr/bin/env python3
"""Write sparkprep/dedup/kernels/unicode14.npz, the table of letters, digits and lower case that every machine shares.

    python3.11 scripts/build_unicode_table.py

Run it with Python 3.11 (Unicode 14.0.0): the table is taken from that interpreter's own `str` methods, so that the
kernels split words exactly as `re.findall(r"[^\\W_]+", text.lower())` does there, whatever Python runs later.
"""

import sys
import unicodedata
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "sparkprep" / "dedup" / "kernels" / "unicode14.npz"
# Scripts written without blanks between words, by the first words of their characters' names.
UNSPACED = (
    "CJK UNIFIED IDEOGRAPH",
    "CJK COMPATIBILITY IDEOGRAPH",
    "IDEOGRAPHIC",
    "HIRAGANA",
    "KATAKANA",
    "HALFWIDTH KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
)
WORD, LETTER, NO_SPACES, CASED, IGNORABLE = 1, 2, 4, 8, 16


def flags_of(c: int) -> int:
    ch = chr(c)
    flags = 0
    if ch.isalnum():
        flags |= WORD
    if ch.isalpha():
        flags |= LETTER
        if unicodedata.name(ch, "").startswith(UNSPACED):
            flags |= NO_SPACES
    # How lower() treats a capital sigma tells how it classes the character before it.
    if (ch + "Σ").lower().endswith("ς"):
        flags |= CASED
    elif ("A" + ch + "Σ").lower().endswith("ς"):
        flags |= IGNORABLE
    return flags


def main() -> None:
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}; run the script with Python 3.11 (14.0.0)")
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    flags = np.zeros(0x110000, np.uint8)
    flags[points] = [flags_of(c) for c in points]
    starts = np.flatnonzero(np.diff(flags, prepend=np.uint8(255)))
    lower = [(c, chr(c).lower()) for c in points if chr(c).lower() != chr(c)]
    longer = [c for c, low in lower if len(low) > 1]
    if longer != [0x130]:  # the kernel knows this one case: "i" and a combining dot, which ends the word
        sys.exit(f"characters whose lower case is longer than one character: {longer}")
    np.savez_compressed(
        TARGET,
        run_start=starts.astype(np.uint32),
        run_flags=flags[starts],
        lower_from=np.array([c for c, _ in lower], np.uint32),
        lower_to=np.array([ord(low[0]) for _, low in lower], np.uint32),
    )
    print(f"{TARGET.name}: {len(starts)} runs, {len(lower)} lower-case mappings, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
