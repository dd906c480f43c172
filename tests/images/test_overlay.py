"""Overlays: what must be seen in them, and what they must survive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from riveg.errors import UserError
from riveg.geometry.masks import mask_from_array
from riveg.images.fonts import PAPER, Fonts, Sizes, font
from riveg.images.overlay import draw_overlay
from riveg.images.palette import PALETTE, type_colours
from riveg.images.text_strip import entity_note
from riveg.text.tokenise import tokenise
from riveg.types import Box, Entailment, Entity, HeatMap, ImageRef, Mask, Region, Sample, Span

GREY = (128, 128, 128)


def blank(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def entity(
    position: int,
    text: str,
    boxes: Sequence[tuple[float, float, float, float]] | None = (),
    label: str = "PER",
    **fields: Any,
) -> Entity:
    regions = None if boxes is None else tuple(Region(Box(*box), 0.8) for box in boxes)
    span = Span(position, position + len(text.split()))
    return Entity(f"e{position}", text, label, span, 0.9, regions=regions, **fields)


def sample(text: str, *entities: Entity, tagged: bool = True) -> Sample:
    tokens = tuple(text.split())
    offsets, start = [], 0
    for token in tokens:
        start = text.index(token, start)
        offsets.append((start, start + len(token)))
        start += len(token)
    found = entities if tagged else None
    return Sample("s", text, tokens, tuple(offsets), ImageRef("a.jpg"), entities=found)


def pixels(image: Image.Image, colour: str) -> NDArray[np.bool_]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    same: NDArray[np.bool_] = (np.asarray(image) == (red, green, blue)).all(axis=2)
    return same


def test_boxes_lie_where_they_should() -> None:
    drawn = draw_overlay(blank(), sample("Ann here", entity(0, "Ann", [(100, 120, 300, 400)])))
    frame = pixels(drawn, PALETTE[0])[:480]
    assert drawn.size[0] == 640
    assert frame[120:400, 100].all()
    assert frame[120:400, 299].all()
    assert frame[120, 100:300].all()
    assert frame[399, 100:300].all()
    assert np.array_equal(np.asarray(drawn)[260, 200], GREY)


def test_a_guess_is_dashed_and_says_so() -> None:
    box = Box(100, 120, 400, 420)
    drawn = []
    for guess in (True, False):
        region = Region(box, 0.8, guess=guess)
        ann = Entity("e", "Ann", "PER", Span(0, 1), regions=(region,))
        drawn.append(draw_overlay(blank(), sample("Ann here", ann)))
    dashed, whole = (pixels(image, PALETTE[0])[:480] for image in drawn)
    for side in (
        np.s_[130:410, 100],
        np.s_[130:410, 399],
        np.s_[120, 110:390],
        np.s_[419, 110:390],
    ):
        assert whole[side].all()
        assert 0.3 < dashed[side].mean() < 0.8
    chips = [image[60:119, 100:300].sum() for image in (dashed, whole)]
    assert chips[0] > 1.2 * chips[1], "a longer label: with the word"


@pytest.mark.parametrize("placed", [True, False])
def test_the_number_is_the_probability_that_the_image_shows_it(placed: bool) -> None:
    """It is drawn with its name; scores of the tagger and of the region are not drawn."""
    boxes = [(100.0, 120.0, 400.0, 420.0)] if placed else ()

    def drawn(probability: float | None, **scores: Any) -> bytes:
        entailment = Entailment(probability, placed)
        ann = replace(entity(0, "Ann", boxes, entailment=entailment), **scores)
        return draw_overlay(blank(), sample("Ann here", ann)).tobytes()

    assert drawn(0.91) != drawn(0.52) != drawn(None)
    assert drawn(0.91) == drawn(0.91, score=0.1)


@pytest.mark.parametrize(
    ("entailment", "note"),
    [
        (None, "PER"),
        (Entailment(None, True), "PER"),
        (Entailment(0.907, True), "PER shown 0.91"),
        (Entailment(0.0, False), "PER shown 0.00"),
    ],
)
def test_the_number_is_labelled(entailment: Entailment | None, note: str) -> None:
    assert entity_note(entity(0, "Ann", entailment=entailment), Fonts(others=())) == note


def test_a_place_that_was_not_found_is_not_called_absent() -> None:
    def drawn(*, groundable: bool, regions: tuple[Region, ...] | None) -> bytes:
        entailment = Entailment(0.6, groundable)
        ann = replace(entity(0, "Ann", entailment=entailment), regions=regions)
        return draw_overlay(blank(), sample("Ann here", ann)).tobytes()

    absent, not_found = (drawn(groundable=shown, regions=()) for shown in (False, True))
    unanswered = drawn(groundable=True, regions=None)
    assert len({absent, not_found, unanswered}) == 3
    assert drawn(groundable=False, regions=None) == absent


def test_boxes_and_words_have_the_colour_of_the_type() -> None:
    answered = sample(
        "Ann and Bob at NASA in Paris",
        entity(0, "Ann", [(10, 100, 100, 300)]),
        entity(2, "Bob", [(300, 100, 400, 300)]),
        entity(4, "NASA", [(500, 100, 600, 300)], label="ORG"),
        entity(6, "Paris", label="LOC"),
    )
    drawn = draw_overlay(blank(), answered)
    colours = type_colours(["PER", "ORG", "LOC"])
    person, organization = (pixels(drawn, colours[label]) for label in ("PER", "ORG"))
    assert person[200, 10]
    assert person[200, 300]
    assert organization[200, 500]
    assert person[480:].any()
    assert organization[480:].any()
    assert not pixels(drawn, colours["LOC"]).any()  # it has no place in the image: grey


def test_the_colours_of_a_whole_run_may_be_given() -> None:
    answered = sample("Aurora", entity(0, "Aurora", [(10, 100, 100, 300)], label="SHIP"))
    whole = type_colours(["PLANE", "SHIP"])
    assert whole["SHIP"] != type_colours(["SHIP"])["SHIP"]
    assert pixels(draw_overlay(blank(), answered, whole), whole["SHIP"])[200, 10]


def test_chips_have_a_rim_that_keeps_two_of_a_type_apart() -> None:
    box = (200, 200, 420, 330)
    people = [entity(position, name, [box]) for position, name in enumerate(["Ann", "Bob"])]
    drawn = draw_overlay(blank(), sample("Ann Bob", *people))
    rim = pixels(drawn, PAPER)[:480]
    above, below = rim[:200].sum(), rim[200:].sum()
    one = pixels(draw_overlay(blank(), sample("Ann", people[0])), PAPER)[:480].sum()
    assert one > 100
    assert above + below > 1.8 * one


def test_mask_is_translucent_and_stays_within_its_pixels() -> None:
    inside = np.zeros((480, 640), dtype=bool)
    inside[200:300, 200:300] = True
    region = Region(Box(200, 200, 300, 300), 0.8, mask_from_array(inside))
    person = Entity("e", "Ann", "PER", Span(0, 1), regions=(region,))
    drawn = np.asarray(draw_overlay(blank(), sample("Ann", person)))
    assert not np.array_equal(drawn[250, 250], GREY)
    assert not pixels(Image.fromarray(drawn), PALETTE[0])[250, 250]
    assert np.array_equal(drawn[250, 320], GREY)


def test_a_damaged_mask_is_one_line() -> None:
    region = Region(Box(200, 200, 300, 300), 0.8, Mask(480, 640, "l0"))
    person = Entity("e", "Ann\n\x1b", "PER", Span(0, 1), regions=(region,))
    with pytest.raises(UserError, match=r"^sample 's': the mask of 'Ann\\n.*' is damaged") as error:
        draw_overlay(blank(), sample("Ann", person))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("count", [2, 4, 7])
def test_labels_of_one_place_do_not_cover_one_another(count: int) -> None:
    names = ["Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus"][:count]
    box = (200, 200, 420, 330)
    labels = [f"TYPE {position}" for position in range(count)]
    everyone = [
        entity(position, name, [box], label=label)
        for position, (name, label) in enumerate(zip(names, labels, strict=True))
    ]
    drawn = draw_overlay(blank(), sample(" ".join(names), *everyone))
    alone = draw_overlay(blank(), sample("Ann", entity(0, "Ann", [box], label=labels[0])))
    colours = type_colours(labels)
    chip = int(pixels(alone, colours[labels[0]])[:199].sum())  # it stands on its frame
    assert chip > 800
    for colour in colours.values():
        assert pixels(drawn, colour)[:480].sum() > 0.8 * chip


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0, 0, 640, 480), "the whole picture"),
        ((0, 0, 30, 20), "upper left corner"),
        ((620, 0, 640, 20), "upper right corner"),
        ((0, 460, 20, 480), "lower left corner"),
        ((620, 460, 640, 480), "lower right corner"),
        ((-50, -50, 20, 20), "reaches out of the picture"),
        ((600, 400, 900, 900), "reaches out at the other side"),
        ((700, 500, 800, 600), "all outside"),
        ((10.2, 10.3, 10.4, 10.5), "less than a pixel"),
    ],
)
def test_label_stays_inside(box: tuple[float, float, float, float], reason: str) -> None:
    drawn = draw_overlay(blank(), sample("Ann", entity(0, "Ann", [box])))
    chip = draw_overlay(blank(), sample("Ann", entity(0, "Ann", [(200, 200, 300, 300)])))
    whole = pixels(chip, PALETTE[0])[:199].sum()
    assert whole > 800
    assert pixels(drawn, PALETTE[0])[:480].sum() >= 0.9 * whole


def test_label_of_small_ocr_text_does_not_hide_it() -> None:
    box = (250, 200, 390, 222)
    drawn = np.asarray(draw_overlay(blank(), sample("Ann", entity(0, "Ann", [box]))))
    assert (drawn[204:218, 255:385] == GREY).all()


def test_ungroundable_entities_are_listed_below_in_grey() -> None:
    shown = draw_overlay(blank(), sample("Ann here", entity(0, "Ann", [(9, 9, 90, 90)])))
    absent = draw_overlay(blank(), sample("Ann here", entity(0, "Ann", ())))
    assert absent.height > shown.height
    assert not any(pixels(absent, colour).any() for colour in PALETTE)
    refused = entity(0, "Ann", None, entailment=Entailment(None, groundable=False))
    assert draw_overlay(blank(), sample("Ann here", refused)) == absent


def test_unanswered_is_not_drawn_as_ungroundable() -> None:
    answers = [
        sample("Ann here", entity(0, "Ann", ())),
        sample("Ann here", entity(0, "Ann", None)),
        sample("Ann here"),
        sample("Ann here", tagged=False),
    ]
    drawn = [draw_overlay(blank(), each).tobytes() for each in answers]
    assert len(set(drawn)) == len(answers)


def test_arguments_are_not_changed_and_answers_repeat() -> None:
    source = blank()
    source.setflags(write=False)
    answered = sample("Ann and Bob", entity(0, "Ann", [(10, 10, 60, 90)]), entity(2, "Bob"))
    assert draw_overlay(source, answered).tobytes() == draw_overlay(source, answered).tobytes()
    assert (source == 128).all()


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(640, 480, 640), (1600, 900, 1600), (60, 40, 640), (4000, 3000, 1600), (40, 60, 427)],
)
def test_size_is_legible(width: int, height: int, expected: int) -> None:
    box = (width * 0.25, height * 0.25, width * 0.75, height * 0.75)
    drawn = draw_overlay(blank(width, height), sample("Ann", entity(0, "Ann", [box])))
    assert drawn.width == expected
    assert pixels(drawn, PALETTE[0]).any()


@pytest.mark.parametrize(("width", "height"), [(2, 2), (2, 900), (3000, 2), (1, 1)])
def test_extreme_shapes(width: int, height: int) -> None:
    box = (0, 0, width, height)
    drawn = draw_overlay(blank(width, height), sample("Ann", entity(0, "Ann", [box])))
    assert drawn.mode == "RGB"


@pytest.mark.parametrize(
    "text",
    [
        "東京 タワー",
        "شيماء و محمد",
        "שלום עולם",
        "Ελλάδα Россия",
        "👩‍👩‍👧 🇩🇪 ☕️",
        "a\0b \x1b[31m",
        "lone \ud800 surrogate",
        "z̷̢̛a̸̡l̵g̶o̴ text",
        "x" * 5000,
        "word " * 20000,
        "<script>alert(1)</script> {{ 7*7 }}",
        "two\nlines\r\nand\u2028more",
    ],
)
def test_any_text_can_be_drawn(text: str) -> None:
    first = text.split()[0]
    drawn = draw_overlay(blank(), sample(text, entity(0, first, [(10, 10, 200, 200)])))
    assert 480 < drawn.height < 1000
    absent = draw_overlay(blank(), sample(text, entity(0, first, ())))
    assert absent.height < 1000


@pytest.mark.parametrize("image_width", [640, 1000, 1600])
@pytest.mark.parametrize("text", ["Meyer!", "Berlin,", "(USA)", "#NASA."])
def test_marks_beside_a_name_are_not_underlined(text: str, image_width: int) -> None:
    """With or without its marks, a name's ground is as wide; it ends where they begin."""
    tokens, offsets = tokenise(text)
    position = next(at for at, token in enumerate(tokens) if token.isalpha())
    found = entity(position, tokens[position], [(10, 10, 90, 90)])
    image = ImageRef("a.jpg")
    sample = Sample("s", text, tokens, offsets, image, entities=(found,))
    strip = pixels(draw_overlay(blank(image_width), sample), PALETTE[0])[480:]
    (columns,) = np.nonzero(strip.any(axis=0))
    sizes = Sizes.of_image(image_width)
    face = font(sizes.text)
    before, name = "".join(tokens[:position]), tokens[position]
    left = 2 * sizes.gap + face.getlength(before)
    right = left + face.getlength(name)
    assert columns[0] >= round(left) - (not before)
    assert columns[-1] < round(right) + (len(tokens) == position + 1)


