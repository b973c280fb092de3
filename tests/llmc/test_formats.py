"""What the file formats promise: llm.c's bytes, read back the same, and a way out of each kind of bad file."""

import gzip
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.llmc import header, hellaswag, hellaswag_questions, shard, tokenizer_file
from sparkprep.llmc.hellaswag import Example
from sparkprep.llmc.hellaswag_questions import Question
from sparkprep.tokenizer import vocabulary

TOKENS = st.lists(st.integers(0, 50_256), max_size=300)


def put(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def head(*fields: int) -> bytes:
    """A header, spelled out here rather than by the code under test."""
    return struct.pack("<256i", *fields, *[0] * (256 - len(fields)))


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def message(work: Callable[[], Any], path: str) -> str:
    """What the error of `work` says after the file's name, which must come first."""
    with pytest.raises(UserError) as caught:
        work()
    text = str(caught.value)
    assert text.startswith(path)
    assert "\n" not in text
    return text.removeprefix(path).removeprefix(": ")


@given(tokens=TOKENS)
def test_a_shard_is_read_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, tokens: list[int]) -> None:
    path = str(tmp_path_factory.mktemp("shard") / "x.bin")
    shard.write(path, np.array(tokens, np.uint16))
    opened = shard.open_shard(path)
    assert opened.tokens.dtype == np.dtype("<u2")
    assert opened.tokens.tolist() == tokens
    assert opened.header == shard.read_header(path) == shard.ShardHeader(1, len(tokens))


def test_a_shard_has_the_bytes_that_llm_c_reads(tmp_path: Path) -> None:
    shard.write(str(tmp_path / "x.bin"), [50256, 0, 258])
    assert (tmp_path / "x.bin").read_bytes() == head(20240520, 1, 3) + b"\x50\xc4\x00\x00\x02\x01"
    assert shard.header_bytes(3) == head(20240520, 1, 3)


def test_the_tokens_of_an_opened_shard_cannot_be_changed(tmp_path: Path) -> None:
    for tokens in ([1], []):
        shard.write(str(tmp_path / "x.bin"), tokens)
        assert not shard.open_shard(str(tmp_path / "x.bin")).tokens.flags.writeable


def test_a_shard_stays_below_2_gib() -> None:
    assert len(shard.header_bytes(shard.MAX_TOKENS)) + 2 * shard.MAX_TOKENS < 2**31
    for count in (shard.MAX_TOKENS + 1, -1):
        with pytest.raises(ValueError, match="do not fit"):
            shard.header_bytes(count)


def test_a_shard_with_a_token_beyond_the_vocabulary_is_not_written(tmp_path: Path) -> None:
    shard.write(str(tmp_path / "x.bin"), [1, 2])
    before = (tmp_path / "x.bin").read_bytes()
    tokens = np.arange(70_000) % 50_257
    tokens[[60_001, 60_005]] = (50_257, 65_535)
    for worse in (tokens, tokens.astype(np.uint16)):
        said = message(lambda worse=worse: shard.write(str(tmp_path / "x.bin"), worse), f"{tmp_path}/x.bin")
        assert said.startswith("the token at position 60,001 is 50,257, and GPT-2's are 0 to 50,256; ")
    tokens[5] = -1
    assert "position 5 is -1" in message(lambda: shard.write(f"{tmp_path}/x.bin", tokens), f"{tmp_path}/x.bin")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x.bin", before)]


def test_a_bad_token_is_found_in_any_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "_BLOCK", 3)
    for at in range(7):
        tokens = np.zeros(7, np.uint16)
        tokens[at:] = 50_257
        assert f"position {at} is 50,257" in message(lambda tokens=tokens: shard.check_tokens("x.bin", tokens), "x.bin")
    shard.check_tokens("x.bin", np.full(7, 50_256, np.uint16))


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")

    def chunks() -> Any:
        yield b"new"
        raise OSError(28, "No space left on device")

    assert "No space left" in message(lambda: header.write(str(path), chunks()), str(path))
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x.bin", b"old")]


