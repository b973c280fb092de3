"""GPT-2's ids: what tiktoken says, on every kind of text, whichever engine gives them."""

import hashlib
import sys
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
from gpt2_bytes import decode
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.tokenizer import bpe, tokenizer, vocabulary
from sparkprep.tokenizer.tokenizer import SELF_CHECK_SHA256, Tokenizer, self_check_strings
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, PATTERN

FAST = Tokenizer("fastokens")
TEXT = st.text(max_size=60)
TRAPS = st.lists(
    st.sampled_from([*self_check_strings(), "\u0130", "ΑΣ", "\u1e9e", "\U0001f468", "\u200d", "🏽", "\U000e0041"]),
    max_size=6,
).map("".join)


@pytest.fixture(scope="module")
def authority() -> tiktoken.Encoding:
    return tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=dict(vocabulary.ranks()), special_tokens={"<|endoftext|>": END_OF_TEXT}
    )


def encode(texts: list[str | None], engine: Tokenizer = FAST) -> list[list[int]]:
    ids, offsets = engine.encode(pa.array(texts, pa.string()))
    assert ids.dtype == np.uint16
    return [ids[start:end].tolist() for start, end in pairwise(offsets)]


@pytest.fixture
def fresh_engines() -> Iterator[None]:
    tokenizer._engine.cache_clear()
    yield
    tokenizer._engine.cache_clear()


def test_the_known_example() -> None:
    text = "Hello world, it's 2024!\n\n  def f(x):"
    assert FAST.encode_one(text).tolist() == [15496, 995, 11, 340, 338, 48609, 0, 628, 220, 825, 277, 7, 87, 2599]


def test_every_code_point_alone_and_among_others_is_encoded_as_tiktoken_does(authority: tiktoken.Encoding) -> None:
    assigned = [chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) not in ("Cn", "Cs", "Co")]
    among = [f"{c}a{c}1{c} {c}'{c}s  {c}\n{c}" for c in assigned]
    for texts in (assigned, among):
        assert encode(list(texts)) == [authority.encode_ordinary(text) for text in texts]


@given(TEXT | TRAPS)
def test_any_text_is_encoded_as_tiktoken_does(authority: tiktoken.Encoding, text: str) -> None:
    expected = authority.encode_ordinary(text)
    assert FAST.encode_one(text).tolist() == expected
    assert bpe.encode(text) == expected


@given(TEXT)
def test_ids_decode_to_the_text(text: str) -> None:
    assert decode(FAST.encode_one(text)).decode() == text


def test_end_of_text_written_out_is_text(authority: tiktoken.Encoding) -> None:
    ids = FAST.encode_one("a<|endoftext|>b").tolist()
    assert END_OF_TEXT not in ids
    assert ids == authority.encode_ordinary("a<|endoftext|>b")


@pytest.mark.parametrize("engine", ["fastokens", "tiktoken"])
def test_a_million_blanks_are_encoded_by_the_definition(engine: str) -> None:
    blanks = " " * 1_000_000
    assert Tokenizer(engine).encode_one(blanks).tolist() == bpe.encode(blanks)


def test_a_megabyte_without_a_blank_is_encoded_as_tiktoken_does(authority: tiktoken.Encoding) -> None:
    letters = np.random.default_rng(1).choice(list("etaoinshrdlu"), 1_000_000)
    text = "".join(letters)
    assert FAST.encode_one(text).tolist() == authority.encode_ordinary(text)


@pytest.mark.slow
def test_ten_megabytes_without_a_blank_are_encoded_as_tiktoken_does(authority: tiktoken.Encoding) -> None:
    text = "".join(np.random.default_rng(2).choice(list("etaoinshrdlué中"), 10_000_000))
    assert FAST.encode_one(text).tolist() == authority.encode_ordinary(text)


def test_the_self_check_is_what_tiktoken_says() -> None:
    ids = np.concatenate([Tokenizer("tiktoken").encode_one(text) for text in self_check_strings()])
    assert hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest() == SELF_CHECK_SHA256


def test_nulls_empty_texts_and_slices_keep_their_places() -> None:
    texts = pa.array(["left out", "one", None, "", "two words", "left out"])
    ids, offsets = FAST.encode(texts.slice(1, 4))
    assert offsets.tolist() == [0, 1, 1, 1, 3]
    assert decode(ids) == b"onetwo words"
    assert FAST.encode(pa.array([], pa.string()))[1].tolist() == [0]


def test_bytes_that_are_no_utf_8_count_as_the_replacement_character() -> None:
    broken = pa.array([b"caf\xe9", b"fine"]).view(pa.string())
    ids, offsets = FAST.encode(broken)
    assert decode(ids[: offsets[1]]).decode() == "caf\ufffd"


def test_a_batch_larger_than_a_slice_is_encoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str | None] = [f"document number {n}" for n in range(50)]
    expected = encode(texts)
    monkeypatch.setattr(tokenizer, "SLICE_BYTES", 40)
    assert encode(texts) == expected


@pytest.mark.usefixtures("fresh_engines")
def test_without_fastokens_tiktoken_works_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fastokens", None)
    engines = [Tokenizer(), Tokenizer()]
    assert {engine.engine for engine in engines} == {"tiktoken"}
    assert capsys.readouterr().err.count("fastokens is not installed") == 1
    assert engines[0].encode_one("Hello world").tolist() == [15496, 995]


@pytest.mark.usefixtures("fresh_engines")
def test_an_engine_that_gives_other_ids_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tokenizer._fastokens()

    def one_off(texts: list[str]) -> tuple[tokenizer.Ids, tokenizer.Offsets]:
        ids, offsets = wrong(texts)
        ids = ids.copy()
        ids[-1] += 1
        return ids, offsets

    monkeypatch.setattr(tokenizer, "_fastokens", lambda: one_off)
    assert Tokenizer().engine == "tiktoken"
    assert "other ids than tiktoken" in capsys.readouterr().err


def test_a_damaged_vocabulary_is_refused() -> None:
    with pytest.raises(UserError, match=r"gpt2\.bpe: not GPT-2's vocabulary.*install"):
        vocabulary.check(b"#version: 0.2\na b\n", "gpt2.bpe")


def test_the_vocabulary_in_its_one_file_form_has_the_hash_that_tiktoken_knows() -> None:
    import base64

    lines = b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(vocabulary.tokens()))
    expected = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
    assert hashlib.sha256(lines).hexdigest() == expected
