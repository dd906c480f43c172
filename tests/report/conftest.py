"""One browser for all tests of the page, and pages to open in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.report_pages import Open, Opened, Written
from helpers.report_runs import UNSEEN, make_run, story, with_entities

from riveg.report.builder import write_page
from riveg.types import Sample

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


def _open(browser: Any, path: Path, hash: str = "", **options: Any) -> Opened:
    options.setdefault("viewport", {"width": 1280, "height": 800})
    opened = Opened(browser.new_page(**options))
    page = opened.page
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("console", lambda said: opened.complaints.append(said.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("dialog", partial(_dismiss, opened))
    opened.goto(path, hash)
    return opened


def _dismiss(opened: Opened, dialog: Any) -> None:
    opened.complaints.append("dialog")
    dialog.dismiss()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a page of the report; whatever it asks for but files, and every complaint, fails."""
    pages: list[Opened] = []

    def opener(path: Path, hash: str = "", **options: Any) -> Opened:
        pages.append(_open(browser, path, hash, **options))
        return pages[-1]

    yield opener
    for opened in pages:
        opened.check()
        opened.page.close()


@pytest.fixture(scope="session")
def _desk(browser: Any, judged: Written) -> Opened:
    return _open(browser, judged.path)


@pytest.fixture(scope="session")
def _phone(browser: Any, judged: Written) -> Opened:
    return _open(browser, judged.path, viewport={"width": 400, "height": 800})


@pytest.fixture
def phone(_phone: Opened) -> Iterator[Opened]:
    """The judged page at a phone's width, open for all tests, with nothing chosen."""
    _phone.show()
    yield _phone
    _phone.check()


@pytest.fixture
def desk(_desk: Opened) -> Iterator[Opened]:
    """The judged page at a desk's width, open for all tests, with nothing chosen."""
    _desk.page.evaluate("document.activeElement.blur()")
    _desk.page.mouse.move(0, 0)
    _desk.show()
    yield _desk
    _desk.check()


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The page of a run with gold."""
    folder = tmp_path_factory.mktemp("judged")
    samples, gold = story(folder / "pictures")
    run = make_run(folder / "run", samples, images=folder / "pictures")
    written = write_page(run, folder / "pages" / "report.html", gold=gold)
    return Written(written, samples, run)


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The page of two runs: the second mends ``off``, breaks ``right``, and lacks a sample."""
    folder = tmp_path_factory.mktemp("compared")
    samples, gold = story(folder / "pictures")
    run = make_run(folder / "run-a", samples, images=folder / "pictures")
    second = make_run(
        folder / "run-b",
        [_second(sample) for sample in samples if sample.id != "filler-3"],
        images=folder / "pictures",
    )
    written = write_page(run, folder / "compare.html", gold=gold, other=second)
    return Written(written, samples, run)


def _second(sample: Sample) -> Sample:
    if sample.id == "right":
        return with_entities(sample, UNSEEN, UNSEEN)
    if sample.id == "off":
        return with_entities(sample, {}, {"label": "ORG"})
    return sample


@pytest.fixture(scope="session")
def unjudged(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The page of a run without gold, of which only the first three samples are shown."""
    folder = tmp_path_factory.mktemp("unjudged")
    samples, _ = story(folder / "pictures")
    run = make_run(folder / "run", [replace(one) for one in samples], images=folder / "pictures")
    written = write_page(run, folder / "report.html", most=3)
    return Written(written, samples, run)
