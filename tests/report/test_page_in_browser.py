"""The page in a real browser: what is drawn, filtered, asked for, and kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from helpers.factories import make_sample
from helpers.report_pages import Open, Opened, Written
from helpers.report_runs import (
    ELSEWHERE,
    FACE,
    HOSTILE,
    SIZE,
    draw_image,
    make_run,
    with_entities,
)
from helpers.scores import score_of

from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.report.builder import write_page
from riveg.types import Box, HeatMap, Region, Span

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def chip(page: Any, facet: str, value: str) -> Any:
    return page.locator("#facets [data-chip]").and_(
        page.locator(f'[data-facet="{facet}"][data-value="{value}"]')
    )


def cards(page: Any) -> list[str]:
    texts: list[str] = page.locator(".card h3").all_inner_texts()
    return texts


@pytest.mark.parametrize(
    ("clicks", "expected", "reason"),
    [
        ([("verdict", "box-off")], ["places"], "the first box lies elsewhere"),
        ([("verdict", "wrongly-grounded")], ["places"], "the second should not be there"),
        ([("verdict", "wrong-span")], ["off"], "half of a name"),
        ([("verdict", "wrong-type")], ["off"], "a place taken for a person"),
        ([("verdict", "unanswered")], ["silent"], "the tagger gave no answer"),
        ([("verdict", "wrongly-ungrounded")], ["gone"], "the gate was wrong already"),
        ([("verdict", "box-off"), ("verdict", "wrong-span")], ["off", "places"], "either"),
        ([("verdict", "box-off"), ("stage", "tag")], [], "no entity is both"),
        ([("stage", "ground")], ["places"], "blame falls on a stage"),
        ([("type", "ORG")], ["off"], "gold types count"),
        ([("type", "PER"), ("verdict", "right")], ["right"], "both of one entity"),
        ([("issue", "bad-answer")], ["silent"], "issues are of samples"),
    ],
)
def test_filters_leave_what_matches_in_one_entity(
    desk: Opened, clicks: Any, expected: list[str], reason: str
) -> None:
    for facet, value in clicks:
        chip(desk.page, facet, value).click()
    known = [identity for identity in desk.ids() if identity != HOSTILE]
    assert known == expected, reason
    if expected:
        assert re.match(r"\d+ of 47 samples", desk.page.locator("#count").inner_text())
    desk.page.locator("#clear").click()
    assert desk.page.locator("#count").inner_text().startswith("47 samples")


def test_counts_of_filters_follow_the_other_filters(desk: Opened) -> None:
    page = desk.page
    count = chip(page, "type", "LOC").locator(".chip-count")
    assert count.inner_text() == "44"
    chip(page, "verdict", "wrongly-grounded").click()
    assert count.inner_text() == "1"
    assert chip(page, "verdict", "right").locator(".chip-count").inner_text() == "43"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lovelace", ["right"]),
        ("SMILING", ["right"]),
        ("in front of a wall", ["right"]),
        ("turing berlin", ["places"]),
        ("filler-17", ["filler-17"]),
        ("nothing like that", []),
    ],
)
def test_search_looks_into_texts_expressions_captions_and_ids(
    desk: Opened, query: str, expected: list[str]
) -> None:
    desk.page.keyboard.press("/")
    desk.page.keyboard.type(query)
    assert desk.ids() == expected
    assert desk.page.locator("#nothing").is_visible() is not bool(expected)


def test_sorting_by_score_and_by_distance_from_the_gate(desk: Opened) -> None:
    desk.page.locator("#sort").select_option("score")
    assert desk.ids()[:3] == ["off", "right", "places"]
    desk.page.locator("#sort").select_option("margin")
    assert desk.ids()[:2] == ["off", "gone"]
    desk.page.locator("#sort").select_option("sure")
    assert desk.ids()[:2] == ["filler-0", "filler-1"]


def test_sorting_asks_of_the_entities_that_the_filters_leave(desk: Opened) -> None:
    chip(desk.page, "type", "LOC").click()
    desk.page.locator("#sort").select_option("score")
    assert desk.ids()[:2] == ["right", "places"], "Paris 0.7, Berlin 0.8"
    chip(desk.page, "type", "LOC").click()
    chip(desk.page, "type", "PER").click()
    desk.page.locator("#sort").select_option("sure")
    assert desk.ids()[:3] == ["right", "places", "off"], "0.9, 0.8, 0.4"


def test_keys_go_on_and_back_and_switch_layers(desk: Opened) -> None:
    page = desk.page
    title = page.locator("#detail h2")
    for key, expected in [
        ("j", "off"),
        ("ArrowDown", "places"),
        ("k", "off"),
        ("ArrowUp", "right"),
    ]:
        page.keyboard.press(key)
        assert title.inner_text() == expected
    page.keyboard.press("k")
    assert title.inner_text() == "right", "there is nothing before the first"
    for key, drawn in [("g", ".shape.gold"), ("m", ".mask"), ("b", ".shape:not(.gold) .box")]:
        assert page.locator(drawn).count() > 0
        page.keyboard.press(key)
        assert page.locator(drawn).count() == 0
    assert page.locator(".observation").count() == 0
    page.keyboard.press("e")
    assert page.locator(".observation").count() == 1
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("j")
    assert title.inner_text() == "right", "a dialog keeps the keys to itself"
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_the_chosen_row_comes_into_sight_and_few_rows_are_in_the_document(desk: Opened) -> None:
    desk.show("#id=filler-39")
    page = desk.page
    chosen = page.locator("#list [aria-selected=true]")
    assert chosen.locator(".row-id").inner_text() == "filler-39"
    place, pane = chosen.bounding_box(), page.locator("#list").bounding_box()
    assert pane["y"] <= place["y"]
    assert place["y"] + place["height"] <= pane["y"] + pane["height"] + 1
    assert page.locator("#list .row").count() < 25
    assert chosen.get_attribute("aria-posinset") == "46"


@pytest.mark.parametrize(
    ("sample", "item", "box"), [("right", 0, FACE), ("off", 0, ELSEWHERE), ("places", 1, FACE)]
)
def test_a_box_is_drawn_where_the_record_says(
    desk: Opened, phone: Opened, sample: str, item: int, box: Box
) -> None:
    for opened in (desk, phone):
        opened.show(f"#id={sample}")
        photo = opened.page.locator(".photo").bounding_box()
        drawn = opened.page.locator(f'.shape:not(.gold)[data-item="{item}"] .box').evaluate(
            "element => { const {x, y, width, height} = element.getBoundingClientRect();"
            " return {x, y, width, height}; }"
        )
        scale = photo["width"] / SIZE[0]
        assert photo["height"] / SIZE[1] == pytest.approx(scale, abs=0.01)
        assert drawn["x"] == pytest.approx(photo["x"] + box.x_min * scale, abs=1)
        assert drawn["y"] == pytest.approx(photo["y"] + box.y_min * scale, abs=1)
        assert drawn["width"] == pytest.approx(box.width * scale, abs=1)
        assert drawn["height"] == pytest.approx(box.height * scale, abs=1)


def test_a_mask_covers_its_pixels_and_spares_its_hole(desk: Opened) -> None:
    desk.show("#id=right")
    page = desk.page
    inside = """(mask, [x, y]) => mask.isPointInFill(new DOMPoint(x, y))"""
    mask = page.locator('.shape:not(.gold)[data-item="0"] .mask')
    middle = ((FACE.x_min + FACE.x_max) / 2, (FACE.y_min + FACE.y_max) / 2)
    assert mask.evaluate(inside, [FACE.x_min + 12, middle[1]]) is True
    assert mask.evaluate(inside, list(middle)) is False
    assert mask.evaluate(inside, [FACE.x_min + 3, FACE.y_min + 3]) is False


def test_words_have_the_colour_of_their_box_and_light_up_with_it(desk: Opened) -> None:
    desk.show("#id=right")
    page = desk.page
    words = page.locator(".words[data-item='0']")
    hue = "element => getComputedStyle(element).getPropertyValue('--hue')"
    box = page.locator(".shape:not(.gold)[data-item='0']")
    assert words.evaluate("element => element.firstChild.textContent") == "Ada Lovelace"
    assert words.evaluate(hue) == box.evaluate(hue) == "#0072B2"
    words.hover()
    for part in (words, box, page.locator(".card[data-item='0']")):
        assert "lit" in part.get_attribute("class")
    assert "lit" not in page.locator(".card[data-item='1']").get_attribute("class")


def test_a_guess_is_dashed_and_named(tmp_path: Path, open_page: Open) -> None:
    region = Region(FACE, 0.3, source="evidence:prior", guess=True)
    sample = make_sample("Ada Lovelace now", [(0, 2, "PER")], id="guessed")
    sample = with_entities(sample, {"regions": (region,)})
    draw_image(tmp_path / "guessed.jpg")
    run = make_run(tmp_path / "run", [sample], images=tmp_path)
    page = open_page(write_page(run, tmp_path / "report.html").path).page
    box = page.locator(".shape .box")
    assert box.evaluate("element => getComputedStyle(element).strokeDasharray") != "none"
    assert page.locator(".shape-label").inner_text() == "Ada Lovelace guess"
    assert "a guess · evidence:prior · box score 0.30" in page.locator(".card").inner_text()


def test_heat_is_a_layer_of_the_types_colour(tmp_path: Path, open_page: Open) -> None:
    region = Region(FACE, source="itm-gradcam", heat=HeatMap(1, 2, "AP8="))
    sample = make_sample("Ada Lovelace now", [(0, 2, "PER")], id="hot")
    sample = with_entities(sample, {"regions": (region,)})
    draw_image(tmp_path / "hot.jpg")
    run = make_run(tmp_path / "run", [sample], images=tmp_path)
    opened = open_page(write_page(run, tmp_path / "report.html").path)
    page = opened.page
    assert page.locator(".shape .heat").count() == 0
    page.keyboard.press("h")
    heat = page.locator(".shape .heat")
    colour = page.locator(".shape .box").evaluate("element => getComputedStyle(element).stroke")
    assert heat.evaluate("element => getComputedStyle(element).fill") == colour
    page.locator("[data-layer=heat]").click()
    assert page.locator(".shape .heat").count() == 0
    opened.check()


def test_fine_types_are_shown_and_filtered(tmp_path: Path, open_page: Open) -> None:
    fine = {"fine_label": "actor", "fine_label_scores": {"actor": 0.75, "singer": 0.25}}
    (one, other) = (make_sample("Ann sings", [(0, 1, "PER")], id=name) for name in ("a", "b"))
    samples = [with_entities(one, {**fine, "regions": ()}), with_entities(other, {"regions": ()})]
    entity = AnnotatedEntity("Ann", "PER", Span(0, 1), "singer", ())
    gold = gold_set("posts", {name: GoldSample((entity,)) for name in ("a", "b")})
    run = make_run(tmp_path / "run", samples, images=tmp_path)
    write_page(run, tmp_path / "page.html", gold=gold)
    opened = open_page(tmp_path / "page.html")
    page = opened.page
    chip(page, "fine", "actor").click()
    assert opened.ids() == ["a"]
    chip(page, "fine", "actor").click()
    chip(page, "verdict", "wrong-fine-type").click()
    assert opened.ids() == ["a", "b"]
    card = page.locator(".card").first
    assert card.locator("header .type").inner_text() == "PER/actor"
    assert card.locator(".bar-name").all_inner_texts() == ["actor", "singer"]
    assert card.locator(".gold-line .type").inner_text() == "PER/singer"
    opened.check()


def test_a_card_shows_the_answer_of_every_stage(desk: Opened) -> None:
    desk.show("#id=right")
    page = desk.page
    said = page.locator(".card").first.inner_text()
    for part in ("right", "tag score 0.90", "0.80", "a woman smiling", "0.90 of 0.60", "IoU 1.00"):
        assert part in said
    assert "evidence:face · box score 0.80 · 192 × 240 at 97, 60 · mask grabcut" in said
    page.keyboard.press("j")
    assert "wrong span\nat tag" in page.locator(".card").first.inner_text()


def test_samples_without_a_usable_image_say_why(desk: Opened) -> None:
    desk.show("#id=silent")
    page = desk.page
    assert page.locator(".placeholder[data-fault=no-picture]").is_visible()
    assert "the tagger gave no answer" in page.locator("#detail .issues").inner_text()
    page.keyboard.press("j")
    fault = page.locator(".placeholder[data-fault=missing-image]")
    assert "gone.jpg" in fault.inner_text()


def test_hostile_text_is_shown_and_does_nothing(desk: Opened) -> None:
    page = desk.page
    assert page.locator("#list .row").count() > 5
    for _ in range(5):
        page.keyboard.press("j")
    assert page.locator("#detail h2").inner_text().startswith("</script><img")
    page.keyboard.press("e")
    page.locator(".knowledge summary").click()
    assert page.locator("#detail img:not(.photo)").count() == 0
    assert page.locator("script:not([type])").count() == 1
    assert page.locator(".card .said").inner_text().startswith("</script>")
    assert chip(page, "issue", "x").count() == 1
    link = page.locator("figcaption a").evaluate("element => element.href")
    assert link.startswith("file:")
    assert page.locator(".photo").evaluate("element => element.naturalWidth") > 0


def test_long_samples_leave_room_for_the_image(tmp_path: Path, open_page: Open) -> None:
    spans = [(3 * number, 3 * number + 1, "PER") for number in range(400)]
    sample = make_sample("\u202eAda ran away " * 400, spans, id="long")
    run = make_run(tmp_path / "run", [sample], images=tmp_path / "pictures")
    page = open_page(write_page(run, tmp_path / "report.html").path).page
    assert page.locator(".post").bounding_box()["height"] < 400
    assert page.locator(".picture").bounding_box()["y"] < 800
    assert page.locator(".marks .mark").count() == 8
    assert page.locator(".more-marks").inner_text() == "+392"
    small = page.locator(".words small").first
    assert small.evaluate("(one) => getComputedStyle(one).unicodeBidi") == "isolate"


def test_the_original_replaces_the_small_copy(desk: Opened) -> None:
    desk.show("#id=right&original=1")
    page = desk.page
    photo = page.locator(".photo")
    page.locator(".photo[src$='/pictures/right.jpg']").wait_for()
    assert photo.evaluate("element => element.naturalWidth") == SIZE[0]
    desk.show("#" + urlencode({"id": HOSTILE, "original": "1"}))
    page.locator(".photo[src^='file:']").wait_for()
    assert photo.evaluate("element => element.naturalWidth") == SIZE[0]


def test_a_reload_and_a_sent_link_come_back(judged: Written, open_page: Open) -> None:
    first = open_page(judged.path)
    first.page.locator("#sort").select_option("score")
    chip(first.page, "type", "LOC").click()
    chip(first.page, "verdict", "right").click()
    first.page.locator("#search").fill("filler")
    first.page.locator("#search").press("Enter")
    for key in "jjjm":
        first.page.keyboard.press(key)
    chosen, listed = first.page.locator("#detail h2").inner_text(), first.ids()
    address = first.page.url
    first.page.reload()
    first.page.wait_for_selector("html[data-ready=whole]")
    second = open_page(judged.path, address[address.index("#") :])
    for opened in (first, second):
        assert opened.page.locator("#detail h2").inner_text() == chosen
        assert opened.ids() == listed
        assert opened.page.locator("#search").input_value() == "filler"
        assert opened.page.locator("#sort").input_value() == "score"
        assert chip(opened.page, "type", "LOC").get_attribute("aria-pressed") == "true"
        masks = opened.page.locator("[data-layer=masks]")
        assert masks.get_attribute("aria-pressed") == "false"


def test_another_address_in_the_same_tab_is_followed(desk: Opened) -> None:
    desk.show("#id=places&verdict=box-off")
    assert desk.page.locator("#detail h2").inner_text() == "places"
    assert desk.ids() == ["places"]


@pytest.mark.parametrize(
    "hash", ["#id=nobody&verdict=none&sort=x", "#%", "#__proto__=1&sort=toString"]
)
def test_a_strange_address_is_harmless(desk: Opened, hash: str) -> None:
    desk.show(hash)
    page = desk.page
    if page.locator("#clear").is_visible():
        page.locator("#clear").click()
    assert page.locator("#list .row").count() > 5


def test_the_header_shows_the_scores_and_what_they_are_of(judged: Written, desk: Opened) -> None:
    page = desk.page
    (evaluation,) = judged.written.evaluations
    for metric in ("gmner", "eeg", "mner"):
        shown = page.locator(f"[data-metric={metric}] b").inner_text()
        assert shown == f"{score_of(evaluation, metric).f1:.2f}"
    assert "1 sample without gold" in page.locator("#notice").inner_text()
    page.locator("#open-about").click()
    told = page.locator("#about").inner_text()
    for part in ("made-up", "version 3", "split test", "tag: mini", "Protocol canonical", "none"):
        assert part in told
    page.locator("#about button").click()
    assert not page.locator("#about").is_visible()


def test_two_runs_side_by_side(compared: Written, open_page: Open) -> None:
    opened = open_page(compared.path)
    page = opened.page
    assert page.locator(".picture .stage").count() == 2
    assert "broken" in page.locator(".card").first.inner_text()
    assert "1 sample only in A" in page.locator("#notice").inner_text()
    for outcome, expected in {"fixed": ["off"], "broken": ["right", "filler-3"]}.items():
        chip(page, "outcome", outcome).click()
        assert opened.ids() == expected, outcome
        chip(page, "outcome", outcome).click()
    assert page.locator("[data-metric=gmner] .change").inner_text().startswith("−")


def test_without_gold_there_is_no_verdict_and_the_rest_works(
    unjudged: Written, open_page: Open
) -> None:
    page = open_page(unjudged.path).page
    assert page.locator("[data-facet=verdict], .verdict, [data-layer=gold], .score").count() == 0
    assert page.locator(".card").count() == 2
    assert "the first 3 of 47" in page.locator("#notice").inner_text()
    assert page.locator("#list .row").count() == 3


@pytest.mark.parametrize("view", ["judged", "compared", "unjudged"])
def test_a_phone_needs_no_sideways_scrolling(
    view: str, request: pytest.FixtureRequest, open_page: Open
) -> None:
    path: Path = request.getfixturevalue(view).path
    page = open_page(path, viewport={"width": 400, "height": 800}).page
    overflow = "document.documentElement.scrollWidth"
    assert page.evaluate(overflow) == 400
    page.locator("#toggle-facets").click()
    assert page.locator("#facets").is_visible()
    assert page.evaluate(overflow) == 400
    page.locator("#toggle-facets").click()
    page.locator("#list .row").first.click()
    for _ in range(3 if view == "unjudged" else 6):
        assert page.locator("#detail").is_visible()
        widths = page.locator("#detail").evaluate("pane => [pane.scrollWidth, pane.clientWidth]")
        assert widths[0] <= widths[1]
        assert page.evaluate(overflow) == 400
        page.locator("[data-do=next]").click()
    page.locator("[data-do=back]").click()
    assert page.locator("#list").is_visible()
    assert not page.locator("#detail").is_visible()


def test_back_returns_from_a_sample_to_the_list_on_a_phone(phone: Opened) -> None:
    page = phone.page
    page.locator("#list .row").first.click()
    assert page.locator("#detail").is_visible()
    page.go_back()
    page.locator("#list").wait_for(state="visible")


def test_light_and_dark(judged: Written, open_page: Open) -> None:
    page = open_page(judged.path, color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    for expected in ("light", "dark", "system"):
        page.locator("#theme").click()
        assert page.locator("#theme").inner_text() == f"Theme: {expected}"
        assert (page.evaluate(ground) == dark) is (expected != "light")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) != dark


CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = (rgb) => rgb.slice(0, 3).reduce(
    (sum, part, at) => sum + [0.2126, 0.7152, 0.0722][at] * linear(part / 255), 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      const parts = colour.startsWith('rgb(') ? parse(colour) : null;
      if (parts) return parts;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll(
      '#top *, #bar *, .chip:not(.empty) *, .row *, #detail *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest('select, .shape-label')) continue;
    const [one, other] = [luminance(parse(getComputedStyle(element).color)),
                          luminance(ground(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    const least = element.closest('.type, small') ? 3 : 4.5;
    if (contrast < least) found.push([element.className, element.textContent, contrast]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(judged: Written, open_page: Open, scheme: str) -> None:
    page = open_page(judged.path, "#id=off", color_scheme=scheme).page
    assert page.evaluate(CONTRASTS) == []


def test_every_control_has_a_name(desk: Opened) -> None:
    page = desk.page
    nameless = """() => [...document.querySelectorAll('button, input, select, [role=option]')]
      .filter((one) => one.checkVisibility() && !(one.getAttribute('aria-label') || one.title
        || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML)"""
    assert page.evaluate(nameless) == []
