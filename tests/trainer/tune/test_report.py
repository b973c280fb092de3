"""The report tells all that was found, needs nothing but itself, and shows nothing raw."""

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import made_studies
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from sparkprep.errors import UserError
from trainer.runs.log import Values
from trainer.tune import figures, report
from trainer.tune.experiments import Recommendation, Scale, Terms, Verdict
from trainer.tune.findings import Findings, conclude
from trainer.tune.fit import Band
from trainer.tune.literature import Prediction
from trainer.tune.loss_curves import draw_losses, rate_colour
from trainer.tune.plots import PAPER, draw_optimum, draw_u_curve, rate_axis
from trainer.tune.strategies import STRATEGIES
from trainer.tune.u_curves import STEPS

HOSTILE = "<script>alert(1)</script> & \u202e $x$"


class Known:
    """The bowls that the made-up study was made of, as a fit that knows them."""

    @staticmethod
    def curve(rates: Sequence[float] | Values, scale: Scale) -> Values:
        return np.array([made_studies.bowl(rate, scale) for rate in rates])

    @staticmethod
    def optimum(scale: Scale) -> Band:
        best = made_studies.optimum(scale)
        return Band(best, best / 1.2, best * 1.2, best / 1.5, best * 1.5)


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    outcomes = made_studies.ladder()
    verdict = Verdict(3.892, 3.88, 3.92, outcomes[-1].loss)
    told = Recommendation(
        0.002071, (0.0017, 0.0025), (0.0014, 0.0031), 0.0021, ("three rungs agree",), (HOSTILE,), verdict
    )
    return Findings(
        "hybrid",
        Terms(made_studies.TARGET, 20.0, lambda experiment: 0.01 * experiment.steps),
        outcomes,
        made_studies.write_logs(outcomes, tmp_path / "trials"),
        told,
        Known(),
        Band(2e-3, 1.2e-3, 3.3e-3, 0.7e-3, 5.5e-3),
        [Prediction("Step Law", "1.79 N^-0.713 D^0.307", 3.0e-3, 1.0, "medium: its batch grows")],
        spent=18.6,
        price_per_hour=1.5,
        next_experiment="0.0021 at 800 steps",
    )


def first(number: int, findings: Findings) -> Findings:
    """As the study was after so many experiments: fewer pictures, which take most of the time."""
    return replace(findings, outcomes=findings.outcomes[:number], folders=findings.folders[:number])


def findings_lines(findings: Findings, beginning: str) -> list[str]:
    return [line for line in findings.summary().splitlines() if line.startswith(beginning)]


def axes_of(draw: Callable[..., None], *words: object) -> object:
    axes = Figure().add_subplot()
    draw(axes, *words)
    return axes


def test_the_page_tells_what_was_found(findings: Findings) -> None:
    page = " ".join(re.sub(r"<[^>]*>", " ", report.render(findings)).split())
    for words in (
        "68 % interval 0.0017 to 0.0025",
        "95 % interval 0.0014 to 0.0031",
        "0.0021",
        "✓ passed",
        "three rungs agree",
        "Total spend: $18.60 of a budget of $20.00",
        "Worth running next: 0.0021 at 800 steps",
        "LR=0.00207 DATA=SHARDS OUT=FOLDER",
        "diverged at 33",
        "1.79 N^-0.713 D^0.307",
    ):
        assert words in page
    assert page.count("Step Law") == 1


def test_the_page_needs_nothing_but_itself_and_shows_nothing_raw(findings: Findings) -> None:
    page = report.render(replace(findings, strategy=HOSTILE, command=HOSTILE, next_experiment=HOSTILE))
    assert "<script" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;") == 4
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    # Every id is there once, and every reference within the page leads to one.
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]*)"', page)) | set(re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(svg.replace("xlink:href", "href"))


def test_the_same_findings_make_the_same_files(findings: Findings, tmp_path: Path) -> None:
    few = first(6, findings)
    for folder in ("one", "other"):
        written = report.write(few, str(tmp_path / folder), "svg")
        assert [Path(path).name for path in written] == [
            *(
                "report.html",
                "recommendation.json",
                "experiments.csv",
                "experiments.md",
                "experiments.tex",
                "experiments.json",
            ),
            *("u-curves.svg", "optimum.svg", "losses.svg"),
        ]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_the_recommendation_is_told_to_terminals_and_programs(findings: Findings) -> None:
    lines = findings.summary().splitlines()
    assert lines[:5] == [
        "max learning rate  0.00207",
        "68 % interval      0.0017 to 0.0025",
        "95 % interval      0.0014 to 0.0031",
        "expected regret    0.0021 nats",
        f"hold-out           passed: {findings.outcomes[-1].loss:.4f}; 3.8920 foretold, 95 % between 3.8800 and 3.9200",
    ]
    assert lines[-1].endswith("make train-final SEED_MODEL=FILE LR=0.00207 DATA=SHARDS OUT=FOLDER")
    told = json.loads(findings.json())
    assert (told["learning_rate"], told["interval68"], told["verdict"]["passed"]) == (0.002071, [0.0017, 0.0025], True)
    begun = replace(findings, recommendation=None)
    assert begun.summary().startswith("no rate can be recommended yet")
    assert json.loads(begun.json()) is None


