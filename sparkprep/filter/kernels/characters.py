"""What the rules ask of a character: a table by code point, fixed at Unicode 14 as the one of `dedup` is.

`scripts/build_character_table.py` makes the part that Unicode tells. The sets of punctuation are those of the published
filters, whose decisions depend on them.
"""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

SPACE = 1  # str.isspace()
LETTER = 1 << 1  # str.isalpha()
UPPER = 1 << 2
LOWER = 1 << 3
DIGIT = 1 << 4  # str.isdecimal()
PUNCTUATION = 1 << 5  # of a category P*
SYMBOL = 1 << 6  # of category So: pictures, emoji among them
NO_WORD = 1 << 7  # a word of such characters alone is a symbol to Gopher's rules
TERMINAL = 1 << 8  # ends a sentence
EDGE = 1 << 9  # is cut off from a word at whose beginning or end it stands
QUOTE = 1 << 10
CURRENCY = 1 << 11
LINE_END = 1 << 12  # ends a line to str.splitlines()

LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
EDGES = f"…,:;!?¿؟¡()[]{{}}<>_#*&。？！，、；：～·।،۔؛٪–—{QUOTES}"
CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"

# Unicode's property Sentence_Terminal, as datatrove's TERMINAL_PUNCTUATION has it.
_TERMINAL = (
    "0021 002E 003F 0589 061D-061F 06D4 0700-0702 07F9 0837 0839 083D-083E 0964-0965 104A-104B 1362 1367-1368 166E "
    "1735-1736 17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F "
    "203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 "
    "AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 "
    "110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 "
    "115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 "
    "16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88"
)
# What datatrove's PUNCTUATION has beside these: no word by itself. Tab and line feed are not in it.
_NO_WORD = (
    "0000-0008 000B-001F 0022-002D 002F 003A-003E 0040 005B-0060 007B-009F 00AB 00B4 00BB 2013-2014 2019 201C-201E "
    "2026 2236 2501 25BA 3001 3008-300D 3010-3011 FF05 FF08-FF09 FF0C FF11 FF1A-FF1B FF5E"
)


@cache
def table() -> npt.NDArray[np.uint16]:
    """Return the flags of each code point, shape (0x110000,), uint16."""
    with np.load(Path(__file__).with_name("characters14.npz"), allow_pickle=False) as data:
        lengths = np.diff(data["run_start"].astype(np.int64), append=0x110000)
        flags: npt.NDArray[np.uint16] = np.repeat(data["run_flags"].astype(np.uint16), lengths)
    for ranges, flag in ((_TERMINAL, TERMINAL | NO_WORD), (_NO_WORD, NO_WORD)):
        for each in ranges.split():
            first, _, last = each.partition("-")
            flags[int(first, 16) : int(last or first, 16) + 1] |= flag
    for characters, flag in ((QUOTES, QUOTE), (EDGES, EDGE), (CURRENCIES, CURRENCY), (LINE_ENDS, LINE_END)):
        flags[[ord(character) for character in characters]] |= flag
    # Pictures are cut off as punctuation is; so is the replacement character, which is one of them.
    flags[(flags & SYMBOL) > 0] |= EDGE
    return flags