def test_empty_text() -> None:
    sample = Sample("s", "", (), (), ImageRef("a.jpg"), entities=())
    assert draw_overlay(blank(), sample).height > 480


def test_span_that_does_not_fit_the_tokens_is_no_crash() -> None:
    assert draw_overlay(blank(), sample("Ann", entity(5, "Bob", ()))).height > 480


@settings(max_examples=25, deadline=None)
@given(
    text=st.text(max_size=60),
    boxes=st.lists(
        st.tuples(st.floats(-50, 300), st.floats(-50, 300), st.floats(1, 400), st.floats(1, 400)),
        max_size=6,
    ),
)
def test_never_fails(text: str, boxes: list[tuple[float, float, float, float]]) -> None:
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    found = Entity(
        "e", text, text[:9], Span(0, 1), regions=tuple(Region(Box(*box)) for box in corners)
    )
    sample = Sample("s", text, (text,), ((0, len(text)),), ImageRef("a.jpg"), entities=(found,))
    assert draw_overlay(blank(300, 200), sample).width == 640


SCRIPTS = ["李明", "محمد صلاح", "Юрий Гагарин", "สมชาย", "שלום", "नई दिल्ली", "서울"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_without_a_font_the_id_stands_for_the_name(name: str) -> None:
    """In its chip and in the strip; one note tells the names."""
    fonts = Fonts(others=())
    placed = entity(0, name, [(100, 120, 300, 400)])
    drawn = draw_overlay(blank(), sample(name, placed), None, fonts)
    assert name in (fonts.note() or "")
    with_id = sample("e0", replace(placed, text="e0", span=Span(0, 1)))
    assert drawn == draw_overlay(blank(), with_id)


@pytest.mark.parametrize("name", SCRIPTS)
def test_with_a_font_the_name_is_drawn(name: str) -> None:
    fonts = Fonts()
    if fonts.showable(name) is None:
        pytest.skip(f"no font here has the letters of {name}")
    placed = entity(0, name, [(100, 120, 300, 400)])
    drawn = draw_overlay(blank(), sample(name, placed), None, fonts)
    assert fonts.note() is None
    assert drawn != draw_overlay(blank(), sample(name, placed), None, Fonts(others=()))


def test_words_that_cannot_be_shown_are_one_ellipsis() -> None:
    fonts = Fonts(others=())
    drawn = draw_overlay(blank(), sample("Met 李明 昨天 here"), None, fonts)
    assert drawn == draw_overlay(blank(), sample("Met 李明 here"), None, fonts)
    assert drawn != draw_overlay(blank(), sample("Met here"), None, fonts)


@pytest.mark.parametrize("label", ["人物", "🚀"])
def test_a_label_that_cannot_be_shown_is_an_ellipsis(label: str) -> None:
    assert entity_note(entity(0, "Ann", label=label), Fonts(others=())) == "…"


def test_a_text_from_right_to_left_begins_at_the_right() -> None:
    fonts = Fonts()
    if fonts.showable("محمد") is None:
        pytest.skip("no font here has Arabic letters")
    name = entity(0, "محمد", [(100, 120, 300, 400)])
    strip = pixels(draw_overlay(blank(), sample("محمد في London", name)), PALETTE[0])[480:]
    assert np.nonzero(strip.any(axis=0))[0].min() > 560
    strip = pixels(
        draw_overlay(blank(), sample("London في محمد", replace(name, span=Span(2, 3)))), PALETTE[0]
    )[480:]
    assert 40 < np.nonzero(strip.any(axis=0))[0].min() < 320


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, 250])
def test_where_labels_have_no_room_they_are_listed_below(count: int) -> None:
    names = [f"Somebody{position}" for position in range(count)]
    everyone = [entity(position, name, [(0, 0, 99, 99)]) for position, name in enumerate(names)]
    few = draw_overlay(blank(100, 100), sample(" ".join(names), *everyone[:3]))
    many = draw_overlay(blank(100, 100), sample(" ".join(names), *everyone))
    assert (many.height > few.height) == (count == 250)