def test_a_shard_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = f"{tmp_path}/no/x.bin"
    assert "cannot be written: No such file or directory" in message(lambda: shard.write(path, [1]), path)


READERS: dict[str, Callable[[str], Any]] = {
    "a token shard": shard.read_header,
    "a tokenizer file": tokenizer_file.read,
    "a HellaSwag file": hellaswag.read_header,
}
MAGICS = {
    20240520: "a token shard of llm.c for GPT-2",
    20240801: "a token shard of llm.c for Llama 3",
    20240326: "a model file of llm.c",
    20240327: "a debug state of llm.c",
    20240527: "a training state of llm.c",
    20240328: "a tokenizer file of llm.c",
    20240522: "an evaluation file of llm.c",
}
OWN = {"a token shard": 20240520, "a tokenizer file": 20240328, "a HellaSwag file": 20240522}


@pytest.mark.parametrize("wanted", READERS)
@pytest.mark.parametrize("magic", MAGICS)
def test_another_file_of_llm_c_is_recognised(tmp_path: Path, wanted: str, magic: int) -> None:
    if magic == OWN[wanted]:
        return
    path = put(tmp_path / "x.bin", head(magic, 1, 10) + bytes(20))
    assert message(lambda: READERS[wanted](path), path).startswith(f"not {wanted}: it is {MAGICS[magic]}")


@pytest.mark.parametrize("wanted", READERS)
@pytest.mark.parametrize(
    ("content", "found", "advice"),
    [
        (b"", "empty", "make or copy it anew"),
        (gzip.compress(head(20240520, 1, 0), mtime=0), "gzip-compressed", "unpack it first (gunzip)"),
        (zstandard.compress(head(20240520, 1, 0)), "zstd-compressed", "unpack it first (unzstd)"),
        (b"PAR1" + bytes(100), "a Parquet file", "sparkprep tokenize"),
        (b"PK\x03\x04" + bytes(100), "a zip archive", "give another file"),
        (b"\x93NUMPY\x01\x00", "a NumPy array", "give another file"),
        (b'{"text": "a"}\n', "JSON", "sparkprep convert hellaswag "),
        (("é" * 1000).encode(), "plain text", "sparkprep convert shakespeare "),
        (b"a" + ("é" * 1000).encode(), "plain text", "sparkprep convert shakespeare "),
        (struct.pack(">256i", 20240520, *[0] * 255), "of an unknown kind (its first bytes are 01 34", "anew"),
        (words(50256, 1, 2, 3), "of an unknown kind (its first bytes are 50 c4 01 00", "without a header"),
        (b"\xff", "of an unknown kind (its first bytes are ff)", "anew"),
        (b"ab\x00\x01", "of an unknown kind", "anew"),
    ],
)
def test_a_file_of_another_kind_is_recognised(
    tmp_path: Path, wanted: str, content: bytes, found: str, advice: str
) -> None:
    path = put(tmp_path / "x.bin", content)
    said = message(lambda: READERS[wanted](path), path)
    assert said.startswith(f"not {wanted}: it is {found}")
    assert advice in said


@given(st.binary(max_size=64))
def test_anything_can_be_described(content: bytes) -> None:
    assert "it is " in str(header.wrong_kind("x", content, "a shard"))


@pytest.mark.parametrize("wanted", READERS)
def test_a_header_cut_short_is_named(tmp_path: Path, wanted: str) -> None:
    path = put(tmp_path / "x.bin", head(OWN[wanted], 1, 0)[:1023])
    assert "cut short: 1,023 bytes, fewer than its header of 1,024" in message(lambda: READERS[wanted](path), path)


