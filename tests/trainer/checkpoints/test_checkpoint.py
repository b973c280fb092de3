"""What lies beside a checkpoint's files and is none of ours is told, whatever it holds."""

from pathlib import Path

import pytest

from sparkprep.errors import UserError
from trainer.checkpoints.checkpoint import Checkpoint, read_manifest


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"files": []}', '{"files": {"a": null}}', '{"files": {"a": {"bytes": 3, "sha256": 4}}}', "\x00"],
)
def test_a_manifest_that_is_not_of_a_checkpoint_is_told_with_its_file(tmp_path: Path, content: str) -> None:
    checkpoint = Checkpoint(str(tmp_path), 7)
    Path(checkpoint.manifest).write_text(content)
    with pytest.raises(UserError, match=r"checkpoint_00000007\.json: not .*; copy it anew or take another"):
        read_manifest(checkpoint)
