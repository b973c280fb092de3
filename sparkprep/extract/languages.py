"""The language that a text is in, and how sure that is: by py3langid, whose model comes with it, on pieces of a text.

Nothing is downloaded. The answer depends on the text alone: neither on what a page declares nor on the texts before.
"""

from __future__ import annotations

from typing import NamedTuple

_CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr "
    "fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko "
    "ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru "
    "rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk und ur uz uzs vec vi vo wa wuu xh yo "
    "yue zh zu zxx"
)
LANGUAGES = tuple(_CODES.split())
"""Codes of ISO 639 that a text may get, the shortest there is; zxx: no language (numbers, identifiers); und: nothing
that can be told. Named here, where no model is loaded."""
UNDETERMINED = "und"
_SAMPLES = ((400, 4), (2_000, 8))
"""Characters of a text that are looked at, and in how many pieces: the second where the first leave doubt."""
_SURE = 0.95
"""Score from which there is none: with it one text in a thousand is judged otherwise than by all of its characters."""
_LEAST_SCORE = 0.02
"""What a text gets in which the model knows nothing is below this."""


class Language(NamedTuple):
    """A language's code, one of LANGUAGES, and the share that the model gives it of all, from 0 to 1."""

    code: str
    score: float


def language_of(text: str) -> Language:
    """Return the language of a text, by pieces of it from its beginning to its end: 400 characters, or 2,000."""
    from sparkprep.extract.language_model import language_model  # only where it is asked: it takes a second and 200 MB

    code, score = UNDETERMINED, 0.0
    for size, pieces in _SAMPLES:
        code, score = language_model().classify(_sample(text, size, pieces))
        if score >= _SURE or len(text) <= size:
            break
    if score < _LEAST_SCORE:
        return Language(UNDETERMINED, 0.0)
    return Language(code, round(score, 3))  # processors differ in the last digits


def _sample(text: str, size: int, pieces: int) -> str:
    if len(text) <= size:
        return text
    length = size // pieces
    step = (len(text) - length) // (pieces - 1)
    return "\n".join(text[start : start + length] for start in range(0, pieces * step, step))
