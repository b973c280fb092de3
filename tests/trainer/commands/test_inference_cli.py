"""From the command line: text comes as it is drawn, the same for the same seed, and every mistake is one line."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from checkout import ROOT

from sparkprep.errors import UserError
from sparkprep.llmc import header, tokenizer_file
from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from trainer.checkpoints import model_file
from trainer.commands import inference as inference_cli
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.models.layout import views_of

SHAPE = GPT2Shape(2, 2, 32, 64)
PROMPT = "The GitHub project llm.c is a"
IDS = "464 21722 1628 32660 76 13 66 318 257"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """model.bin; ends.bin, which draws nothing but end-of-text; tokenizer.bin."""
    made = tmp_path_factory.mktemp("inference")
    model = GPT2(SHAPE)
    model.initialise()
    model_file.write(f"{made}/model.bin", SHAPE, model.flat, 5)
    views = views_of(model.flat, SHAPE.tensors())
    with torch.no_grad():
        views["lnf.weight"][0].zero_()
        views["lnf.bias"][0].fill_(1)
        views["wte"][0][END_OF_TEXT].fill_(10)
    model_file.write(f"{made}/ends.bin", SHAPE, model.flat, 3)
    tokenizer_file.write(f"{made}/tokenizer.bin")
    return made


@pytest.fixture
def write(folder, monkeypatch, capsys):
    """Run the program in that folder; (exit code, standard output, standard error)."""
    monkeypatch.chdir(folder)

    def run(*words):
        try:
            code = inference_cli.main(words)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_the_courses_command_line_prints_table_prompt_ids_and_text(write):
    code, out, err = write("-e", "model.bin", "-p", PROMPT, "-it", "tokenizer.bin", "-t", "64", "-g", "8", "-s", "1337")
    lines = out.split("\n")
    assert (code, err) == (0, "")
    assert lines[0] == f"+{'-' * 23}+{'-' * 52}+"
    for name, value in (
        ("model path", "model.bin"),
        ("max_sequence_length T", "64"),
        ("vocab_size V", "50257"),
        ("padded_vocab_size Vp", "50304"),
        ("num_layers L", "2"),
        ("num_heads NH", "2"),
        ("channels C", "32"),
        ("num_parameters", str(SHAPE.num_parameters)),
    ):
        assert f"| {name:<21} | {value:<50} |" in lines
    assert any(line.startswith("| device                | CPU") for line in lines)
    assert f"Prompt: {PROMPT}" in lines
    assert f"Prompt tokens: {IDS}" in lines
    assert "[Generation stopped: 8 new tokens (-g)]" in lines
    assert lines[-2].startswith("8 tokens in ")
    assert lines[-2].endswith(" tokens/s")


def test_the_same_seed_writes_the_same_text_with_long_names_too(write):
    short = write("-e", "model.bin", "-p", PROMPT, "-g", "9", "-s", "5", "--quiet")
    long = write("--quiet", "--seed", "5", "--model=model.bin", "--tokens", "9", "--prompt", PROMPT)
    other = write("-e", "model.bin", "-p", PROMPT, "-g", "9", "-s", "6", "--quiet")
    assert short == long
    assert short[1] != other[1]


def test_the_built_in_vocabulary_and_the_tokenizer_file_write_the_same(write):
    words = ("-e", "model.bin", "-p", PROMPT, "-g", "9", "--quiet")
    assert write(*words) == write(*words, "-it", "tokenizer.bin")


def test_samples_take_one_seed_after_another(write):
    words = ("-e", "model.bin", "-p", PROMPT, "-g", "6", "--quiet")
    several = write(*words, "-s", "10", "--samples", "3")[1]
    single = [write(*words, "-s", str(seed))[1] for seed in (10, 11, 12)]
    assert several == "".join(f"---\n{text}" for text in single)
    told = write(*words[:-1], "-s", "10", "--samples", "2")[1]
    assert "--- sample 2 of 2, seed 11\n" in told


def test_temperature_0_writes_the_same_for_any_seed(write):
    words = ("-e", "model.bin", "-p", "Once", "-g", "6", "--quiet", "--temperature", "0")
    assert write(*words, "-s", "1") == write(*words, "-s", "2") == write(*words, "--top-k", "1")


def test_it_stops_at_end_of_text_and_says_so(write):
    _, out, _ = write("-e", "ends.bin", "-p", PROMPT)
    assert "\n[Generation stopped: EOT token]\n1 tokens in " in out
    assert "<|endoftext|>" not in out


def test_ignoring_end_of_text_goes_on_until_the_positions_are_taken(write):
    _, out, _ = write("-e", "ends.bin", "-p", PROMPT, "-t", "12", "--ignore-end-of-text")
    assert "<|endoftext|>" * 3 + "\n\n[Generation stopped: all 12 positions are taken (-t)]" in out


@pytest.mark.parametrize("words", [(), ("-p", "")])
def test_without_a_prompt_it_begins_from_end_of_text(write, words):
    code, out, _ = write("-e", "model.bin", "-g", "3", *words)
    assert code == 0
    assert f"Prompt tokens: {END_OF_TEXT}\n" in out


def test_flags_of_several_machines_are_told_of_once_and_set_no_prompt(write):
    code, out, err = write(
        "-e", "model.bin", "-p", "Once", "-g", "2", "-pn", "2", "-pr", "0", "-ps", "host", "-pp", "x"
    )
    assert code == 0
    assert "Prompt: Once\n" in out
    assert err == "note: -pn, -pr, -ps, -pp mean nothing here, where one process writes; ignored\n"


@pytest.mark.parametrize("prompt", ["-it", "--quiet", "-", "-5 degrees", "a=b", "%s %d"])
def test_a_prompt_may_look_like_a_flag(write, prompt):
    code, out, _ = write("-e", "model.bin", "-p", prompt, "-g", "2")
    assert code == 0
    assert f"Prompt: {prompt}\n" in out


def test_a_prompt_file_is_taken_byte_for_byte(write, tmp_path):
    (tmp_path / "prompt.txt").write_bytes(b"<|endoftext|>The end\n\xff")
    _, out, _ = write("-e", "model.bin", "--prompt-file", str(tmp_path / "prompt.txt"), "-g", "2", "--greedy-encoding")
    ids = [END_OF_TEXT, 464, 886, 198, vocabulary.ranks()[b"\xff"]]
    assert f"Prompt tokens: {' '.join(map(str, ids))}\n" in out


def test_greedy_encoding_is_that_of_the_course(write):
    _, out, _ = write("-e", "model.bin", "-p", "kayaking", "-g", "2", "--greedy-encoding")
    _, real, _ = write("-e", "model.bin", "-p", "kayaking", "-g", "2")
    assert out.split("Prompt tokens: ")[1].split("\n")[0] != real.split("Prompt tokens: ")[1].split("\n")[0]


def damaged(folder, name, content):
    (folder / name).write_bytes(content)
    return name


def test_bad_files_are_named(write, folder):
    good = (folder / "model.bin").read_bytes()
    cases = [
        ("-e", damaged(folder, "cut.bin", good[:-2]), "cut.bin: cut short"),
        ("-e", damaged(folder, "headless.bin", good[:100]), "headless.bin: cut short"),
        ("-e", damaged(folder, "text.bin", b"hello"), "text.bin: not a model file"),
        ("-e", "tokenizer.bin", "tokenizer.bin: not a model file"),
        ("-e", "none.bin", "none.bin: cannot be read"),
        ("-it", "none.bin", "none.bin: cannot be read"),
        ("-it", "model.bin", "model.bin: not a tokenizer file"),
        ("-it", damaged(folder, "cut.tok", (folder / "tokenizer.bin").read_bytes()[:-3]), "cut.tok: cut short"),
        ("-it", damaged(folder, "two.tok", header.pack(tokenizer_file.MAGIC, 2, 2, 1) + b"\1a\1b"), "not GPT-2's"),
        ("--prompt-file", "none.txt", "none.txt: cannot be read"),
        ("--prompt-file", ".", "cannot be read"),
    ]
    for flag, value, told in cases:
        code, out, err = write("-e", "model.bin", flag, value)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert told in err
        assert err.count("\n") == 1


def test_weights_that_are_no_numbers_are_named(write, folder):
    raw = bytearray((folder / "ends.bin").read_bytes())
    raw[-4:] = np.float32(np.nan).tobytes()
    code, _, err = write("-e", damaged(folder, "nan.bin", bytes(raw)))
    assert code == 2
    assert "nan.bin: damaged" in err


def test_a_model_of_other_tokens_is_refused(write, folder):
    shape = GPT2Shape(1, 1, 8, 16, vocab_size=300)
    model_file.write(str(folder / "other.bin"), shape, torch.zeros(shape.num_parameters), 3)
    code, _, err = write("-e", "other.bin")
    assert code == 2
    assert "other.bin: it has 300 tokens" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-p", "a " * 64), "positions one must stay free"),
        (("-p", PROMPT, "-t", "9"), "the prompt has 9 tokens, and of 9 positions one must stay free"),
        (("-t", "65"), "65 positions were asked for, and the model has 64"),
        (("-p", "x" * 10_000), "more than 8,192 bytes"),
        (("-t", "1"), "1 is below 2"),
        (("-g", "12x"), "'12x' is not a whole number"),
        (("-g", "0"), "0 is below 1"),
        (("-s", "0"), "0 is below 1"),
        (("-s", str(2**64)), "gives no random numbers"),
        (("-s", str(2**64 - 1), "--samples", "2"), "gives no random numbers"),
        (("--temperature", "nan"), "not a finite number"),
        (("--temperature", "-1"), "-1 is below 0"),
        (("--top-k", "0"), "0 is below 1"),
        (("--top-p", "0"), "0 is not above 0"),
        (("--top-p", "1.1"), "1.1 is above 1"),
        (("--device", "gpu"), "'gpu' is none of"),
        (("--precision", "fp16"), "'fp16' is none of"),
        (("-p", "a", "--prompt-file", "model.bin"), "were both given"),
        (("-q", "1"), "unknown flag -q"),
        (("--temp", "1"), "unknown flag --temp"),
        (("-g",), "value is missing"),
        (("word",), "'word' stands where a flag was expected"),
    ],
)
def test_a_mistake_is_told_and_exits_with_2(write, words, told):
    code, out, err = write("-e", "model.bin", *words)
    assert (code, out) == (2, "")
    assert told in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_that_is_not_there_is_told(write):
    code, out, err = write("-e", "model.bin", "--device", "cuda")
    assert (code, out) == (2, "")
    assert err.startswith("error: --device cuda")


def test_a_missing_model_flag_is_told(write):
    code, _, err = write("-p", "Once")
    assert code == 2
    assert err.startswith("error: -e is missing")


def test_the_script_writes_to_a_terminal_that_knows_ascii_alone(folder):
    """And takes a prompt whose bytes are no UTF-8."""
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "train/inference_gpt2.py"),
            "-e",
            "model.bin",
            "-p",
            b"caf\xc3\xa9 \xff",
            "-g",
            "4",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Prompt: caf\\xe9 \\ufffd\n" in done.stdout
    assert b"4 tokens in " in done.stdout


def test_a_prompt_may_begin_with_any_quotation_mark_and_one_that_is_cut_by_it_is_told() -> None:
    assert inference_cli.parse(["-e", "m.bin", "-p", "“Once upon a time”"]).prompt == "“Once upon a time”"
    with pytest.raises(UserError, match="'upon' stands where a flag was expected, after -p “Once; its quotation marks"):
        inference_cli.parse(["-e", "m.bin", "-p", "“Once", "upon", "a", "time”"])