def test_a_failed_hold_out_and_a_budget_that_was_passed_are_told(findings: Findings) -> None:
    told = findings.recommendation
    assert told is not None
    failed = replace(told, warnings=("the bands are widened",), verdict=Verdict(3.7, 3.69, 3.71, 3.9))
    found = replace(first(3, findings), recommendation=failed, spent=20.5, reserve=25.0)
    page = report.render(found)
    assert "✗ failed" in page
    assert "Kept back for the final run: $25.00." in page
    warnings = ["the bands are widened", "$20.50 were spent, more than the $20.00 that were allowed"]
    assert re.findall(r"<li>(.*?)</li>", page)[:2] == warnings
    assert "hold-out           FAILED: 3.9000" in found.summary()
    assert [f"warning: {warning}" for warning in warnings] == findings_lines(found, "warning: ")
    assert report.render(replace(found, budget=21.0)).count("that were allowed") == 0


def test_a_study_that_has_just_begun_has_a_page(findings: Findings, tmp_path: Path) -> None:
    begun = Findings("hybrid", findings.terms, [], spent=0.02)
    page = report.render(begun)
    assert "no rate can be recommended yet" in page
    assert "No experiment has ended yet." in page
    assert "train-final" not in page
    assert len(report.write(begun, str(tmp_path))) == 6
    with pytest.raises(UserError, match="no finished experiment"):
        _ = begun.rates


def test_trials_without_a_log_have_no_curve(findings: Findings, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(findings.curves(findings.u_curves[0])) == 6
    folders = [None, "nowhere", *findings.folders[2:]]
    Path(str(folders[2]), "main.log").write_text("no log at all\n", encoding="utf-8")
    some = replace(findings, folders=folders)
    assert len(some.curves(some.u_curves[0])) == 3
    assert capsys.readouterr().err.count("its curve is left out") == 1
    assert figures.losses(replace(findings, folders=())) == []


def test_pictures_are_written_in_known_formats_alone(findings: Findings, tmp_path: Path) -> None:
    few = first(3, findings)
    (path, *_) = figures.write(few, str(tmp_path), "png")
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"\.bmp: a plot is written as"):
        figures.write(few, str(tmp_path), "bmp")


def test_a_u_curve_shows_points_repeats_divergence_and_the_bowl(findings: Findings) -> None:
    curve = findings.u_curves[1]
    axes = axes_of(draw_u_curve, curve, findings.rates, findings.model, PAPER)
    assert axes.get_xscale() == "log"
    shown = sorted(
        (float(x), float(y)) for line in axes.lines if line.get_marker() == "o"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    )  # fmt: skip
    assert shown == sorted((o.experiment.learning_rate, o.loss) for o in curve.outcomes if o.loss is not None)
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[3.2e-2]]
    assert [text.get_text() for text in axes.texts] == ["diverged"]
    (bars,) = axes.containers
    assert bars.has_yerr
    (fitted,) = [line for line in axes.lines if len(line.get_xdata()) > 10]
    lowest = fitted.get_xdata()[np.argmin(fitted.get_ydata())]
    assert lowest == pytest.approx(made_studies.optimum(curve.scale), rel=0.03)
    assert axes.get_ylim()[0] < min(fitted.get_ydata())


def test_a_loss_that_would_flatten_the_others_is_an_arrow_with_its_value() -> None:
    outcomes = [made_studies.outcome(rate, 100, noise=noise) for rate, noise in ((4e-3, 0), (6e-3, 0), (8e-3, 3.0))]
    found = Findings("hybrid", Terms(made_studies.TARGET, 20.0, lambda experiment: 0.0), outcomes)
    axes = axes_of(draw_u_curve, found.u_curves[0], found.rates, None, PAPER)
    assert [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "^"] == [[8e-3]]
    assert [text.get_text() for text in axes.texts] == [f"{outcomes[-1].loss:.2f}"]
    assert axes.get_ylim()[1] < outcomes[-1].loss