@pytest.mark.parametrize("wanted", READERS)
def test_an_unknown_version_is_named(tmp_path: Path, wanted: str) -> None:
    path = put(tmp_path / "x.bin", head(OWN[wanted], 7, 0))
    assert message(lambda: READERS[wanted](path), path).startswith(f"{wanted} of version 7, and only 1")


@pytest.mark.parametrize("wanted", READERS)
def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, wanted: str) -> None:
    for path in (f"{tmp_path}/none.bin", str(tmp_path)):
        assert "cannot be read" in message(lambda path=path: READERS[wanted](path), path)


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (head(20240520, 1, 3) + words(1, 2), "cut short: 1,028 bytes, while its header tells 3 tokens"),
        (head(20240520, 1, 3) + words(1, 2) + b"\x01", "cut short: 1,029 bytes"),
        (head(20240520, 1, 3) + words(1, 2, 3) + b"\x01", "too long: 1,031 bytes"),
        (head(20240520, 1, 0) + words(1), "too long: 1,026 bytes"),
        (head(20240520, 1, -1), "its header tells -1 tokens"),
        (head(20240520, 1, 2**31 - 1), "its header tells 2,147,483,647 tokens, and a shard holds 0 to 1,073,741,311"),
    ],
)
def test_a_shard_whose_size_is_not_that_of_its_header_is_refused(tmp_path: Path, content: bytes, how: str) -> None:
    path = put(tmp_path / "x.bin", content)
    for read in (shard.read_header, shard.open_shard):
        assert message(lambda read=read: read(path), path).startswith(how)


def test_the_tokenizer_file_is_that_of_llm_c(tmp_path: Path) -> None:
    path = str(tmp_path / "t.bin")
    tokenizer_file.write(path)
    content = (tmp_path / "t.bin").read_bytes()
    assert hashlib.sha256(content).hexdigest() == tokenizer_file.SHA256
    assert content[:1024] == head(20240328, 2, 50257, 50256)
    found = tokenizer_file.read(path)
    assert (found.version, found.end_of_text) == (2, 50256)
    assert found.tokens == (*vocabulary.tokens(), b"<|endoftext|>")


def test_a_tokenizer_file_of_version_1_has_the_end_of_text_of_gpt_2(tmp_path: Path) -> None:
    tokenizer_file.write(str(tmp_path / "t.bin"))
    content = (tmp_path / "t.bin").read_bytes()
    path = put(tmp_path / "old.bin", head(20240328, 1, 50257) + content[1024:])
    assert tokenizer_file.read(path).end_of_text == 50256
    assert tokenizer_file.read(path).tokens == tokenizer_file.read(f"{tmp_path}/t.bin").tokens


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (head(20240328, 2, 2, 1) + b"\x01a", "cut short at token 1 of 2"),
        (head(20240328, 2, 2, 1) + b"\x01a\x02b", "cut short at token 1 of 2"),
        (head(20240328, 2, 2, 1) + b"\x01a\x01b!", "too long: 1 bytes follow the last of 2 tokens"),
        (head(20240328, 2, 9, 1) + b"\x01a", "its header tells 9 tokens, which 1,026 bytes cannot hold"),
        (head(20240328, 2, -1, 0), "its header tells -1 tokens"),
        (head(20240328, 2, 2, 2) + b"\x01a\x01b", "end-of-text is 2, and there are 2 tokens"),
        (head(20240328, 1, 2) + b"\x01a\x01b", "end-of-text is 50,256, and there are 2 tokens"),
    ],
)
def test_a_broken_tokenizer_file_is_refused(tmp_path: Path, content: bytes, how: str) -> None:
    path = put(tmp_path / "t.bin", content)
    assert message(lambda: tokenizer_file.read(path), path).startswith(how)


GOOD = {"ctx": "A man is sitting on a roof. he", "label": 3, "endings": ["jumps.", "sings.", "falls é.", "sleeps."]}


