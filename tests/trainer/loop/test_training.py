"""The trainer learns what a plain GPT-2 learns: the same losses, the known first loss, one batch by heart."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from bounds import BFLOAT16, gradient_roundings, likely, loss_roundings
from runs_of_training import command, write_shards
from torch import Tensor

from sparkprep.sample.build import embedded
from sparkprep.tokenizer.tokenizer import Tokenizer
from trainer.commands.train import main
from trainer.data.batches import to_device
from trainer.data.loader import Loader, open_shards
from trainer.loop.loop import Trainer
from trainer.loop.start import begin
from trainer.models.gpt2 import GPT2, NAMED, GPT2Shape
from trainer.runs import log as run_log
from trainer.runs.log import RunLog
from trainer.settings import TrainSettings, parse

STEPS = 10


class PlainGPT2:
    """GPT-2 and AdamW from their definitions: no fused kernel, no padding tricks, attention as a full matrix."""

    def __init__(self, weights: dict[str, list[Tensor]], heads: int) -> None:
        self.weights = {
            name: [each.clone().double().requires_grad_() for each in parts] for name, parts in weights.items()
        }
        self.heads = heads
        self.moments = {id(p): (torch.zeros_like(p), torch.zeros_like(p)) for _, p in self.parameters()}

    def parameters(self) -> list[tuple[str, Tensor]]:
        return [(name, each) for name, parts in self.weights.items() for each in parts]

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        w, (B, T) = self.weights, ids.shape
        x = w["wte"][0][ids] + w["wpe"][0][:T]
        C = x.shape[-1]
        for layer in range(len(w["qkv.weight"])):
            own = {name: parts[layer] for name, parts in w.items() if len(parts) > layer and "." in name}
            h = norm(x, own["ln1.weight"], own["ln1.bias"])
            q, k, v = (h @ own["qkv.weight"].T + own["qkv.bias"]).split(C, 2)
            q, k, v = (each.reshape(B, T, self.heads, -1).transpose(1, 2) for each in (q, k, v))
            scores = q @ k.transpose(2, 3) / math.sqrt(C // self.heads)
            scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf)
            y = (scores.softmax(3) @ v).transpose(1, 2).reshape(B, T, C)
            x = x + y @ own["out.weight"].T + own["out.bias"]
            h = norm(x, own["ln2.weight"], own["ln2.bias"]) @ own["up.weight"].T + own["up.bias"]
            h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
            x = x + h @ own["down.weight"].T + own["down.bias"]
        x = norm(x, w["lnf.weight"][0], w["lnf.bias"][0])
        return F.cross_entropy((x @ w["wte"][0][:50257].T).flatten(0, 1), targets.flatten())

    def update(self, t: int, rate: float, decay: float) -> None:
        parameters = self.parameters()
        length = math.sqrt(sum(float((p.grad**2).sum()) for _, p in parameters if p.grad is not None))
        for name, p in parameters:
            assert p.grad is not None
            g = p.grad / length if length > 1 else p.grad
            m, v = self.moments[id(p)]
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.95).add_(0.05 * g * g)
            step = (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-8)
            with torch.no_grad():
                p -= rate * (step + (decay * p if name in ("wte", "wpe") or p.dim() == 2 else 0))
            p.grad = None


def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def test_losses_are_those_of_a_plain_implementation_over_ten_updates(tmp_path: Path) -> None:
    write_shards(tmp_path, [900, 700])
    write_shards(tmp_path, [200], "val")
    # two micro-batches an update, clipping (the norm is above 1 at first), warm-up and decay
    words = command(tmp_path / "out", tmp_path, x=STEPS, n=0, d=64, b=2, t=16, u=3, l=0.01)
    assert main(words) == 0
    ours = run_log.read(str(tmp_path / "out" / "main.log")).train.values

    settings = parse(words)
    model = GPT2(GPT2Shape(2, 2, 16))
    model.initialise()
    plain = PlainGPT2({t.name: [p.detach() for p in model.leaves(t.name)] for t in model.shape.tensors()}, heads=2)
    loader = Loader(open_shards(settings.train_data, "-id"), 2, 16, 42, "-id")
    theirs = []
    for step in range(STEPS):
        batches = [to_device(loader.next(), 2, torch.device("cpu")) for _ in range(2)]
        losses = [plain.loss(*batch) / 2 for batch in batches]
        for each in losses:
            each.backward()
        theirs.append(sum(each.item() for each in losses))
        rate = 0.01 * (step + 1) / 3 if step < 3 else 0.005 * (1 + math.cos(math.pi * (step - 3) / (STEPS - 3)))
        plain.update(step + 1, rate, 0.1)
    assert theirs[0] - theirs[-1] > 0.5, "nothing was learnt, so that nothing was compared"
    # A loss has its own roundings, and those of the updates before it: to first order an update moves a loss by the
    # gradient times the weights' error, a rate of 0.01 at most, and a gradient's error stays in m for 10 updates.
    bounds = likely(loss_roundings(model.shape, 16)) + np.arange(STEPS) * (
        0.01 * 10 * likely(gradient_roundings(model.shape, 64, 16))
    )
    assert bounds.max() < 1.5e-4  # an eps of 1e-6 in the norms changes losses by 6e-4
    assert (np.abs(in_memory(settings, tmp_path / "again") - np.array(theirs)) <= bounds).all()
    assert (np.abs(ours - np.array(theirs)) <= 5e-5 + bounds).all()  # the log has four decimals


def in_memory(settings: TrainSettings, folder: Path) -> list[float]:
    """The losses of the same run with all their digits."""
    folder.mkdir()
    run = begin(replace(settings, output=str(folder)), str(folder))
    with RunLog(str(folder), resume=False) as log:
        trainer = Trainer(run, log, peak=1.0)
        return [trainer.update(step).loss for step in range(STEPS)]


def test_one_batch_is_learnt_by_heart(tmp_path: Path) -> None:
    write_shards(tmp_path, [300], "val")
    words = command(tmp_path / "out", tmp_path, a=1, x=120, n=0, v=0, d=-1, l=0.02, u=5)
    assert main(words) == 0
    losses = run_log.read(str(tmp_path / "out" / "main.log")).train.values
    assert losses[0] > 10
    assert losses[-1] < 0.1


@pytest.fixture(scope="module")
def real_tokens() -> npt.NDArray[np.int64]:
    """The first tokens of the embedded documents."""
    texts = pq.read_table(embedded("1k").documents, columns=["text"])["text"].slice(0, 20).combine_chunks()
    return Tokenizer().encode(texts)[0].astype(np.int64)


def test_the_first_loss_of_d12_on_real_text_is_that_of_llmc(real_tokens: npt.NDArray[np.int64]) -> None:
    model = GPT2(NAMED["d12"])
    model.initialise()
    rows, length = 4, 256
    batch = torch.from_numpy(real_tokens[: rows * length + 1])
    with torch.no_grad():
        loss = model(batch[:-1].view(rows, length), batch[1:].view(rows, length)).item()
    assert loss == pytest.approx(11.0, abs=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_traced_for_a_compiler_it_gives_the_same_loss_and_gradients(dtype: torch.dtype) -> None:
    shape = GPT2Shape(1, 2, 16, max_seq_len=200)
    plain, traced = GPT2(shape, dtype=dtype), GPT2(shape, dtype=dtype)
    plain.initialise()
    traced.initialise()
    ids = torch.randint(0, 50257, (2, 201), generator=torch.Generator().manual_seed(3))  # more rows than one chunk
    batch = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    expected = plain(*batch)
    expected.backward()
    found = torch.compile(traced, backend="aot_eager", fullgraph=True, dynamic=False)(*batch)
    found.backward()
    if dtype == torch.float32:
        of_loss, of_gradient = 2 * likely(loss_roundings(shape, 200)), 2 * likely(gradient_roundings(shape, 400, 200))
    else:
        # Sums are float32; 14 results on the way to a logit are rounded, backwards twice as many. Logits are below 0.5,
        # and those of 400 tokens err independently.
        of_loss, of_gradient = 2 * likely(14, BFLOAT16) * 0.5 / 20, 2 * likely(3 * 14, BFLOAT16)
    # A chunk left out would change the loss by a third and the gradient by half; a padded column in the normaliser the
    # loss by 1 / 50257 each, and there are 47.
    assert found.item() == pytest.approx(expected.item(), rel=0, abs=of_loss)
    for a, b in zip(plain.parameters(), traced.parameters(), strict=True):
        assert torch.linalg.vector_norm(a.grad - b.grad) <= of_gradient * torch.linalg.vector_norm(a.grad)
    assert not traced.wte.grad[50257:].any()
