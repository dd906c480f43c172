"""The page of ``riveg prompt-debug`` in a real browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.debugged_samples import (
    PROMPT,
    SAMPLES,
    gold_of_samples,
    make_chosen,
    make_debugger,
    with_gate,
    write_system,
)
from helpers.factories import make_sample
from helpers.report_pages import Open
from helpers.report_runs import HOSTILE, draw_image

from riveg.prompt_debug.builder import write_page
from riveg.types import ImageRef

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Two prompts over three samples, one with an image."""
    draw_image(tmp_path / "one.jpg")
    samples = make_chosen(read_gold=gold_of_samples)
    debugger, _ = make_debugger(with_gate(write_system(tmp_path)), samples, asks=True)
    found = debugger.look(None, str(tmp_path / "other.jinja"))
    write_page(found, tmp_path / "page.html", [tmp_path])
    return tmp_path / "page.html"


def test_both_answers_stand_side_by_side(open_page: Open, compared: Path) -> None:
    page = open_page(compared).page
    card = page.locator("[data-card]").first
    assert card.locator(".own").inner_text().strip() == "red"
    assert card.locator(".effects tr").all_inner_texts()[0].split("\t") == [
        "entail",
        "not shown 0.10",
        "shown 0.90",
    ]
    assert "1 changed, 2 same" in page.locator("#lines").inner_text()
    assert page.locator(".seen-post img").count() == 1
    assert page.locator(".no-picture").first.inner_text() == "missing-image"
    assert page.locator(".differ ins").inner_text().strip() == "with colours"
    first, second = (box["x"] for box in map(_box, card.locator(".told").all()))
    assert first < second


def _box(locator: object) -> dict[str, float]:
    return locator.bounding_box()  # type: ignore[attr-defined, no-any-return]


def test_chips_and_search_leave_what_fits(open_page: Open, compared: Path) -> None:
    page = open_page(compared).page
    assert page.locator("#count").inner_text() == "3 shown"
    page.locator("[data-value=changed]").click()
    assert page.locator("#count").inner_text() == "1 of 3"
    assert page.locator("[data-card]:visible h3 b").all_inner_texts() == ["Ada Lovelace"]
    page.locator("[data-value=changed]").click()
    page.keyboard.press("/")
    page.keyboard.type("nasa")
    assert page.locator("article.asked:visible").count() == 1


def test_messages_and_values_open_below_a_card(open_page: Open, compared: Path) -> None:
    page = open_page(compared).page
    card = page.locator("[data-card]").first
    card.locator("summary").click()
    assert "Ada Lovelace in Paris" in card.locator(".message pre").first.inner_text()
    assert card.locator(".values .source").first.inner_text() == "sample.text"
    assert '"phrase"' in card.locator(".raw").first.inner_text()


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(open_page: Open, compared: Path, width: int) -> None:
    page = open_page(compared, viewport={"width": width, "height": 800}).page
    for summary in page.locator("summary").all():
        summary.click()
    sheet = page.locator("#sheet")
    assert sheet.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("asks", [True, False])
def test_hostile_text_is_text(open_page: Open, tmp_path: Path, asks: bool) -> None:
    config = write_system(tmp_path)
    (tmp_path / "mine.jinja").write_text(PROMPT.replace("Say what", f"Say {HOSTILE} what"))
    text = f"Eve says {HOSTILE.replace(' ', '')} {{{{7*7}}}}"
    sample = make_sample(text, [(0, 1, HOSTILE)], id=HOSTILE)
    sample = replace(sample, caption=HOSTILE, image=ImageRef(HOSTILE))
    debugger, _ = make_debugger(config, make_chosen([sample]), says=lambda _: HOSTILE, asks=asks)
    found = debugger.look(None, str(tmp_path / "other.jinja"))
    write_page(found, tmp_path / "page.html", [tmp_path])
    page = open_page(tmp_path / "page.html").page
    assert page.locator(".seen-post h3").inner_text() == HOSTILE
    assert "{{7*7}}" in page.locator(".words-of-post").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_one_prompt(open_page: Open, tmp_path: Path) -> None:
    debugger, _ = make_debugger(write_system(tmp_path), make_chosen(SAMPLES), asks=True)
    write_page(debugger.look(None), tmp_path / "page.html", [tmp_path])
    page = open_page(tmp_path / "page.html").page
    assert page.locator("[data-card]").count() == 3
    assert page.locator("[data-card]").first.locator(".told").inner_text().startswith("e0 a look")
    assert (
        page.locator("article.asked")
        .last.inner_text()
        .endswith("Nothing is asked about this post.")
    )