def lines(path: Path, *rows: Any) -> str:
    """JSON Lines of rows (bytes as they are), compressed by the name."""
    content = b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)
    return put(path, pack(content))


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz", "q.jsonl.zst", "q.json"])
def test_questions_are_read_whatever_the_compression(tmp_path: Path, name: str) -> None:
    path = lines(tmp_path / name, {**GOOD, "ind": 24}, b" ", {**GOOD, "label": "0"})
    context, endings = str(GOOD["ctx"]), ("jumps.", "sings.", "falls é.", "sleeps.")
    assert list(hellaswag_questions.read_questions(path)) == [
        Question(context, endings, 3),
        Question(context, endings, 0),
    ]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"ctx": "a", "endings": list("abcd")}, "no 'label' (the test split has none)"),
        ({**GOOD, "label": ""}, "no 'label' (the test split has none)"),
        ({"ctx": "a"}, "no 'endings' and no 'label'"),
        ({**GOOD, "ctx": ""}, "no 'ctx'"),
        ({**GOOD, "ctx": None}, "no 'ctx'"),
        ({**GOOD, "ctx": 7}, "'ctx' is a number, not a string"),
        ({**GOOD, "endings": ["a", "b", "c"]}, "'endings' has 3 entries, not 4"),
        ({**GOOD, "endings": list("abcde")}, "'endings' has 5 entries, not 4"),
        ({**GOOD, "endings": ["a", "b", "c", 4]}, "'endings' is not a list of strings"),
        ({**GOOD, "endings": "abcd"}, "'endings' is not a list of strings"),
        ({**GOOD, "label": 4}, "'label' is 4, not 0 to 3"),
        ({**GOOD, "label": -1}, "'label' is -1, not 0 to 3"),
        ({**GOOD, "label": True}, "'label' is True, not 0 to 3"),
        ({**GOOD, "label": 1.0}, "'label' is 1.0, not 0 to 3"),
        (b'{"ctx": "a", ', "not valid JSON ("),
        (b"[1]", "not a JSON object but a list"),
        (b'{"ctx": "\xff"}', "invalid UTF-8 at byte 10 of the line"),
        (b'{"ctx": "\\ud800"}', "lone surrogate in a string"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, row: Any, why: str) -> None:
    path = lines(tmp_path / "q.jsonl.gz", GOOD, b"", row)
    said = message(lambda: list(hellaswag_questions.read_questions(path)), path)
    assert said.startswith(f"line 3: {why}")
    assert said.endswith("; mend the line or get the file anew")


def test_questions_in_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    def said(path: str) -> str:
        return message(lambda: list(hellaswag_questions.read_questions(path)), path)

    assert said(lines(tmp_path / "q.txt", GOOD)).startswith("HellaSwag is read as JSON Lines; name it .jsonl")
    content = gzip.compress(json.dumps(GOOD).encode())
    assert said(put(tmp_path / "packed.jsonl", content)).startswith("not JSON Lines: it is gzip-compressed; unpack")
    assert said(put(tmp_path / "cut.jsonl.gz", content[:-12])).startswith("compressed file cut short or damaged")
    assert "cannot be read" in said(f"{tmp_path}/none.jsonl")


PARTS = st.lists(st.integers(0, 50_256), max_size=20).map(lambda ids: np.array(ids, np.uint16))


@given(st.lists(st.tuples(st.integers(0, 3), PARTS, PARTS, PARTS, PARTS, PARTS), min_size=1, max_size=5))
@settings(max_examples=50)
def test_examples_are_read_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    path = str(tmp_path_factory.mktemp("examples") / "h.bin")
    given_examples = [Example(n, label, context, tuple(rest)) for n, (label, context, *rest) in enumerate(rows)]
    written = hellaswag.write(path, given_examples)
    found = list(hellaswag.read(path))
    assert [plain(each) for each in found] == [plain(each) for each in given_examples]
    assert [each.longest_row for each in found] == [each.longest_row for each in given_examples]
    assert hellaswag.read_header(path) == written
    assert written.longest_bytes == max(20 + 2 * sum(len(part) for part in parts) for _, *parts in rows)


