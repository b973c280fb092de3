"""HellaSwag as llm.c asks it: of four endings the model picks the one whose tokens have the lowest mean loss.

Zellers et al. 2019. The loss of an ending is that of its own tokens alone, the first of them predicted from the
context's last. llm.c pads every row of context and ending to the model's length. Here rows are sorted by length and end
where they end, which gives the same scores, since no position sees a later one; and logits exist for endings only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from sparkprep.errors import UserError
from sparkprep.io.files import write_text
from sparkprep.io.formats import JSONL_FORMATS, format_of
from sparkprep.llmc import hellaswag as files
from sparkprep.llmc.hellaswag import ENDINGS, Example
from trainer.confidence import wilson
from trainer.device import attention_kernels, copy_to_device
from trainer.flags import BATCH_TOKENS
from trainer.models import loss as losses
from trainer.models.layout import Model
from trainer.progress import Progress

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """What the model is given of some rows.

    ids (rows, width): their tokens but the last, then zeros. positions (m,): where in ids.ravel() an ending's token is
    predicted, row after row; targets (m,): these tokens.
    """

    ids: Integers
    positions: Integers
    targets: Integers


@dataclass(frozen=True, eq=False)
class Questions:
    """A file's n examples as rows of context and ending, the longest row first.

    labels: int8 (n,), the right endings. row_of: int32 (n, 4), the row of each ending; equal endings share one, so that
    they get the very same score. tokens: uint16, all rows one after another; lengths, endings: int64 (rows,), the
    tokens of a row, and how many of them, the last, are its ending's. max_seq_len: what llm.c would pad a row to.
    """

    labels: npt.NDArray[np.int8]
    row_of: npt.NDArray[np.int32]
    tokens: npt.NDArray[np.uint16]
    lengths: Integers
    endings: Integers
    max_seq_len: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def padded_tokens(self) -> int:
        """Positions that llm.c computes for the same answer."""
        return ENDINGS * len(self) * self.max_seq_len

    def plan(self, batch_tokens: int) -> list[slice]:
        """Return the rows of each batch: as many as fit into batch_tokens, padded to the longest, and at least one."""
        batches, start = [], 0
        while start < len(self.lengths):
            end = min(start + max(1, batch_tokens // int(self.lengths[start] - 1)), len(self.lengths))
            batches.append(slice(start, end))
            start = end
        return batches

    def batches(self, plan: list[slice]) -> Iterator[Batch]:
        """Yield the batches of a plan, each made when it is asked for."""
        taken = 0
        for rows in plan:
            lengths = self.lengths[rows, None]
            columns = np.arange(int(lengths.max()))
            padded = np.zeros((len(lengths), len(columns)), np.int64)
            size = int(lengths.sum())
            padded[columns < lengths] = self.tokens[taken : taken + size]
            taken += size
            # Column i of what is left predicts column i + 1, so an ending is predicted one column before it stands.
            last = lengths - 1
            predicting = (columns[:-1] < last) & (columns[:-1] >= last - self.endings[rows, None])
            yield Batch(padded[:, :-1].copy(), np.flatnonzero(predicting), padded[:, 1:][predicting])


@dataclass(frozen=True, eq=False)
class HellaSwagResult:
    """What a model answered.

    correct of total examples. predictions: int8 (n,), the ending picked. scores: float32 (n, 4), the mean loss of each
    ending in nats. tokens_computed: positions that went through the model, padding included.
    """

    correct: int
    total: int
    predictions: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float32]
    tokens_computed: int

    @property
    def accuracy(self) -> float:
        """The part answered rightly, 0 to 1."""
        return self.correct / self.total

    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95 % interval of the accuracy (Wilson 1927)."""
        return wilson(self.accuracy, self.total)


