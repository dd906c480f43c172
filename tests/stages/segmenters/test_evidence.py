"""People by selfie segmentation without their neighbours, everything else by GrabCut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.places import QUICKSTART_IMAGES
from PIL import Image, ImageDraw

from riveg.config.backend import BuildContext
from riveg.geometry.arrays import Bitmap, Pixels
from riveg.geometry.masks import box_pixels
from riveg.images.loader import ImageLoader
from riveg.protocols import Mention
from riveg.stages.segmenters.evidence import EvidenceSegmenter, EvidenceSegmenterConfig
from riveg.stages.segmenters.grabcut import GrabCut
from riveg.stages.table import SEGMENT
from riveg.types import Box, Entity, ImageRef, ImageSize, Issue, Mask, Observation, Region, Sample
from riveg.types import Span as Tokens

PERSON, FACE = "evidence:person", "evidence:face"
WOMAN = Box(22, 14, 364, 512)
BALL = Box(180, 100, 420, 340)
ASTRONAUT, TWO = ImageSize(512, 512), ImageSize(740, 512)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images")
    astronaut = Image.open(next(QUICKSTART_IMAGES.glob("*astronaut*"))).convert("RGB")
    astronaut.save(path / "astronaut.png")
    astronaut.convert("L").save(path / "grey.png")
    two = Image.new("RGB", TWO)
    two.paste(astronaut.crop((0, 0, 370, 512)))
    two.paste(astronaut.crop((0, 0, 370, 512)), (370, 0))
    two.save(path / "two.png")
    noise = np.random.default_rng(1).integers(0, 30, (450, 600, 3), dtype=np.uint8)
    ball = Image.fromarray(noise + np.array([20, 90, 30], dtype=np.uint8))
    ImageDraw.Draw(ball).ellipse((200, 120, 400, 320), fill=(220, 30, 40))
    ball.save(path / "ball.png")
    Image.new("RGB", (600, 450), "grey").save(path / "plain.png")
    Image.open(next(QUICKSTART_IMAGES.glob("*rocket*"))).save(path / "rocket.png")
    Image.new("RGB", (2, 300), "red").save(path / "thin.png")
    (path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return path


@pytest.fixture(scope="module")
def images(folder: Path) -> ImageLoader:
    return ImageLoader([folder])


@pytest.fixture(scope="module")
def segmenter(images: ImageLoader) -> EvidenceSegmenter:
    return EvidenceSegmenter(images)


def mention(
    name: str,
    *boxes: Box,
    source: str | None = PERSON,
    seen: tuple[Box, ...] = (),
    others: tuple[Entity, ...] = (),
    size: ImageSize | None = None,
) -> Mention:
    entity = person("e0", *boxes, source=source)
    observations = tuple(Observation("person", box, 0.8) for box in seen)
    image = ImageRef(name) if size is None else ImageRef(name, *size)
    sample = Sample(name, "", (), (), image, observations=observations, entities=(entity, *others))
    return Mention(sample, entity)


def person(name: str, *boxes: Box, source: str | None = PERSON) -> Entity:
    regions = tuple(Region(box, 0.5, source=source) for box in boxes)
    return Entity(name, "x", "PER", Tokens(0, 1), regions=regions)


def mask(segmenter: EvidenceSegmenter, one: Mention) -> Mask:
    (answer,) = segmenter.segment([one])
    (found,) = whole(answer)
    return found


def cut(segmenter: EvidenceSegmenter, one: Mention) -> Bitmap:
    return mask(segmenter, one).to_numpy()


@pytest.mark.parametrize("source", [PERSON, FACE])
@pytest.mark.parametrize("name", ["astronaut.png", "grey.png"])
def test_a_person_is_cut_by_the_network(
    segmenter: EvidenceSegmenter, name: str, source: str
) -> None:
    found = mask(segmenter, mention(name, WOMAN, source=source))
    pixels = found.to_numpy()
    assert found.source == "selfie"
    assert pixels[110, 225]  # her face
    assert not pixels[60, 80]  # the flag
    assert not (pixels & ~box_pixels(WOMAN, ImageSize(512, 512))).any()


@pytest.mark.parametrize(
    ("name", "box", "source", "expected"),
    [
        ("rocket.png", Box(290, 60, 350, 330), PERSON, "grabcut"),  # nobody there
        ("ball.png", BALL, "evidence:object", "grabcut"),
        ("astronaut.png", WOMAN, None, "grabcut"),  # another grounder's
        ("plain.png", Box(100, 100, 300, 300), PERSON, "ellipse"),
        ("ball.png", Box(10, 10, 14, 40), None, "ellipse"),
        ("thin.png", Box(0, 0, 2, 300), PERSON, "ellipse"),
        ("astronaut.png", WOMAN, "evidence:lettering", "box"),
    ],
)
def test_everything_else_is_cut_as_by_grabcut(
    segmenter: EvidenceSegmenter,
    images: ImageLoader,
    name: str,
    box: Box,
    source: str | None,
    expected: str,
) -> None:
    one = mention(name, box, source=source)
    found = mask(segmenter, one)
    assert found.source == expected
    assert found == whole(GrabCut(images).segment([one])[0])[0]


LEFT, RIGHT = Box(22, 14, 430, 512), Box(350, 14, 734, 512)
"""Boxes of the two women in ``two.png``; the left one reaches over to the right one's sleeve."""