def test_a_long_label_does_not_run_off_the_image() -> None:
    box = (100, 120, 300, 400)
    drawn = draw_overlay(blank(), sample("Ann", entity(0, "Ann " * 50, [box], label="L" * 300)))
    colour = type_colours(["L" * 300])["L" * 300]
    assert not pixels(drawn, colour)[:480, -1].any()
    assert not pixels(drawn, colour)[:480, 0].any()


def with_heat(values: str) -> Sample:
    found = entity(0, "Ada", [(500, 20, 620, 100)])
    regions = tuple(replace(one, heat=HeatMap(1, 2, values)) for one in found.regions or ())
    return sample("Ada smiles", replace(found, regions=regions))


def test_heat_is_painted_only_where_it_is_wanted_and_hot() -> None:
    hot = with_heat("AP8=")  # 0 on the left, 255 on the right
    plain, painted = draw_overlay(blank(), hot), draw_overlay(blank(), hot, heat=True)
    assert np.array_equal(np.asarray(plain), np.asarray(draw_overlay(blank(), with_heat("/wA="))))
    change = np.abs(np.asarray(painted).astype(int) - np.asarray(plain).astype(int)).max(axis=2)
    assert not change[:480, :100].any(), "cold"
    assert (change[300:480, 500:] > 40).all(), "hot"
    assert np.asarray(painted)[240, 480].tolist() == [255, 255, 255], "the hottest point"


def test_damaged_heat_is_one_line() -> None:
    with pytest.raises(UserError, match="sample 's': the heat map of 'Ada' is damaged"):
        draw_overlay(blank(), with_heat("!!!="), heat=True)
    draw_overlay(blank(), with_heat("!!!="))