def prepare(path: str, max_seq_len: int, limit: int | None = None) -> Questions:
    """Read the examples of a hellaswag_val.bin, or of the JSON Lines it is made from (.jsonl, also .gz or .zst).

    max_seq_len: positions that the model has. limit: take the first so many alone. Raises UserError naming the file
    where it is damaged or has no examples, and for an example that the model cannot take in or that asks nothing.
    """
    if format_of(path) in JSONL_FORMATS:
        from sparkprep.llmc import hellaswag_questions

        examples = hellaswag_questions.tokenise(islice(hellaswag_questions.read_questions(path), limit))
    else:
        examples = list(islice(files.read(path), limit))
    if not examples:
        raise UserError(f"{path}: no example in it; make or copy it anew")
    row_of = np.empty((len(examples), ENDINGS), np.int32)
    rows: list[npt.NDArray[np.uint16]] = []
    endings: list[int] = []
    for example in examples:
        _check(path, example, max_seq_len)
        seen: dict[bytes, int] = {}
        for number, ending in enumerate(example.endings):
            row = seen.setdefault(ending.tobytes(), len(rows))
            if row == len(rows):
                rows.append(np.concatenate([example.context, ending]))
                endings.append(len(ending))
            row_of[example.index, number] = row
    lengths = np.array([len(row) for row in rows], np.int64)
    # The longest first: where memory is short it shows at once, and time left is not underrated.
    order = np.argsort(-lengths, kind="stable")
    place = np.empty(len(rows), np.int32)
    place[order] = np.arange(len(rows), dtype=np.int32)
    return Questions(
        np.array([example.label for example in examples], np.int8),
        place[row_of],
        np.concatenate([rows[row] for row in order.tolist()]),
        lengths[order],
        np.array(endings, np.int64)[order],
        max_seq_len,
    )


def evaluate(
    model: Model,
    questions: Questions,
    *,
    batch_tokens: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> HellaSwagResult:
    """Let the model pick an ending for each example; of equal scores the first.

    batch_tokens bounds what is computed at a time (default: BATCH_TOKENS of the device) and changes no score beyond
    rounding. progress: called after each batch with its number of positions; on a GPU they are queued by then, since
    its results are waited for once, at the end.
    """
    device = model.device
    plan = questions.plan(batch_tokens or BATCH_TOKENS.get(device.type, BATCH_TOKENS["cuda"]))
    token_losses = torch.empty(int(questions.endings.sum()), device=device)
    head = model.leaves(model.shape.HEAD)[0]
    filled = computed = 0
    # cuDNN's attention, which training prefers, would build a plan for every new shape; here each batch has its own.
    with torch.inference_mode(), attention_kernels(device, deterministic=True):
        for batch in questions.batches(plan):
            positions, targets = copy_to_device(batch.positions, device), copy_to_device(batch.targets, device)
            hidden = model.hidden(copy_to_device(batch.ids, device)).flatten(0, 1).index_select(0, positions)
            end = filled + len(targets)
            token_losses[filled:end] = losses.token_losses(hidden, head, targets, model.shape.vocab_size)
            filled = end
            computed += batch.ids.size
            if progress:
                progress(batch.ids.size)
    # Summed in float64 and in an order that no batch size changes.
    starts = np.cumsum(questions.endings) - questions.endings
    sums = np.add.reduceat(token_losses.cpu().numpy().astype(np.float64), starts)
    scores = (sums / questions.endings).astype(np.float32)[questions.row_of]
    predictions = scores.argmin(1).astype(np.int8)
    correct = int((predictions == questions.labels).sum())
    return HellaSwagResult(correct, len(questions), predictions, scores, computed)


def evaluate_watched(
    model: Model,
    questions: Questions,
    progress: Progress,
    *,
    batch_tokens: int | None = None,
    expected: float | None = None,
) -> HellaSwagResult:
    """Do as `evaluate`, and let progress tell of it, in tokens without the padding. expected: seconds, if known."""
    total = int((questions.lengths - 1).sum())
    with progress.of("HellaSwag", total, "tokens", expected) as advance:
        return evaluate(model, questions, batch_tokens=batch_tokens, progress=advance)


def write_scores(path: str, result: HellaSwagResult, questions: Questions) -> None:
    """Write a line of CSV for each example, in the file's order: its scores, the ending picked and the right one.

    Scores have all their digits. The file, local or on S3, appears whole or not at all; UserError if it cannot be.
    """
    lines = ["index,label,predicted,correct," + ",".join(f"score_{ending}" for ending in range(ENDINGS))]
    columns = zip(questions.labels.tolist(), result.predictions.tolist(), result.scores, strict=True)
    for index, (label, predicted, scores) in enumerate(columns):
        lines.append(f"{index},{label},{predicted},{int(label == predicted)}," + ",".join(map(str, scores)))
    write_text(path, "\n".join(lines) + "\n")


def _check(path: str, example: Example, max_seq_len: int) -> None:
    """Refuse what has no score, or what does not fit."""
    place = f"{path}: example {example.index:,}"
    if not len(example.context) or not all(len(ending) for ending in example.endings):
        raise UserError(f"{place} has no tokens in its context or in an ending; make or copy the file anew")
    if example.longest_row > max_seq_len:
        raise UserError(
            f"{place} takes {example.longest_row:,} tokens, and the model has {max_seq_len:,} positions; give a model "
            "with more, or another file"
        )
