"""What can be set for a final run, and the settings of the training that it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkprep.commands import command
from sparkprep.errors import UserError
from sparkprep.io.paths import normalise
from sparkprep.kinds import Integer, Number, OneOf, Switch, Text
from sparkprep.options import check_options, option
from trainer.flags import DEVICES
from trainer.settings import TrainSettings, check, defaults

if TYPE_CHECKING:
    from trainer.final.ending import Ending


@dataclass(frozen=True)
class FinalRun:
    """A final run. changes: what else its training is to have, as names and values of TrainSettings."""

    seed_model: str | None = option(None, "the model file to start from", Text(), "FILE")
    learning_rate: float | None = option(None, "highest learning rate of the schedule", Number(0, above=True), "X")
    data: str | None = option(
        None,
        "folder of token shards (NAME_train_*.bin and NAME_val_*.bin), or a pattern of the former",
        Text(),
        "FOLDER",
    )
    output: str | None = option(
        None, "folder of logs and checkpoints (default logGPT, of a rehearsal: rehearsal)", Text(), "FOLDER"
    )
    start_step: int = option(2365, "updates the seed has had", Integer(0))
    steps: int = option(4725, "updates of the whole schedule", Integer(1))
    micro_batch: int = option(32, "rows at a time", Integer(1), short=("-b",))
    hellaswag_data: str | None = option(
        None, "hellaswag_val.bin (default data/hellaswag_val.bin, if it is there)", Text(), "FILE"
    )
    val_tokens: int | None = option(None, "tokens of a validation: the same set for any --micro-batch", Integer(1))
    keep: int = option(0, "keep only the newest N checkpoints; 0: all", Integer(0))
    price_per_hour: float = option(1.5, "dollars", Number(0), "X")
    budget: float | None = option(None, "do not start where the estimate is above so many dollars", Number(0), "X")
    allow_repeats: bool = option(False, "bear that too few shards are gone through more than once", Switch())
    device: str = option("auto", "cpu trains the real thing on a CPU", OneOf(DEVICES))
    then: str | None = option(
        None,
        "what to do at the end: upload=BUCKET/FOLDER, shutdown, or both with a comma between; off only if all is up",
        Text(),
        "WORDS",
    )
    shutdown_command: str = option("shutdown -h now", "how this machine is shut down", Text(), "COMMAND")
    shutdown_anyway_after: float | None = option(
        None, "shut down so many hours after a run or an upload failed (default: never)", Number(0), "HOURS"
    )
    changes: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def folder(self) -> str:
        """Where it writes to."""
        return normalise(self.output or "logGPT")

    def ending(self) -> Ending | None:
        """Return what is to be done at its end, if anything. Raises UserError for words that ask for nothing known."""
        if self.then is None:
            if self.shutdown_anyway_after is not None:
                raise UserError("--shutdown-anyway-after means nothing without --then ...,shutdown")
            return None
        # Here, as boto3 takes most of a second to import, which --help must not.
        from trainer.final import ending

        return ending.parse(self.then, self.shutdown_command, self.shutdown_anyway_after)

    def settings(self) -> TrainSettings:
        """Return the settings of its training, whose flags are those of the course. Raises UserError for what lacks."""
        for value, flag in (
            (self.seed_model, "SEED_MODEL=file (--seed-model)"),
            (self.learning_rate, "LR=rate (--learning-rate)"),
            (self.data, "DATA=folder (--data)"),
        ):
            if value is None:
                raise UserError(f"{flag} is missing; --help shows an example")
        if self.start_step >= self.steps:
            raise UserError(
                f"--start-step {self.start_step} leaves nothing of the {self.steps} steps (--steps); give a smaller one"
            )
        train_data, val_data = shard_patterns(self.data or "")
        same = ("learning_rate", "start_step", "steps", "micro_batch", "val_tokens", "keep", "device")
        values: dict[str, Any] = {
            "output": self.folder,
            "train_data": train_data,
            "val_data": val_data,
            "resume": True,
            "model": self.seed_model,
            **{name: getattr(self, name) for name in same},
        }
        if self.hellaswag_data is not None:
            values["hellaswag_data"] = self.hellaswag_data
        settings = defaults(**{**values, **dict(self.changes)})
        check(settings)
        return settings


def shard_patterns(data: str) -> tuple[str, str]:
    """Return the patterns of the training and validation shards of a folder, or of a pattern that names the former."""
    if os.path.isdir(data):
        return os.path.join(data, "*_train_*.bin"), os.path.join(data, "*_val_*.bin")
    if "_train_" in os.path.basename(data):
        folder, name = os.path.split(data)
        return data, os.path.join(folder, name.replace("_train_", "_val_"))
    raise UserError(
        f"--data {data}: neither a folder of shards nor a pattern with _train_ in it; such a folder is made by "
        f"`{command('tokenize', '--input', 'DOCUMENTS', '--output', 'TOKENS', '--shards', 'SHARDS')}`"
    )
