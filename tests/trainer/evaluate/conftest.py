"""What every test of the evaluation may use."""

import numpy as np
import pytest
from hellaswag_questions import SMALL, examples_of, model_of

from sparkprep.llmc import hellaswag as files
from sparkprep.llmc.hellaswag import Example
from trainer.models.gpt2 import GPT2


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Example]]:
    """A file of 40 examples for SMALL, the longest of which fills all positions."""
    examples = examples_of(1, 40, (2, 25), (1, 14), SMALL.vocab_size)
    longest = Example(
        17, 2, np.arange(30, dtype=np.uint16), tuple(np.arange(k, 10 + k, dtype=np.uint16) for k in range(4))
    )
    examples[17] = longest
    path = str(tmp_path_factory.mktemp("asked") / "hellaswag_val.bin")
    files.write(path, examples)
    return path, examples


@pytest.fixture(scope="module")
def model() -> GPT2:
    return model_of(SMALL)
