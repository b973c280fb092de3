"""What `sparkprep peek` promises: true figures in bounded memory, every document, a terminal that stays as it was."""

import gzip
import io
import itertools
import statistics
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.cli import main
from sparkprep.console import safe_text
from sparkprep.llmc import header, hellaswag, hellaswag_questions, peek, peek_cli, shard, tokenizer_file
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import END_OF_TEXT

# End-of-text often, so that documents of all lengths and none come up.
SHARDS = st.lists(st.one_of(st.just(END_OF_TEXT), st.integers(0, 50_256), st.just(198)), max_size=60)


def cut(tokens: list[int]) -> list[tuple[int, list[int]]]:
    """(number, tokens) of each document, one token at a time; not the way of the code under test."""
    found: list[tuple[int, list[int]]] = [(0, [])]
    for token in tokens:
        if token == END_OF_TEXT:
            found.append((len(found), []))
        else:
            found[-1][1].append(token)
    return found if found[0][1] else found[1:]


def test_of_a_shard_on_s3_the_header_and_the_first_tokens_are_read_and_no_more(
    bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{bucket}/run/x_train_000001.bin"
    tokens = texts("first document", "second document", *["more"] * 500)
    shard.write(path, tokens)
    whole = said(capsys, path)
    assert "documents that begin here   502" in whole
    assert "read, and told of" not in whole
    monkeypatch.setattr(peek_cli, "_READ_OF_REMOTE", 8)
    assert len(shard.read_beginning(path, 8).tokens) == 8
    part = said(capsys, path)
    assert f"token shard, version 1, {len(tokens):,} tokens" in part
    assert f"its first 8 tokens; `aws s3 cp {path} .` brings all of it here" in part
    assert "first document" in part
    assert said(capsys, path, "--document", "1").endswith("first document\n")
    assert "document 400 does not lie within its first 8 tokens" in said(capsys, path, "--document", "400", code=2)


def texts(*parts: str) -> np.ndarray:
    """A shard's tokens of these documents."""
    tokenizer = Tokenizer()
    return np.concatenate([np.append([END_OF_TEXT], tokenizer.encode_one(part)) for part in parts]).astype(np.uint16)


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    """What `sparkprep peek WORDS` prints; for a mistake, its one line without "error: "."""
    assert main(["peek", *map(str, words)]) == code
    out, err = capsys.readouterr()
    if code != 2:
        assert err == ""
        return out
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").rstrip("\n")


@given(tokens=SHARDS, block=st.integers(1, 70))
def test_figures_and_documents_are_those_of_a_walk_through_the_tokens(tokens: list[int], block: int) -> None:
    expected = cut(tokens)
    given_tokens = np.array(tokens, np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peek, "BLOCK", block)
        found = peek.statistics(given_tokens)
        documents = list(peek.documents(given_tokens))
        each = [peek.document(given_tokens, number) for number in range(len(expected) + 2)]
    lengths = [len(content) for number, content in expected if number]
    assert (found.tokens, found.documents) == (len(tokens), len(lengths))
    assert found.continued == sum(len(content) for number, content in expected if not number)
    assert found.counts.tolist() == np.bincount(given_tokens, minlength=65_536).tolist()
    if lengths:
        assert found.lengths == peek.Lengths(
            min(lengths), statistics.median(lengths), sum(lengths) / len(lengths), max(lengths)
        )
    else:
        assert found.lengths is None
    assert [(one.number, tokens[one.start : one.end]) for one in documents] == expected
    by_number = {one.number: one for one in documents}
    assert each == [by_number.get(number) for number in range(len(each))]


def test_figures_take_memory_by_the_block_and_not_by_the_shard(tmp_path: Path) -> None:
    tokens = np.full(6 * peek.BLOCK, 7, np.uint16)
    tokens[::3] = END_OF_TEXT
    shard.write(str(tmp_path / "x.bin"), tokens)
    opened = shard.open_shard(str(tmp_path / "x.bin")).tokens
    del tokens
    peek.statistics(opened[:100])
    tracemalloc.start()
    peek.statistics(opened)
    peek.document(opened, 2 * peek.BLOCK)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 * peek.BLOCK


@given(st.text(max_size=200))
def test_text_that_a_terminal_shows_holds_nothing_that_steers_it(text: str) -> None:
    clean = safe_text(text, keep="\n\t")
    assert all(character in "\n\t" or (character >= " " and not "\x7f" <= character <= "\x9f") for character in clean)
    assert not set(clean) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")
    assert safe_text(clean, keep="\n\t") == clean
    if text.isprintable():
        assert clean == text


def test_text_is_whole_though_characters_spread_over_tokens_and_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "日本語 👩‍🚀 naïve café\n" * 5
    tokens = Tokenizer().encode_one(text)
    for size in (1, 2, 3, 1000):
        monkeypatch.setattr(peek, "_DECODED", size)
        assert "".join(peek.text(tokens)) == text
    assert "".join(peek.text(tokens[:1])) in ("日", "\ufffd")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(0, 40))
def test_a_beginning_is_that_of_the_whole_text(text: str, characters: int) -> None:
    tokens = Tokenizer().encode_one(text)
    whole = "".join(peek.text(tokens))
    assert peek.beginning(tokens, characters) == (whole[:characters], len(whole) > characters)


