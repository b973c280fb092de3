"""Model and state files that are damaged, or of another shape, are refused by name."""

import math
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import TINY, moments_of, ours, rest_of, tensors_of
from llmc_files import (
    HEADER,
    Sizes,
    count,
    write_model,
    write_state,
)

from sparkprep.errors import UserError
from trainer.checkpoints import model_file, state_file
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.models.layout import views_of


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "model_00000003.bin"
    write_model(path, TINY, tensors_of(TINY, 1), 3)
    return path


@pytest.fixture
def state_path(tmp_path: Path) -> Path:
    path = tmp_path / "state_00000003_00000.bin"
    numbers = {"step": 3, "rng": 1, "rng_before": 2, "shard": 0, "used": 1}
    write_state(path, rest_of(TINY, 1, masters=True, shuffled=True) | numbers)
    return path


def read_ours(path: Path) -> None:
    """As the trainer would read it, by its name."""
    if path.name.startswith("model"):
        model_file.open_model(str(path))
    else:
        state_file.read(str(path), moments_of(TINY))


def refused(path: Path, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        read_ours(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("kind", ["model", "state"])
def test_a_file_cut_short_at_any_byte_is_refused_by_name(kind: str, model_path: Path, state_path: Path) -> None:
    path = model_path if kind == "model" else state_path
    data = path.read_bytes()
    near = {edge + step for edge in (0, HEADER, len(data)) for step in range(-9, 10)}
    stride = 1 if kind == "model" else 7
    for length in sorted({*near, *range(0, len(data), stride)} & set(range(len(data)))):
        path.write_bytes(data[:length])
        refused(path, "cut short|it is (empty|of an unknown kind)")
    path.write_bytes(data)
    read_ours(path)


@pytest.mark.parametrize("kind", ["model", "state"])
def test_a_file_with_bytes_too_many_is_refused_by_name(kind: str, model_path: Path, state_path: Path) -> None:
    path = model_path if kind == "model" else state_path
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "too long")


@pytest.mark.parametrize("kind", ["model", "state"])
@pytest.mark.parametrize("bit", range(32))
def test_a_file_of_another_magic_is_refused_by_name(kind: str, bit: int, model_path: Path, state_path: Path) -> None:
    path = model_path if kind == "model" else state_path
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    refused(path, "not a (model file|training state)")


def put(path: Path, slot: int, value: int) -> None:
    """Put another int32 into the header."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 4 * slot, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("slot", "value", "said"),
    [
        (1, 4, "version 4, and only 3 and 5"),
        (1, 5, "too long"),
        (2, 4, "cut short"),
        (2, 0, "sizes that no GPT-2 has"),
        (3, -1, "sizes that no GPT-2 has"),
        (4, 1 << 30, "sizes that no GPT-2 has"),
        (5, 2, "1 channels do not divide into 2 heads"),
        (5, 0, "sizes that no GPT-2 has"),
        (6, 2, "cut short"),
        (7, 5, "padded to 5, and llm.c pads it to 128"),
    ],
)
def test_a_model_header_that_cannot_be_is_refused(model_path: Path, slot: int, value: int, said: str) -> None:
    put(model_path, slot, value)
    refused(model_path, said)


@pytest.mark.parametrize(
    ("slot", "value", "said"),
    [
        (1, 2, "version 2, and only 1"),
        (2, 8, "process 0 of 8"),
        (3, 1, "process 1 of 1"),
        (4, 0, "cut short or damaged|too long"),
        (5, 0, "too long"),
    ],
)
def test_a_state_header_that_cannot_be_is_refused(state_path: Path, slot: int, value: int, said: str) -> None:
    put(state_path, slot, value)
    refused(state_path, said)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["weights", "first moments", "second moments", "master weights"])
def test_a_value_that_is_not_finite_is_refused_with_its_place(
    part: str, value: float, model_path: Path, state_path: Path
) -> None:
    parts = ["first moments", "second moments", "master weights"]
    path = model_path if part == "weights" else state_path
    start = HEADER if part == "weights" else HEADER + 4 * count(TINY) * parts.index(part)
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, start + 4 * 11, value)
    path.write_bytes(data)
    refused(path, f"value 11 of its {part} is -?(nan|inf)")


@pytest.mark.parametrize("half", [0x7F80, 0xFF80, 0x7FC0])
def test_a_bfloat16_weight_that_is_not_finite_is_refused(tmp_path: Path, half: int) -> None:
    path = tmp_path / "model_00000003.bin"
    write_model(path, TINY, tensors_of(TINY, 1), 5)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, HEADER + 2 * 100, half)
    path.write_bytes(data)
    refused(path, "value 100 of its weights")


def test_a_negative_second_moment_is_refused(state_path: Path) -> None:
    data = bytearray(state_path.read_bytes())
    struct.pack_into("<f", data, HEADER + 4 * (count(TINY) + 5), -1e-20)
    state_path.write_bytes(data)
    refused(state_path, "second moment is negative")


@pytest.mark.parametrize("length", [0, 200, 1 << 31, 1 << 62, (1 << 64) - 1])
def test_an_order_of_another_length_is_refused(state_path: Path, length: int) -> None:
    data = bytearray(state_path.read_bytes())
    struct.pack_into("<Q", data, HEADER + 12 * count(TINY), length)
    state_path.write_bytes(data)
    refused(state_path, "cut short|too long|does not fit")


def test_a_state_of_another_shape_is_refused(state_path: Path) -> None:
    for other in (Sizes(3, 5, 1, 1, 2), Sizes(2, 5, 1, 1, 1)):
        with pytest.raises(UserError, match=rf"{state_path.name}: "):
            state_file.read(str(state_path), moments_of(other))


def test_a_model_of_another_shape_is_refused_with_both(model_path: Path) -> None:
    with pytest.raises(UserError, match=r"model_00000003\.bin: it has 1 layers, 1 channels.*2 layers, 4 channels"):
        model_file.load(str(model_path), GPT2(GPT2Shape(2, 1, 4, 3, 5)))


@pytest.mark.parametrize("version", [3, 5])
def test_padded_rows_that_are_not_zero_are_zeroed_and_told(
    tmp_path: Path, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = tensors_of(TINY, 1)
    tensors["wte"][TINY.vocab + 2] = 1.5
    path = tmp_path / "model_00000003.bin"
    write_model(path, TINY, tensors, version)
    wte = views_of(model_file.open_model(str(path)).flat, ours(TINY).tensors())["wte"][0]
    assert not wte[TINY.vocab :].any()
    assert wte[: TINY.vocab].any()
    assert f"{path}: the padded rows of wte are not zero" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("model_00000003.bin", "state_00000003_00000.bin"):
        refused(tmp_path / name, "cannot be read")


def test_a_file_is_never_seen_in_part(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model_path.read_bytes()

    def fail(*_: object) -> Callable[..., object]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        model_file.write(str(model_path), ours(TINY), torch.zeros(count(TINY)), 5)
    assert model_path.read_bytes() == before
    assert [each.name for each in model_path.parent.iterdir()] == [model_path.name]
