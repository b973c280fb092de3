"""Files made by llm.c's own scripts and by OpenAI: ours are the same, byte for byte.

GOLDEN_DATA names a folder with hellaswag_val.jsonl.gz, hellaswag_val.bin.gz, tiny_shakespeare_train.bin.gz,
tiny_shakespeare_val.bin.gz, gpt2/vocab.bpe and gpt2/encoder.json; without it nothing here is run.
"""

import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from gpt2_bytes import decode

from sparkprep.llmc import convert, hellaswag, hellaswag_questions, shakespeare, tokenizer_file
from sparkprep.tokenizer import vocabulary

pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif("GOLDEN_DATA" not in os.environ, reason="GOLDEN_DATA names no folder"),
]
HEADER_BYTES = 1024


def data(name: str) -> Path:
    return Path(os.environ["GOLDEN_DATA"]) / name


def unpacked(name: str) -> bytes:
    return gzip.decompress(data(name).read_bytes())


def test_hellaswag_is_that_of_llm_c(tmp_path: Path) -> None:
    out = tmp_path / "hellaswag_val.bin"
    convert.hellaswag(str(data("hellaswag_val.jsonl.gz")), str(out))
    assert out.read_bytes() == unpacked("hellaswag_val.bin.gz")


def test_hellaswag_of_llm_c_is_read_as_its_questions(tmp_path: Path) -> None:
    path = tmp_path / "hellaswag_val.bin"
    path.write_bytes(unpacked("hellaswag_val.bin.gz"))
    questions = list(hellaswag_questions.read_questions(str(data("hellaswag_val.jsonl.gz"))))
    examples = list(hellaswag.read(str(path)))
    words = vocabulary.tokens()
    assert len(examples) == 10_042
    assert max(example.longest_row for example in examples) == 166
    for question, example in zip(questions, examples, strict=True):
        context, *endings = (b"".join(words[i] for i in part).decode() for part in (example.context, *example.endings))
        assert context == question.context
        assert endings == [" " + ending for ending in question.endings]
        assert example.label == question.label


def test_the_tokenizer_file_is_that_of_llm_c(tmp_path: Path) -> None:
    out = tmp_path / "gpt2_tokenizer.bin"
    convert.tokenizer(str(out))
    assert out.stat().st_size == 372_108
    assert hashlib.sha256(out.read_bytes()).hexdigest() == tokenizer_file.SHA256


def test_tiny_shakespeare_is_that_of_llm_c(tmp_path: Path) -> None:
    names = (shakespeare.VAL_NAME, shakespeare.TRAIN_NAME)
    golden = {name: unpacked(f"{name}.gz") for name in names}
    tokens = np.concatenate([np.frombuffer(golden[name][HEADER_BYTES:], "<u2") for name in names])
    # The text is what the tokens say without end-of-text: each section's blank line is part of the section.
    text = decode(tokens[tokens != vocabulary.END_OF_TEXT])
    (tmp_path / "input.txt").write_bytes(text)
    convert.shakespeare(str(tmp_path / "input.txt"), str(tmp_path / "out"))
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == golden[name]


def test_the_vocabulary_is_that_of_openai() -> None:
    ranks = json.loads(data("gpt2/encoder.json").read_text(encoding="utf-8"))
    assert ranks.pop("<|endoftext|>") == vocabulary.END_OF_TEXT
    byte_of = vocabulary.shown_bytes()
    by_bytes = {bytes(byte_of[character] for character in word): rank for word, rank in ranks.items()}
    assert by_bytes == vocabulary.ranks()
    assert by_bytes == {token: rank for rank, token in enumerate(vocabulary.tokens())}
    merges = data("gpt2/vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    assert [tuple(line.split(" ")) for line in merges] == list(vocabulary.merges())


def test_hellaswag_is_scored_on_an_eighth_of_the_tokens_that_padding_would_take(tmp_path: Path) -> None:
    evaluation = pytest.importorskip("trainer.evaluate.hellaswag")
    (tmp_path / "h.bin").write_bytes(unpacked("hellaswag_val.bin.gz"))
    questions = evaluation.prepare(str(tmp_path / "h.bin"), 1024)
    for budget in evaluation.BATCH_TOKENS.values():
        computed = sum(batch.ids.size for batch in questions.batches(questions.plan(budget)))
        assert computed * 8 <= questions.padded_tokens == 4 * 10_042 * 1024


def test_tiny_shakespeare_is_read_in_the_order_of_llm_c(tmp_path: Path) -> None:
    data_module = pytest.importorskip("trainer.data.loader")
    path = tmp_path / shakespeare.TRAIN_NAME
    path.write_bytes(unpacked(f"{shakespeare.TRAIN_NAME}.gz"))
    loader = data_module.Loader(data_module.open_shards(str(path), "-id"), 4, 64, 42, "-id")
    tokens = np.frombuffer(path.read_bytes()[HEADER_BYTES:], "<u2")
    for epoch in ([408, 791, 914, 1057, 81, 450, 299, 907], [820, 64, 871, 704, 140, 802, 136, 893]):
        windows = [loader.next() for _ in range(loader.windows)]
        for sample, window in zip(epoch, windows, strict=False):
            assert np.array_equal(window, tokens[256 * sample : 256 * (sample + 1) + 1])
