"""What is done when a final run is over, or has broken off."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import s3_buckets

from sparkprep.errors import UserError
from trainer.commands.final import train_and_end
from trainer.final.final import RunFailed
from trainer.final.settings import FinalRun


def test_at_the_end_the_plot_is_up_too_and_then_the_command_is_run(
    final: FinalRun, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = tmp_path / "off"
    whole = replace(final, then="upload=bucket/full_gpt,shutdown", shutdown_command=f"touch {off}")
    assert train_and_end(whole, whole.ending(), check_only=True) == 0
    told = capsys.readouterr().out
    assert "at the end   upload" in told
    assert f"after that, if all is well, run: touch {off}" in told
    assert (s3_buckets.objects(), off.exists()) == ({}, False)
    assert train_and_end(whole, whole.ending()) == 0
    up = {key.rsplit("/", 1)[1] for key in s3_buckets.objects("full_gpt/out/")}
    assert {"plot.png", "main.log", "model_00000060.bin", "state_00000060_00000.bin", "DONE_00000060"} < up
    assert off.exists()


def test_a_run_that_breaks_off_leaves_its_log_in_the_bucket_and_the_machine_on(
    final: FinalRun, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = tmp_path / "off"
    (tmp_path / "out" / "model_00000040.bin").mkdir(parents=True)  # so that its first checkpoint cannot be written
    broken = replace(final, then="upload=bucket/broken,shutdown", shutdown_command=f"touch {off}")
    with pytest.raises(RunFailed, match=r"model_00000040\.bin: cannot be written"):
        train_and_end(broken, broken.ending())
    assert "broken/out/main.log" in s3_buckets.objects("broken/")
    assert not off.exists()
    assert "NOT done: the machine stays on" in capsys.readouterr().out


def test_a_plot_that_cannot_be_drawn_does_not_keep_the_machine_on(
    final: FinalRun, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = tmp_path / "off"
    (tmp_path / "out" / "plot.png").mkdir(parents=True)
    whole = replace(final, then="upload=bucket/no_plot,shutdown", shutdown_command=f"touch {off}")
    assert train_and_end(whole, whole.ending()) == 0
    assert off.exists()
    assert "no_plot/out/model_00000060.bin" in s3_buckets.objects("no_plot/")
    assert "warning: the run is whole, and cannot be shown: " in capsys.readouterr().err


def test_what_stands_in_the_way_of_a_run_does_nothing_at_its_end(
    final: FinalRun, bucket: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    off = tmp_path / "off"
    hopeless = replace(
        final, seed_model="nowhere.bin", then="shutdown", shutdown_command=f"touch {off}", shutdown_anyway_after=0.0
    )
    with pytest.raises(UserError, match=r"nowhere\.bin: no such file"):
        train_and_end(hopeless, hopeless.ending())
    assert not off.exists()
    with pytest.raises(UserError, match="means nothing without --then"):
        replace(hopeless, then=None).ending()
