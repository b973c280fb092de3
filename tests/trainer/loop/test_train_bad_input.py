"""What a user can mend ends training with one line and code 2, and breaks nothing that was there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from runs_of_training import write_shards
from short_runs import Capsys, flip, names, put_nan, refused, seed_model, steps, truncate, words

from sparkprep.llmc import shard
from trainer.checkpoints import model_file
from trainer.commands.train import main
from trainer.models.gpt2 import GPT2Shape


@pytest.mark.parametrize("flag", ["id", "iv"])
def test_a_pattern_that_matches_no_shard_is_named_with_its_flag(
    flag: str, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    said = refused(capsys, tmp_path / "out", data, **{flag: tmp_path / "none_*.bin"})
    assert f"-{flag} {tmp_path}/none_*.bin: no shard matches" in said
    assert "sparkprep tokenize" in said
    assert names(tmp_path / "out") == set()


@pytest.mark.parametrize("flag", ["id", "iv"])
def test_a_shard_shorter_than_a_micro_batch_is_named(flag: str, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [700, 32])
    said = refused(capsys, tmp_path / "out", data, **{flag: pattern})
    assert "t_train_000001.bin: 32 tokens are fewer than the 33 of one micro-batch (-b 2 times -t 16, plus one)" in said
    assert f"leave this shard out of -{flag}" in said


def test_a_shard_of_just_one_micro_batch_is_enough(data: Path, tmp_path: Path) -> None:
    pattern = write_shards(tmp_path / "data", [33])
    assert main(words(tmp_path / "out", data, id=pattern, x=1, n=0)) == 0


def test_a_shard_of_another_magic_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [700, 700])
    flip(tmp_path / "data" / "t_train_000001.bin", 0)
    said = refused(capsys, tmp_path / "out", data, id=pattern)
    assert "t_train_000001.bin: not a token shard" in said
    assert names(tmp_path / "out") == set()


def test_a_shard_cut_short_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [700, 700])
    truncate(tmp_path / "data" / "t_train_000000.bin")
    assert "t_train_000000.bin: cut short: 2,324 bytes" in refused(capsys, tmp_path / "out", data, id=pattern)


def bad_token(path: Path, at: int) -> str:
    """A shard of 700 tokens with one that GPT-2 does not have."""
    tokens = np.full(700, 11, "<u2")
    tokens[at] = 60000
    path.write_bytes(shard.header_bytes(700) + tokens.tobytes())
    return str(path)


def test_a_token_out_of_the_vocabulary_stops_training_at_its_place_and_leaves_the_checkpoints(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    folder = tmp_path / "out"
    # Of 21 windows two are drawn a step, so that it is met in the first epoch, of ten steps and a half.
    said = refused(capsys, folder, data, id=bad_token(tmp_path / "bad.bin", 123), n=1)
    assert f"{tmp_path}/bad.bin: the token at position 123 is 60,000" in said
    for step in steps(folder):
        model_file.open_model(str(folder / f"model_{step:08d}.bin"))
    assert len(steps(folder)) == max(steps(folder), default=0)


@pytest.mark.parametrize("options", [{"m": -1}, {"-val-tokens": 656}], ids=["batches", "tokens"])
def test_a_token_out_of_the_vocabulary_in_validation_data_is_named(
    options: dict[str, object], data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    said = refused(capsys, tmp_path / "out", data, iv=bad_token(tmp_path / "bad.bin", 600), v=1, **options)
    assert f"{tmp_path}/bad.bin: the token at position 600 is 60,000" in said


def test_more_validation_tokens_than_there_are_is_refused_with_what_there_is(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    said = refused(capsys, tmp_path / "out", data, **{"-val-tokens": 208})
    assert "--val-tokens 208: the validation shards hold 192 in rows of 16; give --val-tokens 192" in said


def test_an_update_larger_than_the_data_is_refused_for_one_epoch(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert "-x -1: the training shards hold 1,530 tokens" in refused(capsys, tmp_path / "out", data, x=-1, d=2048)


@pytest.mark.parametrize("flag", ["es", "ss"])
def test_a_step_beyond_one_epoch_is_refused(flag: str, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    said = refused(capsys, tmp_path / "out", data, x=-1, **{flag: 24})
    assert f"-{flag} 24 lies beyond the 23 steps of one epoch" in said


# Flags that do not go together, or with the machine


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"d": 80}, "-b 2 times -t 16 does not divide -d 80"),
        ({"es": 13}, "-es 13 lies beyond -x 12"),
        ({"ss": 13}, "-ss 13 lies beyond -x 12"),
    ],
)
def test_values_that_do_not_go_together_begin_no_run(
    options: dict[str, object], said: str, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    assert said in refused(capsys, tmp_path / "out", data, **options)
    assert names(tmp_path / "out") == set()


def test_rows_longer_than_a_new_models_positions_are_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [1100])
    said = refused(capsys, tmp_path / "out", data, id=pattern, iv=pattern, b=1, t=1040, d=-1)
    assert "-t 1040: a new model has 1024 positions; give -t 1024 or less" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_cuda_that_is_not_there_is_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    said = refused(capsys, tmp_path / "out", data, **{"-device": "cuda"})
    assert "--device cuda: CUDA is not there" in said
    assert "--device cpu" in said


# The model to start from


def test_a_model_file_that_is_not_there_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    for shards in (data, tmp_path / "no shards either"):
        said = refused(capsys, tmp_path / "out", shards, e=tmp_path / "none.bin")
        assert f"{tmp_path}/none.bin: cannot be read" in said


def test_a_model_whose_checkpoint_has_lost_it_is_named(out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    (out / "model_00000008.bin").unlink()  # its .json is still there
    said = refused(capsys, tmp_path / "new", data, e=out / "model_00000008.bin")
    assert "model_00000008.bin: cannot be read" in said


def test_a_model_file_of_another_ending_is_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert "neither a .bin file nor one of d12" in refused(capsys, tmp_path / "out", data, e="model.safetensors")


@pytest.mark.parametrize(
    ("damage", "said"),
    [(truncate, "cut short: "), (put_nan, "damaged: value 5,000 of its weights is nan")],
    ids=["cut", "nan"],
)
def test_a_damaged_model_file_is_named(
    damage: Callable[[Path], None], said: str, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = seed_model(tmp_path / "seed.bin")
    damage(path)
    assert f"{path}: {said}" in refused(capsys, tmp_path / "out", data, e=path)


def test_a_model_of_a_checkpoint_with_one_bit_changed_is_refused(
    out: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = out / "model_00000008.bin"
    flip(path, 0.5, bit=0)  # a value that no other test would notice
    said = refused(capsys, tmp_path / "new", data, e=path)
    assert f"{path}: damaged: its SHA-256 is" in said


def test_shape_flags_that_contradict_the_model_file_are_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin")
    said = refused(capsys, tmp_path / "out", data, e=path, **{"1d": 2, "1c": 16})
    assert f"{path}: does not fit -1d 2 (it has 1), -1c 16 (it has 8)" in said
    assert "leave these flags out" in said


def test_rows_longer_than_the_models_positions_are_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", shape=GPT2Shape(1, 1, 8, max_seq_len=32))
    said = refused(capsys, tmp_path / "out", data, e=path, t=48, d=96)
    assert f"-t 48: {path} has 32 positions; give -t 32 or less" in said


def test_a_model_with_few_positions_is_trained_and_sampled_within_them(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = seed_model(tmp_path / "seed.bin", shape=GPT2Shape(1, 1, 8, max_seq_len=32))
    assert main(words(tmp_path / "out", data, e=path, t=32, x=2, s=1, g=64)) == 0
    out, err = capsys.readouterr()
    assert out.count("generating:") == 2
    assert "shorter than the model's" not in err
    assert model_file.read_header(str(tmp_path / "out" / "model_00000002.bin")).shape.max_seq_len == 32


def test_a_model_of_a_smaller_vocabulary_is_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", shape=GPT2Shape(1, 1, 8, vocab_size=300))
    said = refused(capsys, tmp_path / "out", data, e=path)
    assert f"{path}: its vocabulary has 300 tokens, and the shards' 50,257" in said
