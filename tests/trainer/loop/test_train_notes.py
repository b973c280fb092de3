"""What a run tells before its first step of what somebody may not have meant."""

from pathlib import Path

import pytest
from short_runs import words

from trainer.loop.start import begin
from trainer.settings import parse


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, ""),
        ({"x": 24}, "steps 0 to 24 take 1,536 tokens, and the training shards hold 1,472: they are repeated, 1.0 "),
        ({"x": 500, "es": 46, "ss": 0}, "steps 0 to 46 take 2,944 tokens"),
        ({"x": 500, "es": 46, "ss": 40}, ""),
    ],
)
def test_steps_beyond_the_data_are_told_as_epochs(
    options: dict[str, object], told: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(parse(words(tmp_path / "out", data, **options)), str(tmp_path))
    err = capsys.readouterr().err
    assert (told in err) if told else ("repeated" not in err)