def test_a_shard_is_shown_with_figures_and_beginnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.bin"
    shard.write(str(path), texts("Hello world", "one two three", "x y " * 500, "the fourth"))
    shown = said(capsys, path)
    assert shown.startswith(f"{path}: token shard, version 1, ")
    assert "documents that begin here   4\n" in shown
    assert "min 2 · median 2.5 · mean " in shown
    assert "tokens before the first" not in shown
    assert '" x"' in shown
    assert '"<|endoftext|>"' in shown
    assert "--- document 1 · 2 tokens from position 1\nHello world\n" in shown
    assert "--- document 2 · 3 tokens from position 4\none two three\n" in shown
    assert f"\n{('x y ' * 100)} …\n" in shown
    assert "document 4" not in shown
    assert "the fourth" in said(capsys, path, "--documents", "9")
    assert "---" not in said(capsys, path, "--documents", "0")
    assert said(capsys, path, "--document", "3").endswith(f" tokens from position 8\n{'x y ' * 500}\n")


def test_a_shard_that_begins_within_a_document_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.bin"
    shard.write(str(path), texts("one two three", "four")[2:])
    shown = said(capsys, path)
    assert "tokens before the first     2, of a document of the shard before\n" in shown
    assert "--- document 0 (continued) · 2 tokens from position 0\n two three\n" in shown
    assert said(capsys, path, "--document", "0").endswith("\n two three\n")
    assert said(capsys, path, "--document", "2", code=2) == (
        f"{path}: no document 2; the shard has document 0 (continued) and documents 1 to 1"
    )


def test_a_document_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.bin"
    shard.write(str(path), texts("one", "two"))
    for number in (0, 3):
        line = said(capsys, path, "--document", str(number), code=2)
        assert line == f"{path}: no document {number}; the shard has documents 1 to 2"
    assert said(capsys, path, "--document", "-1", code=2) == "--document -1 is below 0; give 0 or more"
    shard.write(str(path), [])
    assert "0 tokens" in said(capsys, path)
    assert said(capsys, path, "--document", "1", code=2).endswith("the shard has none at all")


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.bin"
    evil = "a\x1b[31mred\x07\r\x9b2J\u202eabc\x00\ttab\nline"
    shard.write(str(path), texts(*[evil] * 3, *"\x1b\x1b\x1b\x1b\x1b"))
    clean = "a\\x1b[31mred\\x07\\r\\x9b2J\\u202eabc\\x00\ttab\nline\n"
    for words in ((), ("--document", "1")):
        shown = said(capsys, path, *words)
        assert clean in shown
        assert not set(shown) & set("\x1b\x07\r\x9b\u202e\x00")
    assert '"\\x1b"' in said(capsys, path)


def test_tokens_beyond_the_vocabulary_are_told_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = np.append(texts("one two"), np.array([50_257, 65_535, 50_257], np.uint16))
    (tmp_path / "x.bin").write_bytes(shard.header_bytes(len(tokens)) + tokens.tobytes())
    shown = said(capsys, tmp_path / "x.bin", code=1)
    assert "one two<|50257|><|65535|><|50257|>\n" in shown
    assert "FAILED: 3 tokens are none of GPT-2's 50,257, the first 50,257 at position 3; " in shown


def test_a_tokenizer_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.bin"
    tokenizer_file.write(str(path))
    first, *entries = said(capsys, path).splitlines()
    assert first == f"{path}: tokenizer file, version 2, 50,257 tokens, end-of-text is 50,256"
    assert entries[:2] == ['      0  "!"', '      1  """']
    assert len(entries) == 10
    whole = said(capsys, path, "--documents", "60000")
    assert whole.splitlines()[-1] == '  50256  "<|endoftext|>"'
    assert '  "\\n"\n' in whole
    assert '  "\\xff"\n' in whole  # a byte that is no UTF-8
    assert "\x1b" not in whole
    assert "has no documents; leave out --document 1" in said(capsys, path, "--document", "1", code=2)


def test_a_hellaswag_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.bin"
    asked = [
        hellaswag_questions.Question(f"He stands\x1b {n}", ("up.", "on a roof.", "still.", "by."), n % 4)
        for n in range(5)
    ]
    hellaswag.write(str(path), hellaswag_questions.tokenise(asked))
    shown = said(capsys, path)
    assert shown.startswith(f"{path}: HellaSwag file, version 1, 5 examples, the longest of ")
    assert shown.count("--- example") == 3
    assert "--- example 1 · context of 4 tokens, endings of 2, 4, 2, 2\nHe stands\\x1b 1\n" in shown
    assert "    0  up.\n  * 1  on a roof.\n    2  still.\n    3  by.\n" in shown
    last = said(capsys, path, "--document", "4")
    assert last.startswith("--- example 4 · ")
    assert last.count("---") == 1
    assert said(capsys, path, "--document", "5", code=2) == f"{path}: no example 5; it has 0 to 4"


def test_another_kind_of_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.bin"
    wanted = "not a token shard, tokenizer file or HellaSwag file of llm.c"
    for content, found in (
        (gzip.compress(shard.header_bytes(0), mtime=0), "it is gzip-compressed; unpack it first (gunzip)"),
        (header.pack(20240326, 5), "it is a model file of llm.c (model_*.bin); give another file"),
        (b"", "it is empty; make or copy it anew"),
    ):
        path.write_bytes(content)
        assert said(capsys, path, code=2) == f"{path}: {wanted}: {found}"
    assert "cannot be read" in said(capsys, tmp_path / "none.bin", code=2)
    shard.write(str(path), [1, 2, 3])
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut short" in said(capsys, path, code=2)


def test_what_the_terminal_cannot_show_comes_as_an_escape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    shard.write(str(path), texts("日本 café"))
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding="latin-1", write_through=True))
    assert main(["peek", str(path), "--document", "1"]) == 0
    assert held.getvalue().decode("latin-1").endswith("\\u65e5\\u672c café\n")


def test_documents_are_found_as_they_are_asked_for() -> None:
    tokens = np.full(4 * peek.BLOCK, END_OF_TEXT, np.uint16)
    assert [each.number for each in itertools.islice(peek.documents(tokens), 3)] == [1, 2, 3]
