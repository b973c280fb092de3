"""The report of a search for a learning rate in a real browser: nothing overlaps, runs, or leaves the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import made_studies
import pytest
from laid_out import laid_out_well

from trainer.tune import report
from trainer.tune.experiments import Terms
from trainer.tune.findings import conclude
from trainer.tune.strategies import STRATEGIES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, outcomes = tmp_path_factory.mktemp("study"), made_studies.ladder()
    terms = Terms(made_studies.TARGET, 40.0, lambda experiment: 0.005 * experiment.steps)
    folders = made_studies.write_logs(outcomes, folder / "trials")
    found = conclude(STRATEGIES["hybrid"], terms, outcomes, folders=folders, price_per_hour=1.5)
    return Path(report.write(found, str(folder / "report"))[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_of_a_search_is_laid_out_well(page: Page, written: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(written.as_uri())
    laid_out_well(page)
    assert page.title() == "Learning-rate search: report"
    assert page.locator("svg.plot").count() == 9
    for name in ("Loss by learning rate", "Optimum by scale", "Loss curves", "Experiments", "Literature"):
        page.get_by_role("link", name=name).click()
    assert page.locator("#experiments tbody tr").count() == 16