def test_a_neighbour_that_was_seen_is_cut_away(segmenter: EvidenceSegmenter) -> None:
    alone = cut(segmenter, mention("two.png", LEFT, size=TWO))
    beside = cut(segmenter, mention("two.png", LEFT, seen=(LEFT, RIGHT), size=TWO))
    assert (beside <= alone).all()
    assert alone[300:, 405:].any()
    assert not beside[300:, 405:].any()  # her sleeve is nearer to the right woman's centre
    assert (beside[:, :350] == alone[:, :350]).all()  # outside the neighbour's box


def test_a_neighbour_of_another_name_is_cut_away(segmenter: EvidenceSegmenter) -> None:
    seen = cut(segmenter, mention("two.png", LEFT, seen=(RIGHT,), size=TWO))
    named = cut(segmenter, mention("two.png", LEFT, others=(person("e1", RIGHT),), size=TWO))
    assert (seen == named).all()


@pytest.mark.parametrize(
    ("seen", "others"),
    [
        ((WOMAN, Box(40, 10, 350, 500)), ()),  # the same person, found twice
        ((), (person("e1", WOMAN),)),  # another name for her
        ((), (person("e1", Box(200, 14, 500, 512), source="evidence:prior"),)),  # nobody
        ((), (person("e1", Box(200, 14, 500, 512), source="evidence:lettering"),)),
        ((Box(200, 100, 260, 180),), ()),  # under 2 % of the image
        ((Box(364, 14, 500, 512),), ()),  # touches only
    ],
)
def test_who_is_no_neighbour_takes_nothing_away(
    segmenter: EvidenceSegmenter, seen: tuple[Box, ...], others: tuple[Entity, ...]
) -> None:
    alone = mask(segmenter, mention("astronaut.png", WOMAN))
    assert (
        mask(segmenter, mention("astronaut.png", WOMAN, seen=seen, others=others, size=ASTRONAUT))
        == alone
    )


def test_a_person_of_whom_little_is_left_is_cut_by_grabcut(images: ImageLoader) -> None:
    segmenter = EvidenceSegmenter(images, least_share=0.4)
    beside = Box(250, 14, 480, 512)
    assert mask(segmenter, mention("astronaut.png", beside)).source == "selfie"
    assert mask(segmenter, mention("astronaut.png", beside, seen=(WOMAN,))).source == "grabcut"


def test_equal_regions_are_cut_once(segmenter: EvidenceSegmenter) -> None:
    one = mention("astronaut.png", WOMAN, WOMAN, others=(person("e1", WOMAN),))
    (first,) = segmenter.segment([one])
    left, right = whole(first)
    assert left is right


def test_one_mask_for_each_region_in_order(segmenter: EvidenceSegmenter) -> None:
    (answer,) = segmenter.segment([mention("astronaut.png", Box(400, 9, 404, 30), WOMAN)])
    assert [one.source for one in whole(answer)] == ["ellipse", "selfie"]
    (answer,) = segmenter.segment([mention("astronaut.png")])
    assert whole(answer) == ()


def test_an_image_that_cannot_be_used_is_an_issue(segmenter: EvidenceSegmenter) -> None:
    broken, missing = segmenter.segment(
        [mention(name, Box(0, 0, 9, 9)) for name in ("broken.jpg", "gone.jpg")]
    )
    assert isinstance(broken, Issue)
    assert isinstance(missing, Issue)
    assert (missing.stage, missing.entity_id, missing.kind) == ("segment", "e0", "missing-image")


def test_the_contract_and_any_number_of_threads(
    segmenter: EvidenceSegmenter, images: ImageLoader
) -> None:
    batch = [
        mention("two.png", LEFT, seen=(LEFT, RIGHT), size=TWO),
        mention("astronaut.png", WOMAN),
        mention("ball.png", BALL, source="evidence:object"),
        mention("broken.jpg", Box(0, 0, 9, 9)),
        mention("ball.png", BALL),
        mention("plain.png", Box(100, 100, 300, 300)),
    ]
    together = check_backend(SEGMENT, segmenter, batch)
    for threads in (1, 3):
        assert list(EvidenceSegmenter(images, threads=threads).segment(batch)) == together


def test_config_builds(images: ImageLoader, tmp_path: Path) -> None:
    config = EvidenceSegmenterConfig(threads=2)
    assert isinstance(config.build(BuildContext(images)), EvidenceSegmenter)
    assert list(config.contents(tmp_path)) == ["mediapipe-selfie-256-fp16w.onnx"]
    with pytest.raises(ValueError, match="auto or a number, at least 1"):
        EvidenceSegmenterConfig.model_validate({"threads": 0})


def test_pixels_are_left_as_they_were(segmenter: EvidenceSegmenter, images: ImageLoader) -> None:
    before: Pixels = images.load(ImageRef("astronaut.png")).copy()
    segmenter.segment([mention("astronaut.png", WOMAN)])
    assert (images.load(ImageRef("astronaut.png")) == before).all()
