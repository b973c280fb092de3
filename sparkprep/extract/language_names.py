"""What a language may be called where one is asked for: the detector's code, other codes of it, its English name.

Of ISO 639 each language has a code of two letters, or of three, of which some have two (`deu`, `ger`), and collections
have codes of their own for the language that most of their members write (`cmn` for `zh`). Tags of BCP 47 add script
and region, which the detector does not tell apart: `en-US` is `en`, `zh-Hant-TW` is `zh`.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sparkprep.extract.languages import LANGUAGES
from sparkprep.kinds import SomeOf

_NAMES = """
ace: acehnese, achinese
af: afr, afrikaans
am: amh, amharic
an: arg, aragonese
ar: ara, arb, arabic
ary: moroccan arabic
arz: egyptian arabic
as: asm, assamese
az: aze, azj, azerbaijani
ba: bak, bashkir
bcl: bik, central bikol, bikol
be: bel, belarusian
bg: bul, bulgarian
bn: ben, bengali, bangla
br: bre, breton
bs: bos, bosnian
ca: cat, catalan, valencian
crh: crimean tatar
cs: ces, cze, czech
cy: cym, wel, welsh
da: dan, danish
de: deu, ger, german
dz: dzo, dzongkha
el: ell, gre, greek, modern greek
en: eng, english
eo: epo, esperanto
es: spa, spanish, castilian
et: est, ekk, estonian
eu: eus, baq, basque
ext: extremaduran
fa: fas, per, pes, persian, farsi
fi: fin, finnish
fo: fao, faroese
fr: fra, fre, french
fuv: ff, ful, fulah, fulfulde, nigerian fulfulde
fy: fry, western frisian, frisian
ga: gle, irish
gcf: guadeloupean creole
gcr: guianese creole
gd: gla, scottish gaelic, gaelic
gl: glg, galician
gom: kok, goan konkani, konkani
grc: ancient greek
gu: guj, gujarati
gug: gn, grn, guarani
guw: gun
ha: hau, hausa
hbo: ancient hebrew
he: heb, iw, hebrew
hi: hin, hindi
hr: hrv, croatian
ht: hat, haitian, haitian creole
hu: hun, hungarian
hy: hye, arm, armenian
id: ind, in, indonesian
ig: ibo, igbo
is: isl, ice, icelandic
it: ita, italian
ja: jpn, japanese
jv: jav, javanese
ka: kat, geo, georgian
kab: kabyle
kik: ki, kikuyu
kk: kaz, kazakh
km: khm, khmer
kn: kan, kannada
ko: kor, korean
ku: kur, kmr, kurdish
ky: kir, kyrgyz, kirghiz
la: lat, latin
lb: ltz, luxembourgish
lg: lug, ganda, luganda
lij: ligurian
ln: lin, lingala
lo: lao
lt: lit, lithuanian
ltg: latgalian
lv: lav, lvs, latvian
mg: mlg, plt, malagasy
mk: mkd, mac, macedonian
ml: mal, malayalam
mn: mon, khk, mongolian
mr: mar, marathi
ms: msa, may, zsm, malay
mt: mlt, maltese
my: mya, bur, burmese
ne: nep, npi, nepali
nl: nld, dut, dutch, flemish
nn: nno, norwegian nynorsk, nynorsk
no: nor, nb, nob, norwegian, norwegian bokmal, bokmal
nso: northern sotho, pedi
oc: oci, occitan
om: orm, gaz, oromo
or: ori, ory, odia, oriya
pa: pan, punjabi, panjabi
pcm: nigerian pidgin
pl: pol, polish
ps: pus, pbt, pashto
pt: por, portuguese
qu: que, quy, quechua
ro: ron, rum, mo, romanian, moldovan
ru: rus, russian
rw: kin, kinyarwanda
sa: san, sanskrit
sdh: southern kurdish
se: sme, northern sami
si: sin, sinhala
sk: slk, slo, slovak
sl: slv, slovenian
sn: sna, shona
so: som, somali
sq: sqi, alb, als, albanian
sr: srp, serbian
st: sot, southern sotho, sotho
sv: swe, swedish
sw: swa, swh, swahili
ta: tam, tamil
te: tel, telugu
tg: tgk, tajik
th: tha, thai
tk: tuk, turkmen
tl: tgl, fil, tagalog, filipino
tr: tur, turkish
tt: tat, tatar
ug: uig, uyghur
uk: ukr, ukrainian
und: undetermined
ur: urd, urdu
uz: uzb, uzn, uzbek
uzs: southern uzbek
vec: venetian
vi: vie, vietnamese
vo: vol, volapuk
wa: wln, walloon
wuu: wu chinese
xh: xho, xhosa
yo: yor, yoruba
yue: cantonese
zh: zho, chi, cmn, chinese, mandarin
zu: zul, zulu
zxx: no language
"""
_SUBTAG = re.compile(r"[a-z]{4}|[a-z]{2}|\d{3}|[a-z0-9]{5,8}|\d[a-z0-9]{3}")
"""A script, a region or a variant."""
_EXTENDED = re.compile(r"([a-z]{2,3})-([a-z]{3})")
"""A language behind the one that it is counted among: zh-yue."""


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """Return what a language may be called -> the detector's code, all in lower case, words joined by hyphens."""
    codes = {code: code for code in LANGUAGES}
    for line in _NAMES.split("\n"):
        code, _, others = line.partition(": ")
        codes.update((name.replace(" ", "-"), code) for name in others.split(", ") if others)
    return codes


