"""What a study leaves for people: one page that needs nothing but a browser, and beside it table and pictures as files.

Everything is made of `Findings`; the same ones make the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources

from markupsafe import Markup

import sparkprep
from sparkprep.io.files import make_folder, write_text
from sparkprep.io.paths import join_path, normalise
from sparkprep.pages.environment import environment
from sparkprep.pages.reported import REPORT
from trainer.tune import figures
from trainer.tune.findings import Findings
from trainer.tune.literature import TOKENS_PER_STEP
from trainer.tune.tables import COLUMNS, money, rate

RECOMMENDATION = "recommendation.json"
_LOSS = [column.key for column in COLUMNS].index("final_val_loss")
_POINTS = (
    "A point is a run; repeats of a rate have their mean with a bar of one standard deviation to both sides. × at the "
    "top: diverged; ▲: a loss beyond the picture."
)
_BOWL = " The line is the fitted bowl, dashed its optimum, with the bands that hold it with 68 and 95 %."
_OPTIMA = (
    "A point is the best rate tried at a scale; its bar reaches to the rates tried beside it, between which the "
    "optimum is. A red arrow: nothing was tried there, so the optimum may lie beyond. A ring: but one rate was tried."
)
_TREND = " The line is the optimum as fitted, with its bands of 68 and 95 %. Thick and thin: 68 and 95 %."


def render(findings: Findings, files: Sequence[str] = ()) -> str:
    """Return the page, whole in itself. files: names of what lies beside it. Every text is escaped."""
    source = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    made = environment(__package__)
    made.filters |= {"rate": rate, "dollars": money}
    table = findings.table
    fitted = findings.model is not None
    return made.from_string(source).render(
        f=findings,
        table=table,
        columns=[column.heading.replace("\n", " ") for column in COLUMNS],
        loss_column=_LOSS,
        diverged=sum(outcome.diverged for outcome in findings.outcomes),
        warnings=findings.warnings,
        files=files,
        usual_batch=TOKENS_PER_STEP,
        versions=f"sparkprep {sparkprep.__version__}",
        curves_caption=_POINTS + (_BOWL if fitted else ""),
        optima_caption=_OPTIMA + (_TREND if fitted else ""),
        **{
            name: [Markup(picture.svg()) for picture in pictures(findings)]
            for name, pictures in (("curves", figures.u_curves), ("optima", figures.optima), ("losses", figures.losses))
        },
    )


def write(findings: Findings, folder: str, ending: str = "png") -> list[str]:
    """Write page, recommendation, table and pictures into a folder, made if it is not there, and return their paths.

    The page, which comes last, is the first of them. ending: of the pictures, png, svg or pdf. Raises UserError for
    another, and where a file cannot be written.
    """
    folder = normalise(folder)
    make_folder(folder)
    recommendation = join_path(folder, RECOMMENDATION)
    write_text(recommendation, findings.json())
    beside = [recommendation, *findings.table.write(folder), *figures.write(findings, folder, ending)]
    page = join_path(folder, REPORT)
    write_text(page, render(findings, [os.path.basename(path) for path in beside]))
    return [page, *beside]
