"""Published values that a plot of runs is read against, each with its source, and where it is to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.runs.history import CHANCE, GPT2_124M_HELLASWAG, LoggedRun

_SIZE = 124_475_904  # GPT-2 124M with the padded vocabulary
_LIKE = 1.5  # times more or fewer parameters that are still compared with it


@dataclass(frozen=True)
class Reference:
    """A value of others. source: a sentence's part for below the plot, or "" for what explains itself."""

    value: float
    name: str
    source: str = ""


GPT2_LOSS = Reference(
    3.424958, "GPT-2 124M 3.4250", "OpenAI's GPT-2 124M: loss on FineWeb's validation tokens, as in llm.c's plots"
)
GPT2_HELLASWAG = Reference(
    GPT2_124M_HELLASWAG,
    f"GPT-2 124M {GPT2_124M_HELLASWAG:.4f}",
    "OpenAI's GPT-2 124M on HellaSwag, as in llm.c's plots",
)
GPT3_HELLASWAG = Reference(
    0.337, "GPT-3 124M 0.3370", "GPT-3 124M on HellaSwag, asked in another way (Brown et al. 2020)"
)
BY_CHANCE = Reference(CHANCE, f"chance {CHANCE:.2f}")


def of_loss(runs: Sequence[LoggedRun]) -> list[Reference]:
    """Return what validation losses are compared with: of a run of this size that is validated on FineWeb."""
    fitting = any(_alike(run, unknown=False) and "fineweb" in run.validation_data.lower() for run in runs)
    return [GPT2_LOSS] if fitting else []


def of_hellaswag(runs: Sequence[LoggedRun]) -> list[Reference]:
    """Return what accuracies are compared with: chance, and models of the runs' size, if that is known to differ."""
    models = [GPT3_HELLASWAG, GPT2_HELLASWAG] if any(_alike(run, unknown=True) for run in runs) else []
    return [*models, BY_CHANCE]


def _alike(run: LoggedRun, *, unknown: bool) -> bool:
    """Return whether a run's model is about as large as GPT-2 124M; `unknown` where its size is not known."""
    count = run.num_parameters
    return unknown if count is None else _SIZE / _LIKE <= count <= _SIZE * _LIKE