def code_of(word: str) -> str | None:
    """Return the detector's code for a language's code, tag or English name, in any case; None for an unknown one.

    >>> code_of("en-US"), code_of("ger"), code_of("Scottish Gaelic"), code_of("zh_TW"), code_of("klingon")
    ('en', 'de', 'gd', 'zh', None)
    """
    name = re.sub(r"[\s_-]+", "-", word.strip().lower())
    if name in _codes():
        return _codes()[name]
    extended = _EXTENDED.fullmatch(name)
    if extended and extended[2] in _codes():
        return _codes()[extended[2]]
    first, *rest = name.split("-")
    is_tag = 2 <= len(first) <= 3 and all(map(_SUBTAG.fullmatch, rest)) and len(word.split()) == 1
    return _codes().get(first) if is_tag else None


def _nearest(word: str) -> str:
    """Return the names that come nearest to a word, each with its code."""
    near = difflib.get_close_matches(word.strip().lower(), _codes(), n=6, cutoff=0.4)
    by_code = {_codes()[name]: name for name in reversed(near)}
    return ", ".join(code if name == code else f"{code} ({name})" for code, name in list(by_code.items())[::-1][:3])


@dataclass(frozen=True)
class Languages(SomeOf):
    """Languages, each once, as the detector's codes; given by any of their codes or names."""

    choices: tuple[str, ...] = LANGUAGES
    things: str = "codes of languages"

    def check(self, value: Any) -> tuple[str, ...]:
        """Return the codes, in the order given. Raises argparse.ArgumentTypeError for a language that is unknown."""
        if isinstance(value, str):  # names of two words may stand between commas too
            parts = [part.strip() for part in value.split(",")]
            words = [word for part in parts for word in ([part] if code_of(part) else part.split())]
            value = words or value
        return super().check(value)

    def _checked(self, word: Any) -> str:
        code = code_of(word) if isinstance(word, str) else None
        if code is None:
            near = _nearest(str(word))
            raise argparse.ArgumentTypeError(
                f"{word!r} is none of the {len(self.choices)} languages that are told apart"
                + (f"; the nearest are {near}" if near else "; write a code or an English name, as en, eng or English")
            )
        return code

    def __call__(self, word: str | Sequence[str]) -> tuple[str, ...]:
        """Return the codes that a word of the command line stands for."""
        return self.check(word)
