"""What is told of runs, in a line, a table and a picture; `train/plot.py` from its arguments to the file."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkout import TRAIN
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from matplotlib.figure import Figure
from matplotlib.text import Text

from sparkprep.errors import UserError
from trainer.commands import plot as plot_cli
from trainer.confidence import wilson
from trainer.runs import parameters as run_parameters
from trainer.runs import plots
from trainer.runs.history import HELLASWAG_EXAMPLES, LoggedRun, load_run, load_runs, summary, summary_line, table
from trainer.runs.plot_layout import GREY, colour, spread

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def texts(figure: Figure) -> list[Text]:
    """The texts that are seen, after a drawing has placed them."""
    figure.draw_without_rendering()
    beyond = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        if not min(axis.get_view_interval()) <= place <= max(axis.get_view_interval())
    }
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and id(text) not in beyond]


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on one another, and texts that leave the figure."""
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts(figure)]
    page = figure.bbox
    outside = [
        (name, "edge") for name, box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > page.x1 or box.y1 > page.y1
    ]
    return outside + [
        (first, second)
        for i, (first, box) in enumerate(boxes)
        for second, other in boxes[i + 1 :]
        if box.overlaps(other)
    ]


def several(folder: Path, count: int) -> list[LoggedRun]:
    return load_runs([str(make_run(folder / f"run{i}", lr=1e-3 / (i + 1), floor=3 + 0.01 * i)) for i in range(count)])


def test_a_run_with_a_bad_line_and_a_run_without_a_good_one_do_not_stop_the_plot_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "torn", "other"):
        make_run(tmp_path / "runs" / name)
    torn = tmp_path / "runs" / "torn" / "main.log"
    torn.write_bytes(torn.read_bytes().replace(b"s:30 trl", bytes(40) + b"s:30 trl"))
    (tmp_path / "runs" / "other" / "main.log").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert plot_cli.main([str(tmp_path / "runs"), "--output", str(tmp_path / "p.png")]) == 0
    out, err = capsys.readouterr()
    assert (tmp_path / "p.png").stat().st_size > 10_000
    assert [line.split()[0] for line in out.splitlines() if "Params" in line] == ["good", "torn"]
    assert f"warning: {torn}: line 38 is none of llm.c's" in err
    assert "no other line is; copy the file anew; this run is left out" in err


def test_the_summary_line_is_that_of_the_courses_notebook(tmp_path: Path) -> None:
    run = load_run(str(make_run(tmp_path / "d12")) + "/")
    assert run.name == "d12"
    assert run.missing == ()
    assert summary_line(run) == (
        "Params: 124.48m | LR : 0.0006 | Min Train Loss: 3.0586 | Min Val Loss : 3.1539 | Train Time : 0.01 hrs"
    )
    assert run.min_validation == (60, 3.1539)
    assert "LR : 6.00e-05 |" in summary_line(load_run(str(make_run(tmp_path / "slow", lr=6e-5))))


def test_a_log_alone_is_a_run_and_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "main.log").write_text("s:0 tel:11.0\n")
    run = load_run(str(tmp_path))
    assert summary_line(run) == "Params: - | LR : - | Min Train Loss: - | Min Val Loss : 11.0000 | Train Time : - hrs"
    told = summary([run])
    assert "run_parameters.txt: no such file" in told
    assert "no training loss (trl) yet" in told
    assert table([run]).splitlines()[1].split() == [run.name, "-", "-", "0", "-", "-", "11.0000", "0", "-", "-", "-"]
    odd = "| Parameter | Value |\n| learning rate (LR) | nan |\n| num_parameters | x |\n"
    (tmp_path / "run_parameters.txt").write_text(odd)
    run = load_run(str(tmp_path))
    assert (run.learning_rate, run.num_parameters) == (None, None)


def test_the_table_is_aligned_and_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = load_runs([str(make_run(tmp_path / cluster / "d12")) for cluster in ("one", "cluster-two")])
    assert [run.name for run in runs] == ["one/d12", "cluster-two/d12"]
    lines = table(runs).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "0.2713-0.2889" in lines[1]


def test_the_interval_is_wilsons() -> None:
    # Its ends are the true parts from which the observed one lies 1.96 standard deviations away.
    for end in wilson(0.2945, HELLASWAG_EXAMPLES):
        assert abs(0.2945 - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / 10042))
    low, high = wilson(0.0, HELLASWAG_EXAMPLES)
    assert low == 0
    assert 0 < high < 0.001
    assert wilson(1.0, HELLASWAG_EXAMPLES)[1] == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 2, 5, 14])
def test_no_label_lies_on_another(tmp_path: Path, count: int) -> None:
    runs = several(tmp_path, count)
    for figure in (
        plots.overview_figure(runs),
        plots.loss_figure(runs, log_scale=False),
        plots.hellaswag_figure(runs),
        plots.lr_figure(runs),
    ):
        assert overlaps(figure) == []


