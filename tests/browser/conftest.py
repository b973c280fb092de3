"""Debian's Chromium without a screen, driven by Playwright, at the width of a desk and of a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import audited
import pytest
from audited import Audited
from pyspark.sql import SparkSession

if TYPE_CHECKING:  # it is there where `make browser-test` has brought it
    from playwright.sync_api import Browser, Page

WIDTHS = (1400, 400)
# Nothing but the page under test is to be asked for: no updates, no look at who else is on the network.
_QUIET = ("background-networking", "component-update", "default-apps", "sync", "quic", "gpu")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in _QUIET)]
        )
        yield started
        started.close()


@pytest.fixture(params=WIDTHS)
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page; an error of its own, or a request to elsewhere, fails the test."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert wrong == []


@pytest.fixture(scope="session")
def audited_run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited.make(spark, tmp_path_factory.mktemp("audited"))
