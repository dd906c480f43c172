"""The page as a file: its policy, its parts, its totals, its size."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.report_pages import Written, data_of, rows_of
from helpers.report_runs import HOSTILE, draw_image, make_run, story, with_entities
from PIL import Image

from riveg.errors import UserError
from riveg.evaluation.canonical import canonical
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.gold import gold_set
from riveg.evaluation.verdicts import verdicts
from riveg.report.builder import PageBuilder, page_script, write_page
from riveg.report.images import MOST_BYTES, SIDE, SmallCopies, small_copy
from riveg.types import ImageRef


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(judged: Written) -> None:
    text = judged.path.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digests = [hashlib.sha256(one.encode()).digest() for one in contents]
        assert [f"'sha256-{base64.b64encode(one).decode()}'" for one in digests] == [rules[rule]]


def test_nothing_in_the_page_leads_out_of_it(judged: Written) -> None:
    text = judged.path.read_text(encoding="utf-8")
    text = re.sub(r'(<script type="application/json"[^>]*>).*?</script>', r"\1</script>", text)
    assert set(re.findall(r"https?://[\w.]+", text)) == {"http://www.w3.org"}, "the name of SVG"
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"<(link|iframe|object|embed|base)\b|\bon\w+=|@import|url\((?!#)", text)


def test_hostile_text_stays_in_its_script_element(judged: Written) -> None:
    text = judged.path.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert text.count("<script") == text.count("</script>")
    assert any(one["id"] == HOSTILE for one in rows_of(judged.path))


def test_totals_are_the_canonical_scorers(tmp_path: Path) -> None:
    samples, gold = story(tmp_path / "pictures")
    run = make_run(tmp_path / "run", samples, images=tmp_path / "pictures")
    write_page(run, tmp_path / "report.html", gold=gold, most=2)
    (summary,) = data_of(tmp_path / "report.html", 'id="summary"')
    totals: dict[str, Count] = {}
    kinds: Counter[str] = Counter()
    for sample in samples:
        case = gold.case_of(sample)
        if case is None:
            continue
        for metric, count in canonical()(case).items():
            totals[metric] = totals.get(metric, NOTHING) + count
        kinds.update(one.kind for one in verdicts(case, stages=("tag", "entail", "ground")))
    for metric, count in totals.items():
        (found,) = summary["metrics"][metric]
        assert (found["hits"], found["predicted"], found["gold"]) == (
            count.hits,
            count.predicted,
            count.gold,
        )
        assert found["f1"] == pytest.approx(count.f1, abs=1e-4)
    assert summary["verdicts"] == [kinds]
    assert kinds["right"] == totals["gmner"].hits
    assert (summary["samples"], summary["shown"]) == (47, 2)
    assert summary["withoutGold"] == [1]


def test_verdicts_on_the_page_add_up_to_the_totals(judged: Written) -> None:
    (summary,) = data_of(judged.path, 'id="summary"')
    shown = Counter(
        item["answers"][0]["verdict"]
        for one in rows_of(judged.path)
        if one["gold"] is not None
        for item in one["items"]
    )
    assert summary["verdicts"] == [shown]


def test_gold_without_boxes_blames_no_place(tmp_path: Path) -> None:
    samples, gold = story(tmp_path / "pictures")
    bare = {
        name: replace(one, entities=tuple(replace(each, boxes=None) for each in one.entities))
        for name, one in gold.samples.items()
    }
    run = make_run(tmp_path / "run", samples, images=tmp_path / "pictures")
    write_page(run, tmp_path / "report.html", gold=gold_set("words", bare))
    (summary,) = data_of(tmp_path / "report.html", 'id="summary"')
    assert not {*summary["verdicts"][0]} & {"wrongly-grounded", "wrongly-ungrounded", "box-off"}
    assert summary["verdicts"][0]["right"] == summary["metrics"]["mner"][0]["hits"]


@pytest.mark.parametrize("compared", [False, True])
def test_a_run_of_tags_is_judged_by_words_and_types(tmp_path: Path, compared: bool) -> None:
    samples, gold = story(tmp_path / "pictures")
    bare = {"entailment": None, "regions": None}
    tags = [with_entities(one, *([bare] * len(one.entities or ()))) for one in samples]
    folder = make_run(tmp_path / "tags", tags, images=tmp_path / "pictures", stages=("tag",))
    full = make_run(tmp_path / "full", samples, images=tmp_path / "pictures")
    page = tmp_path / "report.html"
    write_page(folder, page, gold=gold, other=full if compared else None)
    (summary,) = data_of(page, 'id="summary"')
    assert summary["places"] is False
    assert len(summary["verdicts"]) == 1 + compared
    for kinds, scores in zip(summary["verdicts"], summary["metrics"]["mner"], strict=True):
        assert kinds["right"] == scores["hits"]


def test_only_so_many_samples_are_shown_with_their_images(unjudged: Written) -> None:
    assert (unjudged.written.samples, unjudged.written.shown) == (47, 3)
    assert [one["id"] for one in rows_of(unjudged.path)] == ["right", "off", "places"]
    assert len(data_of(unjudged.path, r'id="picture-\d+"')) == 3


def test_types_keep_one_colour_over_all_samples(judged: Written) -> None:
    (summary,) = data_of(judged.path, 'id="summary"')
    assert {"PER", "LOC", "ORG", HOSTILE} <= {*summary["colours"]}
    assert summary["colours"]["PER"] == ["#0072B2", "#ffffff"]


def test_the_page_is_made_piece_by_piece(tmp_path: Path) -> None:
    samples, _ = story(tmp_path / "pictures")
    run = make_run(tmp_path / "run", samples, images=tmp_path / "pictures")
    largest = max(map(len, PageBuilder(run, tmp_path / "report.html").pieces()))
    assert largest < len(page_script()) + 60_000


@pytest.mark.slow
def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    samples, gold = story(tmp_path / "pictures")
    run = make_run(tmp_path / "run", samples, images=tmp_path / "pictures")
    pages = [write_page(run, tmp_path / name, gold=gold).path for name in ("a.html", "b.html")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_two_runs_are_joined_by_id(compared: Written) -> None:
    (summary,) = data_of(compared.path, 'id="summary"')
    assert (summary["notInSecond"], summary["onlyInSecond"]) == (1, 0)
    by_id = {one["id"]: one for one in rows_of(compared.path)}
    assert by_id["filler-3"]["answers"][1] is None
    assert by_id["filler-4"]["answers"][1] is not None
    assert summary["metrics"]["gmner"][0] != summary["metrics"]["gmner"][1]


def test_a_folder_without_a_finished_run_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"records\.jsonl: not there; is .* a run folder"):
        write_page(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_small_copies_are_small_whatever_the_image() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    content = small_copy(noise)
    assert len(content) < 30_000
    smooth = np.tile(np.linspace(0, 255, 1200, dtype=np.uint8)[:, None], (1, 900, 1))
    smooth = np.repeat(smooth.reshape(1200, 900, 1), 3, axis=2)
    assert len(small_copy(smooth)) <= MOST_BYTES
    with Image.open(BytesIO(small_copy(smooth))) as image:
        assert image.size == (SIDE * 900 // 1200, SIDE)
    tiny = np.zeros((3, 2, 3), dtype=np.uint8)
    with Image.open(BytesIO(small_copy(tiny))) as image:
        assert image.size == (2, 3)


def test_images_come_in_order_and_faults_in_their_place(tmp_path: Path) -> None:
    for number in range(40):
        draw_image(tmp_path / f"{number}.jpg", size=(20 + number, 30))
    images: list[ImageRef | None] = [ImageRef(f"{number}.jpg") for number in range(40)]
    images[7:7] = [None, ImageRef("gone.jpg")]
    found = list(SmallCopies([tmp_path]).of(images))
    sides = [one["size"][0] for one in found if "size" in one]
    assert sides == [20 + number for number in range(40)]
    assert [one["fault"]["kind"] for one in found[7:9]] == ["no-picture", "missing-image"]


def test_runs_over_other_samples_are_not_compared(tmp_path: Path) -> None:
    samples, _ = story(tmp_path / "pictures")
    make_run(tmp_path / "a", samples, images=tmp_path / "pictures")
    others = [replace(sample, id=f"other-{sample.id}") for sample in samples]
    make_run(tmp_path / "b", others, images=tmp_path / "pictures")
    with pytest.raises(UserError, match="share no sample"):
        write_page(tmp_path / "a", tmp_path / "page.html", other=tmp_path / "b")
    assert not (tmp_path / "page.html").exists()