def test_minima_reference_lines_and_learning_rates_are_written_out(tmp_path: Path) -> None:
    seen = {text.get_text() for text in texts(plots.overview_figure(several(tmp_path, 2)))}
    assert {"val 3.1539 @ 60", "train 3.0586 @ 59", "0.2800 @ 60", "run0 (LR: 0.001)"} <= seen
    assert {"GPT-2 124M 0.2945", "GPT-3 124M 0.3370", "chance 0.25"} <= seen
    assert {"train", "validation"} <= seen
    only = {text.get_text() for text in texts(plots.loss_figure(several(tmp_path, 2), ("validation",)))}
    assert not any(text.startswith("train") for text in only)


@pytest.mark.parametrize(
    ("log", "panels"),
    [
        ("s:0 tel:11.0\n", ["Loss"]),
        ("s:5 trl:nan\n", []),
        ("", []),
        ("s:0 trl:0.0\ns:0 tel:-1\n", ["Loss"]),
        ("s:0 eval:0.25\n", ["HellaSwag"]),
        ("s:0 trl:11.0 lr:0.000600 norm:1.00\ns:1 eval:0.25\n", ["Loss", "HellaSwag", "Learning rate"]),
    ],
)
def test_logs_with_hardly_anything_in_them_are_drawn_and_no_panel_is_empty(
    tmp_path: Path, log: str, panels: list[str]
) -> None:
    (tmp_path / "_$a$b").mkdir()
    (tmp_path / "_$a$b" / "main.log").write_text(log)
    runs = load_runs([str(tmp_path / "_$a$b")])
    figure = plots.overview_figure(runs)
    assert overlaps(figure) == []
    assert [axes.get_title(loc="left") for axes in figure.axes] == panels
    assert all(any(len(line.get_xdata()) for line in axes.lines) for axes in figure.axes)
    if not panels:
        assert [text.get_text().replace("\n", " ") for text in texts(figure)] == [
            "no train or validation loss, no HellaSwag accuracy (eval), no learning rate (lr) in these logs"
        ]


def sized_run(folder: Path, parameters: int, validated_on: str, hellaswag: bool = True) -> LoggedRun:
    """A run whose files tell all that one of the trainer tells; updates of 1,000 tokens."""
    make_run(folder, hellaswag=hellaswag)
    more = [("val data pattern", validated_on), ("total batch size", "1000"), ("sequence length T", "10")]
    sizes = [("num_layers L", "2"), ("channels C", "5"), ("num_parameters", str(parameters))]
    run_parameters.append(str(folder), [[("learning rate (LR)", "6e-4"), *more, *sizes]])
    return load_run(str(folder))


@pytest.mark.parametrize(
    ("parameters", "validated_on", "loss", "hellaswag"),
    [
        (124_475_904, "data/fineweb_val_*.bin", ["GPT-2 124M 3.4250"], ["GPT-3", "GPT-2", "chance"]),
        (124_475_904, "demo/shards/*_val_*.bin", [], ["GPT-3", "GPT-2", "chance"]),
        (3_335_104, "data/fineweb_val_*.bin", [], ["chance"]),
    ],
)
def test_published_values_stand_in_the_panel_of_their_quantity_beside_runs_they_compare_with(
    tmp_path: Path, parameters: int, validated_on: str, loss: list[str], hellaswag: list[str]
) -> None:
    run = sized_run(tmp_path / "d12", parameters, validated_on)

    def grey(figure: Figure) -> list[str]:
        return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_color() == GREY]

    assert grey(plots.loss_figure([run])) == loss
    assert [text.split()[0] for text in grey(plots.hellaswag_figure([run]))] == hellaswag
    assert grey(plots.overview_figure([run], references=False)) == []
    told = "".join(text.get_text() for text in texts(plots.overview_figure([run])))
    assert ("OpenAI's GPT-2 124M: loss on FineWeb" in told) == bool(loss)
    assert ("Brown et al. 2020" in told) == (parameters > 1e8)


@pytest.mark.parametrize(
    ("x", "label", "last"), [("steps", "step", 60), ("tokens", "tokens", 60_000), ("flops", "training FLOPs", 3.6e11)]
)
def test_what_is_drawn_over_is_steps_tokens_or_operations(tmp_path: Path, x: str, label: str, last: float) -> None:
    run = sized_run(tmp_path / "d12", 999_900, "x")  # with 6 N + 6 L C T, 6 million operations a token
    figure = plots.overview_figure([run], x=x)
    assert overlaps(figure) == []
    for axes in figure.axes:
        assert axes.get_xlabel() == label
        assert last * 0.9 < axes.get_xlim()[1] < last * 1.1
    with pytest.raises(UserError, match="cannot be drawn over hours; choose of steps, tokens, flops"):
        plots.lr_figure([run], "hours")


