"""What `sparkprep convert` promises: files that are whole, nothing overwritten unasked, one line for a mistake."""

import gzip
import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from sparkprep.cli import main
from sparkprep.llmc import hellaswag, shakespeare, shard, tokenizer_file

QUESTION = {"ctx": "He stands", "label": 1, "endings": ["up.", "on a roof.", "still.", "by."]}


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    """What `sparkprep convert WORDS` prints; for a mistake, its one line without "error: "."""
    assert main(["convert", *map(str, words)]) == code
    out, err = capsys.readouterr()
    if code == 0:
        assert out.count("\n") == 1
        return out.rstrip("\n")
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").rstrip("\n")


def questions(path: Path, count: int = 2) -> Path:
    content = "".join(json.dumps(QUESTION) + "\n" for _ in range(count)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def play(lines: int = 9_000) -> str:
    """Text of more than 32,768 tokens, in sections with blank lines between."""
    draw = random.Random(1)
    words = ("thou", "art", "a", "king", "of", "France", "and", "I", "knew", "it")
    return "\n".join("" if n % 7 == 6 else " ".join(draw.choices(words, k=5)) for n in range(lines)) + "\n"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_the_tokenizer_is_written_and_its_hash_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.bin"
    assert said(capsys, "tokenizer", out) == f"{out}: 50,257 tokens, SHA-256 {tokenizer_file.SHA256}"
    assert hashlib.sha256(out.read_bytes()).hexdigest() == tokenizer_file.SHA256


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz"])
def test_hellaswag_is_written_and_what_it_needs_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "h.bin"
    line = said(capsys, "hellaswag", questions(tmp_path / name), out)
    assert line.startswith(f"{out}: 2 examples, the longest of ")
    longest = max(each.longest_row for each in hellaswag.read(str(out)))
    assert f"a sequence length (-t) above {longest} and a batch (-b) of 4 or more" in line
    assert [each.index for each in hellaswag.read(str(out))] == [0, 1]


def test_shakespeare_is_cut_into_val_and_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = play()
    (tmp_path / "in.txt").write_text(text)
    folder = tmp_path / "new" / "data"
    line = said(capsys, "shakespeare", tmp_path / "in.txt", folder)
    assert names(folder) == ["tiny_shakespeare_train.bin", "tiny_shakespeare_val.bin"]
    val = shard.open_shard(f"{folder}/tiny_shakespeare_val.bin").tokens
    train = shard.open_shard(f"{folder}/tiny_shakespeare_train.bin").tokens
    assert len(val) == 32_768
    assert line == f"{folder}: {len(train):,} tokens to train and 32,768 to validate"
    assert np.array_equal(np.concatenate([val, train]), shakespeare.tokenise(text))


def test_each_section_is_preceded_by_end_of_text_and_keeps_its_blank_line() -> None:
    assert shakespeare.sections("a\n\nb\n\n\nc") == ["a\n\n", "b\n\n", "\nc"]
    assert shakespeare.sections("a\n\n") == ["a\n\n", ""]
    assert shakespeare.tokenise("a\n\nb").tolist() == [50256, 64, 628, 50256, 65]
    assert shakespeare.tokenise("").tolist() == [50256]


def test_line_ends_of_windows_make_no_difference(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"a\r\n\r\nb\rc\n")
    assert shakespeare.read_text(str(tmp_path / "in.txt")) == "a\n\nb\nc\n"


def test_what_exists_is_replaced_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = questions(tmp_path / "q.jsonl")
    (tmp_path / "in.txt").write_text(play())
    for words, made in (
        (("tokenizer", tmp_path / "o.bin"), tmp_path / "o.bin"),
        (("hellaswag", source, tmp_path / "o.bin"), tmp_path / "o.bin"),
        (("shakespeare", tmp_path / "in.txt", tmp_path), tmp_path / "tiny_shakespeare_val.bin"),
    ):
        made.write_bytes(b"mine")
        before = names(tmp_path)
        line = said(capsys, *words, code=2)
        assert line == f"{made} exists; pass --overwrite to replace it or name another output"
        assert made.read_bytes() == b"mine"
        assert names(tmp_path) == before
        said(capsys, *words, "--overwrite")
        assert made.read_bytes() != b"mine"


def test_the_input_is_never_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = questions(tmp_path / "q.jsonl")
    (tmp_path / "link").symlink_to(source)
    for out in (source, tmp_path / "link"):
        line = said(capsys, "hellaswag", source, out, "--overwrite", code=2)
        assert line == f"{out} is the input itself; name another output"


def test_mistakes_are_named_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert said(capsys, "tokenizer", out, code=2) == f"{out} is a folder; name a file in it"
    empty = questions(tmp_path / "q.jsonl", 0)
    assert said(capsys, "hellaswag", empty, out / "h.bin", code=2).startswith(f"{empty}: no question in it")
    (tmp_path / "bad.jsonl").write_text(json.dumps(QUESTION) + "\n{}\n")
    line = said(capsys, "hellaswag", tmp_path / "bad.jsonl", out / "h.bin", code=2)
    assert line.startswith(f"{tmp_path}/bad.jsonl: line 2: no 'ctx' and no 'endings' and no 'label'; ")
    (tmp_path / "short.txt").write_text("a\n\nb")
    line = said(capsys, "shakespeare", tmp_path / "short.txt", out, code=2)
    assert line.startswith(f"{tmp_path}/short.txt: too short: 5 tokens, and the first 32,768 are for validation")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    line = said(capsys, "shakespeare", tmp_path / "latin.txt", out, code=2)
    assert line == f"{tmp_path}/latin.txt: not UTF-8 text: invalid at byte 3; convert it to UTF-8 first (iconv)"
    (tmp_path / "packed.txt").write_bytes(gzip.compress(b"a"))
    line = said(capsys, "shakespeare", tmp_path / "packed.txt", out, code=2)
    assert line == f"{tmp_path}/packed.txt: not UTF-8 text: it is gzip-compressed; unpack it first (gunzip)"
    assert "cannot be read" in said(capsys, "shakespeare", tmp_path / "none.txt", out, code=2)
    (tmp_path / "in.txt").write_text(play())
    line = said(capsys, "shakespeare", tmp_path / "in.txt", tmp_path / "in.txt", code=2)
    assert line.startswith(f"{tmp_path}/in.txt")
    assert names(out) == []


def test_a_traceback_is_shown_under_debug_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "tokenizer", str(tmp_path), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["hellaswag", "--help"]])
def test_help_is_there_for_the_verb_and_each_kind(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["convert", *words])
    assert ended.value.code == 0
    assert "hellaswag" in capsys.readouterr().out
