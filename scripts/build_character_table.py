#!/usr/bin/env python3
"""Write sparkprep/filter/kernels/characters14.npz: what Unicode 14 says of each character, for words and sentences.

    python3.11 scripts/build_character_table.py

Run it with Python 3.11 (Unicode 14.0.0), so that texts are split alike whatever Python runs later.
"""

import sys
import unicodedata
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "sparkprep" / "filter" / "kernels" / "characters14.npz"
SPACE, LETTER, UPPER, LOWER, DIGIT, PUNCTUATION, SYMBOL = 1, 2, 4, 8, 16, 32, 64


def flags_of(c: int) -> int:
    ch, category = chr(c), unicodedata.category(chr(c))
    return (
        SPACE * ch.isspace()
        | LETTER * ch.isalpha()
        | UPPER * (category == "Lu")
        | LOWER * (category == "Ll")
        | DIGIT * ch.isdecimal()
        | PUNCTUATION * category.startswith("P")
        | SYMBOL * (category == "So")
    )


def main() -> None:
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}; run the script with Python 3.11 (14.0.0)")
    flags = np.array([flags_of(c) for c in range(0x110000)], np.uint8)
    starts = np.flatnonzero(np.diff(flags, prepend=np.uint8(255)))
    np.savez_compressed(TARGET, run_start=starts.astype(np.uint32), run_flags=flags[starts])
    print(f"{TARGET.name}: {len(starts)} runs, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