def test_rates_that_lie_decades_apart_are_drawn_on_a_scale_of_logarithms(tmp_path: Path) -> None:
    rates = {"a": 3e-3, "b": 1e-3, "c": 3e-5}
    runs = {name: load_run(str(make_run(tmp_path / name, lr=rate))) for name, rate in rates.items()}
    assert plots.lr_figure([runs["a"], runs["b"]]).axes[0].get_yscale() == "linear"
    axes = plots.lr_figure(list(runs.values())).axes[0]
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < 3e-6
    assert 3e-3 < high < 1e-2


def test_colours_are_distinct() -> None:
    assert len({colour(i) for i in range(40)}) == 40


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_labels_keep_their_order_their_distance_and_stay_inside(wanted: list[float]) -> None:
    at = np.array(wanted)
    placed = spread(at, 0.05)
    order = np.argsort(at, kind="stable")
    assert (np.diff(placed[order]) >= 0.05 - 1e-9).all()
    assert placed.min() >= 0
    assert placed.max() <= 1 + 1e-9
    apart = np.diff(np.sort(at)).min(initial=1) >= 0.05
    if apart:
        np.testing.assert_allclose(placed, np.minimum(at, 1), atol=1e-9)


def test_smoothing_is_the_mean_of_the_values_around(tmp_path: Path) -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, 9.0])
    assert plots.smoothed(values, 1).tolist()[:2] == [1, 2]
    assert plots.smoothed(values, 3).tolist() == [1.5, 1.5, 3.0, 6.5, 6.5]
    run = several(tmp_path, 1)
    with pytest.raises(UserError, match="give 1 or more"):
        plots.loss_figure(run, smoothing=0)
    with pytest.raises(UserError, match="no loss is called dev"):
        plots.loss_figure(run, ("dev",))
    with pytest.raises(UserError, match="no run to draw"):
        plots.lr_figure([])


@pytest.mark.parametrize("kind", list(MAGIC))
def test_a_picture_is_written_whole_and_the_same_each_time(tmp_path: Path, kind: str) -> None:
    runs = several(tmp_path, 2)
    for name in ("a", "b"):
        plots.save(plots.loss_figure(runs), str(tmp_path / f"{name}.{kind}"))
    first, second = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("a", "b"))
    assert first.startswith(MAGIC[kind])
    assert first == second
    assert sorted(path.name for path in tmp_path.glob("*.*")) == [f"a.{kind}", f"b.{kind}"]


def test_the_script_needs_no_torch_and_no_window_system(tmp_path: Path) -> None:
    make_run(tmp_path / "log" / "d12")
    blocker = "import sys; sys.modules['torch'] = None; sys.modules['pyspark'] = None; sys.modules['tkinter'] = None\n"
    code = f"{blocker}sys.path.insert(0, {str(TRAIN)!r}); from trainer.commands.plot import main; "
    code += "sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log" / "d12")], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("d12  Params: 124.48m | LR : 0.0006 |")
    assert (tmp_path / "log" / "d12" / "plot.png").read_bytes().startswith(MAGIC["png"])


def test_a_folder_of_runs_is_plotted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    several(tmp_path / "log", 3)
    monkeypatch.chdir(tmp_path)
    assert plot_cli.main(["log", "log/run1", "--panel", "loss", "--streams", "val", "--no-log", "--smooth", "5"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["run0", "run1", "run2", "wrote"]
    assert (tmp_path / "plot.png").exists()
    for panel in ("hellaswag", "lr"):
        assert plot_cli.main(["log", "--panel", panel, "--output", f"{panel}.svg"]) == 0
        assert (tmp_path / f"{panel}.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], "no main.log in it or in its folders"),
        (["log", "--output", "x.gif"], r"x\.gif: a plot is written as \.png"),
        (["log", "--output", "no/x.png"], r"no/x\.png: cannot be written"),
        (["log", "--streams", "dev"], "--streams dev: there is no 'dev'"),
        (["log", "--smooth", "0"], "give 1 or more"),
        (["log", "--x", "tokens"], r"log/d12: run_parameters.txt does not tell .* in tokens; leave out --x tokens"),
        (["s3://bucket/log"], "give s3://BUCKET/experiments/CLUSTER"),
        (["http://x/y"], "'http://' is not supported"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "log":
        make_run(tmp_path / "log" / "d12")
    assert plot_cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert re.search(message, told)


def test_a_panel_that_is_asked_for_and_has_nothing_to_show_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(make_run(tmp_path / "d12", hellaswag=False))
    assert plot_cli.main([folder, "--panel", "hellaswag"]) == 2
    assert "nothing to draw: no HellaSwag accuracy (eval) in these logs" in capsys.readouterr().err
    assert not (tmp_path / "d12" / "plot.png").exists()


def test_an_unknown_flag_and_a_shortened_one_are_usage_errors() -> None:
    for arguments in (["x", "--colour"], ["x", "--out", "y.png"], []):
        assert plot_cli.main(arguments) == 2
