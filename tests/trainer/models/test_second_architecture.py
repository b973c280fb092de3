"""An architecture is one file and one entry in a tuple: a bigram table, made here, trains, resumes and is evaluated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from short_runs import LAST, content, same_end, words
from torch import Tensor, nn

from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE
from trainer.checkpoints import model_file
from trainer.commands import inference
from trainer.commands.train import main
from trainer.models import architectures, loss
from trainer.models.layout import TensorSpec, count_elements, leaves_of
from trainer.runs import log as run_log


@dataclass(frozen=True)
class BigramShape:
    """A table of so many channels, tied: what follows a token hangs on that token alone."""

    NAME: ClassVar[str] = "bigram"
    MAGIC: ClassVar[int] = 20260101
    VERSIONS: ClassVar[Mapping[int, torch.dtype]] = {1: torch.float32, 2: torch.bfloat16}
    HEAD: ClassVar[str] = "after"

    channels: int
    max_seq_len: int = 64
    vocab_size: int = VOCABULARY_SIZE

    @classmethod
    def named(cls) -> Mapping[str, BigramShape]:
        return {"bigram4": cls(4)}

    @classmethod
    def of_fields(cls, fields: Sequence[int]) -> BigramShape:
        if not 0 < fields[0] < 1 << 16:
            raise ValueError(f"its header tells {fields[0]} channels")
        return cls(*fields[:3])

    def fields(self) -> tuple[int, ...]:
        return self.channels, self.max_seq_len, self.vocab_size

    @property
    def num_parameters(self) -> int:
        return count_elements(self.tensors())

    def tensors(self) -> tuple[TensorSpec, ...]:
        size = (self.vocab_size, self.channels)
        return TensorSpec("before", 0, size, True, 0.02), TensorSpec("after", 0, size, False, 0.02)

    def flops_per_token(self, seq_len: int) -> int:
        return 6 * self.num_parameters

    def size_table(self) -> list[tuple[str, str]]:
        return [("channels C", str(self.channels))]

    def build(self, *, device: str | torch.device, dtype: torch.dtype, recompute: int = 0) -> Bigram:
        return Bigram(self, device, dtype)


class Bigram(nn.Module):
    """The network of a BigramShape."""

    def __init__(self, shape: BigramShape, device: str | torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.shape, self.dtype = shape, dtype
        self.flat = torch.zeros(shape.num_parameters, device=device)
        self._leaves = leaves_of(self.flat, shape.tensors())
        self.before, self.after = self._leaves["before"][0], self._leaves["after"][0]

    @property
    def device(self) -> torch.device:
        return self.flat.device

    def leaves(self, name: str) -> list[nn.Parameter]:
        return self._leaves[name]

    def initialise(self, seed: int = 42) -> None:
        nn.init.normal_(self.flat, 0.0, 0.02, generator=torch.Generator().manual_seed(seed))

    def cache(self, rows: int, positions: int) -> None:
        return None

    def hidden(self, ids: Tensor, cache: Any = None) -> Tensor:
        return F.embedding(ids, self.before).to(self.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.after.to(hidden.dtype)).float()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return loss.mean_loss(self.hidden(ids).flatten(0, 1), self.after, targets.flatten(), self.shape.vocab_size)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one entry."""
    monkeypatch.setattr(architectures, "ARCHITECTURES", (*architectures.ARCHITECTURES, BigramShape))


BIGRAM = {"1d": None, "1c": None, "1h": None, "e": "bigram4", "l": 0.1}


@pytest.fixture
def bigram(registered: None, data: Path, tmp_path: Path) -> Path:
    """The folder of a whole run."""
    assert main(words(tmp_path / "whole", data, **BIGRAM)) == 0
    return tmp_path / "whole"


def test_it_trains_and_writes_its_own_files(bigram: Path) -> None:
    losses = run_log.read(str(bigram / "main.log")).train.values
    assert losses[-1] < losses[0] - 0.1
    header = model_file.read_header(str(bigram / f"model_{LAST:08d}.bin"))
    assert (header.shape, header.version) == (BigramShape(4), 1)
    assert json.loads((bigram / f"checkpoint_{LAST:08d}.json").read_text())["architecture"] == "bigram"
    assert "channels C            | 4 " in (bigram / "run_parameters.txt").read_text()


def test_a_resumed_run_ends_with_the_same_bytes(bigram: Path, data: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    assert main(words(half, data, **BIGRAM, es=8)) == 0
    assert main(words(half, data, **BIGRAM, y=1)) == 0
    same_end(bigram, half)


def test_a_run_may_start_from_its_model_file_and_text_be_written_with_it(
    bigram: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = str(bigram / f"model_{LAST:08d}.bin")
    assert main(words(tmp_path / "on", data, **{**BIGRAM, "e": seed}, s=1, g=4)) == 0
    capsys.readouterr()
    assert inference.main(["-e", seed, "-p", "Once", "-g", "4"]) == 0
    assert "[Generation stopped: 4 new tokens (-g)]" in capsys.readouterr().out


def test_flags_of_a_shape_that_it_does_not_have_are_refused(
    registered: None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "out", data, **{**BIGRAM, "1d": 2})) == 2
    assert "-e bigram4 has " in capsys.readouterr().err


def test_without_the_entry_its_files_are_of_an_unknown_kind(
    bigram: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures, "ARCHITECTURES", architectures.ARCHITECTURES[:1])
    before = content(bigram)
    capsys.readouterr()
    assert main(words(bigram, data, y=1)) == 2
    assert "its model is of the architecture 'bigram', which this version does not have" in capsys.readouterr().err
    assert {name for name in before if name not in content(bigram)} == set()


def test_a_checkpoint_without_the_field_is_a_gpt2_and_one_with_another_name_is_refused(
    out: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rename(folder: Path, architecture: str | None) -> None:
        path = folder / "checkpoint_00000008.json"
        manifest = json.loads(path.read_text())
        assert manifest.pop("architecture") == "gpt2"
        path.write_text(json.dumps(manifest if architecture is None else {**manifest, "architecture": architecture}))

    older = Path(shutil.copytree(out, tmp_path / "older"))
    rename(older, None)
    assert main(words(older, data, y=1)) == 0
    rename(out, "llama")
    capsys.readouterr()
    assert main(words(out, data, y=1)) == 2
    assert "checkpoint_00000008.json: its model is of the architecture 'llama'" in capsys.readouterr().err