def test_the_optimum_is_drawn_up_to_the_target(findings: Findings) -> None:
    axes = axes_of(draw_optimum, findings.u_curves, findings.goal, STEPS, findings.model, PAPER)
    labels = axes.get_legend_handles_labels()[1]
    assert labels == [
        *("95 % of the fit", "68 % of the fit", "optimum, as fitted", "best rate tried", "prior"),
        "recommended: 0.00207",
    ]
    (trend,) = [line for line in axes.lines if line.get_label() == "optimum, as fitted"]
    assert (trend.get_xdata()[0], trend.get_xdata()[-1]) == (100, 4725)
    assert trend.get_ydata()[-1] == pytest.approx(2e-3)
    red = [line for line in axes.lines if line.get_marker() in "^v" and line.get_color() == PAPER.bad]
    assert red == [], "every optimum lies between rates that were tried, but for the rung of one rate"
    edge = Findings("hybrid", findings.terms, [made_studies.outcome(rate, 100) for rate in (1e-3, 2e-3)])
    axes = axes_of(draw_optimum, edge.u_curves, edge.goal, STEPS, None, PAPER)
    assert [line.get_marker() for line in axes.lines if line.get_marker() in ("^", "v")] == ["^"]


def test_loss_curves_are_coloured_by_rate_and_dashed_where_they_diverged(findings: Findings) -> None:
    axes = axes_of(draw_losses, findings.curves(findings.u_curves[0]), findings.rates)
    lines = [line for line in axes.lines if line.get_marker() == "None"]
    assert [line.get_label() for line in lines] == ["0.001", "0.002", "0.004", "0.008", "0.016", "0.032"]
    assert [line.get_linestyle() == "-" for line in lines] == [True] * 5 + [False]
    assert [to_rgba(line.get_color()) for line in lines] == [
        to_rgba(rate_colour(rate, findings.rates)) for rate in (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
    ]
    assert math.isclose(lines[0].get_xdata()[-1], 99)


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        ((8e-5, 2e-1), ["1e-4", "1e-3", "1e-2", "1e-1"]),
        ((8e-4, 4e-2), ["1e-3", "2e-3", "5e-3", "1e-2", "2e-2"]),
        ((9e-4, 4.5e-3), ["1.0e-3", "1.5e-3", "2.0e-3", "3.0e-3", "4.0e-3"]),
        ((2e-2, 2e2), ["1e-1", "1", "10", "100"]),
        ((1.6e-3, 2.5e-3), ["1.7e-3", "1.9e-3", "2.1e-3", "2.3e-3"]),
    ],
)
def test_an_axis_of_rates_has_round_ticks_however_narrow_it_is(limits: tuple[float, float], texts: list[str]) -> None:
    axes = Figure().add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    rate_axis(axes)
    shown = [axes.xaxis.get_major_formatter()(tick) for tick in axes.get_xticks()]
    assert shown[: len(texts)] == texts
    assert 4 <= len(shown) <= 11


def test_what_is_concluded_is_what_the_strategy_recommends_and_the_joint_fit_of_all_runs(findings: Findings) -> None:
    terms = replace(findings.terms, budget=40.0)
    found = conclude(STRATEGIES["hybrid"], terms, findings.outcomes, spent=18.6, budget=42.0)
    assert found.recommendation == STRATEGIES["hybrid"].recommend(terms, findings.outcomes)
    assert found.table.spending().startswith("Total spend: $18.60 of a budget of $42.00;")
    assert found.prior is not None
    assert found.prior.low68 < 2e-3 < found.prior.high68
    assert len(found.predictions) > 5
    worth = re.fullmatch(
        r"12/768/12, [\d,]+ steps at [\d.e, -]+: for \$([\d.]+) the expected .*", str(found.next_experiment)
    )
    assert worth is not None
    assert float(worth[1]) <= 40.0 - found.table.charged + 0.005
    optimum = made_studies.optimum(made_studies.TARGET)
    assert found.goal.recommended is not None
    assert found.goal.recommended.low95 < optimum < found.goal.recommended.high95
    for curve in found.u_curves:  # what is drawn of the fit goes through what it was fitted to
        axes = axes_of(draw_u_curve, curve, found.rates, found.model, PAPER)
        (fitted,) = [line for line in axes.lines if len(line.get_xdata()) > 10]
        for told in curve.outcomes:
            if told.loss is not None:
                drawn = np.interp(told.experiment.learning_rate, fitted.get_xdata(), fitted.get_ydata())
                assert drawn == pytest.approx(told.loss, abs=0.05)


def test_before_anything_can_be_fitted_the_literature_alone_is_told(findings: Findings) -> None:
    found = conclude(STRATEGIES["hybrid"], findings.terms, findings.outcomes[:1])
    assert (found.recommendation, found.next_experiment) == (None, None)
    assert len(figures.optima(found)) == 1
    assert "no rate can be recommended yet" in report.render(found)
