"""The language of a text, which texts are kept for it, and that every other is counted."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from pyspark.sql import SparkSession
from warc_files import answer, archive, html, record

from sparkprep.errors import UserError
from sparkprep.extract.language_model import language_model
from sparkprep.extract.language_names import _NAMES, code_of
from sparkprep.extract.languages import LANGUAGES, UNDETERMINED, language_of
from sparkprep.extract.pipeline import extract
from sparkprep.extract.settings import ExtractSettings

TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights, and should act in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren und sollen einander brüderlich begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits, et doivent agir fraternellement.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e direitos, e devem agir com fraternidade.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах и должны поступать в духе братства.",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق وعليهم أن يعامل بعضهم بعضاً بروح الإخاء",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "zxx": "deadbeef 8fa1c2d3 0x7fffe3a1 e3b0c442 98fc1c14 9afbf4c8 996fb924 27ae41e4 649b934c a495991b 7852b855",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_is_enough_to_know_its_language(code: str) -> None:
    assert language_of(TEXTS[code]).code == code
    assert language_of(TEXTS[code]).score >= 0.5


@pytest.mark.parametrize("text", ["", " \n", "ok", "?"])
def test_a_text_that_tells_nothing_is_in_no_language(text: str) -> None:
    assert language_of(text) == (UNDETERMINED, 0.0)


def test_a_long_text_is_judged_by_all_of_its_length() -> None:
    assert language_of(TEXTS["de"] + TEXTS["en"] * 1_000).code == "en"
    assert language_of(TEXTS["en"] + "x" * 5_000_000 + TEXTS["en"] * 50_000).code == "en"


def test_the_codes_are_those_of_the_model() -> None:
    assert set(LANGUAGES) == {*language_model().codes, UNDETERMINED}


def test_the_compiled_pass_says_what_py3langid_says() -> None:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    pieces = [text[start : start + 40] for text in TEXTS.values() for start in range(0, 100, 7)]
    for text in [*pieces, *map(str.upper, pieces), "e\u0301te\u0301 \ud800 et apre\u0300s", *TEXTS.values()]:
        code, score = language_model().classify(text)
        expected, confidence = identifier.classify(text)
        assert abs(score - confidence) < 0.005
        assert code == expected or score < 0.02


@pytest.mark.parametrize(
    ("word", "nearest"), [("germn", r"de \(german\)"), ("enlish", r"en \(english\)"), ("", "empty"), (7, "names no")]
)
def test_an_unknown_language_is_refused_and_the_nearest_are_named(word: Any, nearest: str) -> None:
    with pytest.raises(UserError, match=rf"language: .*{nearest}"):
        ExtractSettings(language=word)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("en,de", "en de"),
        ("en de", "en de"),
        (["en", "de"], "en de"),
        ("eng", "en"),
        ("EN-us, Pt_BR", "en pt"),
        ("zh-cn", "zh"),
        ("zh-Hant-TW", "zh"),
        ("zh-yue", "yue"),
        ("German", "de"),
        ("cze,fil,nb,iw", "cs tl no he"),
        ("Scottish Gaelic, no language", "gd zxx"),
        (["Haitian Creole"], "ht"),
    ],
)
def test_a_language_may_be_called_by_any_of_its_codes_and_by_name(words: Any, codes: str) -> None:
    assert ExtractSettings(language=words).language == tuple(codes.split())


def test_one_language_by_two_names_is_given_twice() -> None:
    with pytest.raises(UserError, match="'en' is given twice"):
        ExtractSettings(language="en,English")


def test_no_name_stands_for_two_languages_and_every_code_is_itself() -> None:
    names = [name for line in _NAMES.split("\n") for name in line.replace(": ", ", ").split(", ") if name]
    assert len(names) == len(set(names))
    assert [code_of(code) for code in LANGUAGES] == list(LANGUAGES)
    assert {line.partition(":")[0] for line in _NAMES.split("\n")} - {""} == set(LANGUAGES)


def test_a_score_without_a_language_is_refused() -> None:
    with pytest.raises(UserError, match="says nothing without"):
        ExtractSettings(language_score=0.8)


@pytest.mark.parametrize("fields", [{"site_pages": 3}, {"site_share": 0.9}])
def test_a_setting_of_what_is_not_done_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="says nothing without site_boilerplate='remove'"):
        ExtractSettings(**fields)
    assert ExtractSettings(site_boilerplate="remove", **fields)


def pages(spark: SparkSession, folder: Path, **settings: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Extract a page and a record of WET in each language; return metrics and documents."""
    texts = [f"{text} " * 3 for text in TEXTS.values()]
    records = [record("response", answer(html(n, text)), f"https://example.org/{n}") for n, text in enumerate(texts)]
    records += [record("conversion", text.encode(), WARC_Identified_Content_Language="spa") for text in texts]
    (folder / "a.warc.gz").write_bytes(archive(records))
    metrics = extract(spark, [str(folder / "a.warc.gz")], str(folder / "out"), ExtractSettings(**settings))
    return metrics, pq.read_table(folder / "out" / "documents").to_pylist()


def test_decision_score_and_declaration_are_columns(spark: SparkSession, tmp_path: Path) -> None:
    metrics, documents = pages(spark, tmp_path)
    assert [row["language"] for row in documents] == list(TEXTS) * 2
    assert [row["declared_language"] for row in documents] == ["en"] * len(TEXTS) + ["spa"] * len(TEXTS)
    assert all(0.5 <= row["language_score"] <= 1 for row in documents)
    assert metrics["languages"] == dict.fromkeys(sorted(TEXTS), 2)
    assert metrics["other_languages"] == {}


def test_documents_in_other_languages_are_counted_and_not_kept(spark: SparkSession, tmp_path: Path) -> None:
    metrics, documents = pages(spark, tmp_path, language="en,ja")
    assert [row["language"] for row in documents] == ["en", "ja"] * 2
    others = {code: 2 for code in sorted(TEXTS) if code not in ("en", "ja")}
    assert (metrics["languages"], metrics["other_languages"]) == ({"en": 2, "ja": 2}, others)
    assert metrics["without_document"] == {"other language": sum(others.values())}


def test_a_document_below_the_score_is_not_kept(spark: SparkSession, tmp_path: Path) -> None:
    metrics, documents = pages(spark, tmp_path, language="zxx", language_score=1.0)
    assert all(row["language_score"] == 1 for row in documents)
    assert metrics["without_document"]["other language"] == 2 * len(TEXTS) - len(documents)