def plain(example: Example) -> Any:
    return example.index, example.label, example.context.tolist(), [ending.tolist() for ending in example.endings]


def test_a_hellaswag_file_has_the_bytes_that_llm_c_reads(tmp_path: Path) -> None:
    question = Question("Hello world", ("a", "b c", "d", ""), 2)
    examples = hellaswag_questions.tokenise([question, question])
    hellaswag.write(str(tmp_path / "h.bin"), examples)
    endings = [1, 257, 2, 275, 269, 1, 288, 1, 220]  # " a", " b c", " d", " "
    first = words(65535, 34, 0, 2, 4, 2, 15496, 995, *endings)
    second = words(65535, 34, 1, 2, 4, 2, 15496, 995, *endings)
    expected = head(20240522, 1, 2, 34) + first + second
    assert (tmp_path / "h.bin").read_bytes() == expected


def test_limits_of_the_format_are_told(tmp_path: Path) -> None:
    path = str(tmp_path / "h.bin")
    small = np.zeros(1, np.uint16)
    long = Example(7, 0, np.zeros(32_764, np.uint16), (small,) * 4)
    assert message(lambda: hellaswag.write(path, [long]), path).startswith("example 7 takes 65,556 bytes")
    many = [Example(0, 0, small, (small,) * 4)] * 65_536
    assert "1 to 65,535 examples, not 65,536" in message(lambda: hellaswag.write(path, many), path)
    assert "not 0" in message(lambda: hellaswag.write(path, []), path)
    assert not any(tmp_path.iterdir())


BODY = (65535, 28, 0, 2, 4, 1, 7, 1, 7, 1, 7, 1, 7, 0)


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (head(20240522, 1, 2, 28) + words(*BODY), "cut short at example 1 of 2"),
        (head(20240522, 1, 1, 28) + words(*BODY[:-1]), "cut short at example 0 of 1"),
        (head(20240522, 1, 1, 28) + words(*BODY) + b"!", "too long: bytes follow the last of 1 examples"),
        (head(20240522, 1, 1, 28) + words(1, *BODY[1:]), "example 0 begins with 1, not 65,535"),
        (head(20240522, 1, 1, 26) + words(*BODY), "example 0 tells 28 bytes, and the longest has 26 by the header"),
        (head(20240522, 1, 1, 28) + words(65535, 27, *BODY[2:]), "example 0 tells 27 bytes"),
        (head(20240522, 1, 1, 28) + words(65535, 4, *BODY[2:]), "example 0 tells 4 bytes"),
        (head(20240522, 1, 1, 28) + words(*BODY[:2], 5, *BODY[3:]), "example 0 has the number 5"),
        (head(20240522, 1, 1, 28) + words(*BODY[:3], 4, *BODY[4:]), "example 0 has 4 endings and the label 4"),
        (head(20240522, 1, 1, 28) + words(*BODY[:4], 3, *BODY[5:]), "example 0 has 3 endings and the label 2"),
        (head(20240522, 1, 1, 28) + words(*BODY[:5], 2, *BODY[6:]), "example 0: the lengths of its parts do not add"),
        (head(20240522, 1, 1, 28) + words(*BODY[:-1], 1), "example 0: the lengths of its parts do not add"),
        (head(20240522, 1, 1, 28) + words(*BODY[:6], 50_257, *BODY[7:]), "example 0 has the token 50,257"),
    ],
)
def test_a_broken_hellaswag_file_is_refused_at_its_example(tmp_path: Path, content: bytes, how: str) -> None:
    path = put(tmp_path / "h.bin", content)
    with pytest.raises(UserError) as caught:
        list(hellaswag.read(path))
    assert str(caught.value).startswith(f"{path}: {how}")
