"""The Unicode table of the kernels: which code points are letters and digits, and their lower case.

Fixed at Unicode 14 (Python 3.11) and shipped with the package, so that the answer does not depend on the Python that
happens to run; `scripts/build_unicode_table.py` makes it.
"""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

# Layout of one entry: bits 0-20 the lower-cased code point, above them these flags.
LOWER_MASK = 0x1FFFFF
WORD = 1 << 21  # a letter or a number: str.isalnum()
LETTER = 1 << 22  # str.isalpha()
NO_SPACES = 1 << 23  # a letter of Han, kana, Thai, Lao, Khmer or Myanmar
CASED = 1 << 24  # these two decide which lower-case sigma is meant
IGNORABLE = 1 << 25


@cache
def table() -> npt.NDArray[np.uint32]:
    """Return one entry per code point, shape (0x110000,), uint32."""
    with np.load(Path(__file__).with_name("unicode14.npz"), allow_pickle=False) as data:
        starts = data["run_start"].astype(np.int64)
        lengths = np.diff(starts, append=0x110000)
        flags = np.repeat(data["run_flags"].astype(np.uint32), lengths)
        lower = np.arange(0x110000, dtype=np.uint32)
        lower[data["lower_from"]] = data["lower_to"]
    entries: npt.NDArray[np.uint32] = (flags << np.uint32(21)) | lower
    return entries
