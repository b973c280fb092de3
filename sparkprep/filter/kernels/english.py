"""English words that are not split, or not where punctuation stands: contractions, abbreviations, emoticons.

As spaCy's English does, a contraction is two or three words, with or without its apostrophe: "don't" is "do", "n't",
and "cannot" is "can", "not".
"""

from __future__ import annotations

from collections.abc import Iterator

_PRONOUNS = ("i", "you", "he", "she", "it", "we", "they")
_QUESTIONS = ("who", "what", "when", "where", "why", "how", "there", "that", "this")
_PLURALS = ("these", "those")
_WITH_NOT = ("ca", "could", "do", "does", "did", "had", "may", "might", "must", "need", "ought", "sha", "should", "wo")
_WITH_NOT_ALONE = ("ai", "are", "is", "was", "were", "have", "has", "dare")
_WITH_HAVE = ("could", "might", "must", "should", "would")
_WORDS = {"ill", "its", "hell", "shell", "shed", "were", "well", "whore"}
"""What looks like a contraction without its apostrophe, and is a word."""

_OTHERS = (
    "y'|all y|all how|'d|'y not|'ve not|ve can|not gon|na got|ta let|'s c'm|on Can|not Gon|na Got|ta Let|'s C'm|on "
    "How|'d|'y Not|'ve Not|ve"
)
_WHOLE = (
    "and/or w/o ma'am Ma'am o'clock O'clock 's 'S ‘s ‘S 're 'd 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout 'em "
    "'ll 'nuff em ll nuff doin' goin' nothin' nuthin' ol' somethin' lovin' havin' Doin' Goin' Nothin' Nuthin' Ol' "
    "Somethin' Lovin' Havin' ' '' \\\") <space> C++ — \\t \\n"
)
_ABBREVIATIONS = (
    "Mt Ak Ala Apr Ariz Ark Aug Calif Colo Conn Dec Del Feb Fla Ga Ia Id Ill Ind Jan Jul Jun Kan Kans Ky La Mar Mass "
    "Mich Minn Miss N.C N.D N.H N.J N.M N.Y Neb Nebr Nev Nov Oct Okla Ore Pa S.C Sep Sept Tenn Va Wash Wis a.m Adm "
    "Bros co Co Corp D.C Dr e.g E.g E.G Gen Gov i.e I.e I.E Inc Jr Ltd Md Messrs Mo Mont Mr Mrs Ms p.m Ph.D Prof Rep "
    "Rev Sen St vs v.s"
)
_EMOTICONS = (
    "(-8 8) 8-) 8D 8-D xD XD xDD XDD ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o "
    "o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) :1 >:( >:o :o) (o: :} :-} "
    ":() :') :'-) :'( :'-( =) (= =( =/ =| =3 =D [= =] ]= ): )-: (: (-: [: [-: ;) ;-) (; (-; ;D ;-D"
)
_EYES, _NOSES = (":",), ("", "-")
_MOUTHS = (")", "))", ")))", "(", "((", "(((", "]", "/", "|", "P", "p", "O", "o", "0", "3", "*", ">", "X", "x", "D")


def special_words() -> dict[str, tuple[str, ...]]:
    """Return the pieces of each: one piece for what stays whole."""
    found: dict[str, tuple[str, ...]] = {}
    for pieces in (*_contractions(), *_times()):
        found["".join(pieces)] = pieces
    for word in _WORDS:
        found.pop(word, None)
        found.pop(word.title(), None)
    whole = [*_WHOLE.split(), *_EMOTICONS.split(), *(f"{word}." for word in _ABBREVIATIONS.split())]
    whole += [f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyzäöü"]
    whole += [f"{eyes}{nose}{mouth}" for eyes in _EYES for nose in _NOSES for mouth in _MOUTHS]
    found |= {word: (word,) for word in whole}
    return found | {_curly(word): tuple(map(_curly, pieces)) for word, pieces in found.items()}


def _curly(word: str) -> str:
    return word.replace("'", "’")


def _contractions() -> Iterator[tuple[str, ...]]:
    for stems, endings in (
        (("i",), ("m", "ma")),
        (_PRONOUNS, ("ll", "d", "ll've", "d've")),
        (("i", "you", "we", "they"), ("ve",)),
        (("you", "we", "they"), ("re",)),
        (("he", "she", "it"), ("s",)),
        (_QUESTIONS, ("s",)),
        ((*_QUESTIONS, *_PLURALS), ("ll", "ll've", "d", "d've")),
        ((*(word for word in _QUESTIONS if word not in ("that", "this")), *_PLURALS), ("re", "ve")),
        (_WITH_HAVE, ("ve",)),
    ):
        for stem in stems:
            for ending in endings:
                for word in (stem, stem.title()):
                    yield from _endings(word, ending)
    for stem in (*_WITH_NOT, "would", *_WITH_NOT_ALONE):
        for word in (stem, stem.title()):
            yield word, "n't"
            yield word, "nt"
            if stem not in _WITH_NOT_ALONE:
                yield word, "n't", "'ve"
                yield word, "nt", "ve"
    yield from (tuple(each.split("|")) for each in _OTHERS.split())


def _endings(word: str, ending: str) -> Iterator[tuple[str, ...]]:
    """Yield a word with its ending, with apostrophes and without: ("we", "'ll", "'ve") and ("we", "ll", "ve")."""
    if ending == "ma":
        yield word, "'m", "a"
        yield word, "m", "a"
        return
    parts = ending.split("'")
    yield (word, *(f"'{part}" for part in parts))
    if word.lower() + parts[0] not in ("whove", "thisd"):
        yield (word, *parts)


def _times() -> Iterator[tuple[str, ...]]:
    for hour in range(1, 13):
        for half in ("a.m.", "am", "p.m.", "pm"):
            yield str(hour), half
