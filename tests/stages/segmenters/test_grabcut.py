from __future__ import annotations

import numpy as np
import pytest
from helpers.answers import whole
from helpers.places import QUICKSTART_IMAGES
from PIL import Image, ImageDraw

from riveg.config.backend import BuildContext
from riveg.images.loader import ImageLoader
from riveg.protocols import Mention
from riveg.stages.segmenters.grabcut import GrabCut, GrabCutConfig
from riveg.types import Box, Entity, ImageRef, Issue, Mask, Region, Sample, Span

BALL = (200, 120, 400, 320)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    path = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(1).integers(0, 30, (450, 600, 3), dtype=np.uint8)
    ball = Image.fromarray(noise + np.array([20, 90, 30], dtype=np.uint8))
    ImageDraw.Draw(ball).ellipse(BALL, fill=(220, 30, 40))
    ball.save(path / "ball.png")
    Image.new("RGB", (600, 450), "grey").save(path / "plain.png")
    Image.new("RGB", (6, 5), "red").save(path / "tiny.png")
    Image.open(next(QUICKSTART_IMAGES.glob("*astronaut*"))).save(path / "astronaut.png")
    (path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return ImageLoader([path])


def mention(name: str, *boxes: Box, source: str | None = None) -> Mention:
    regions = tuple(Region(box, 0.5, source=source) for box in boxes)
    entity = Entity("e0", "x", "PER", Span(0, 1), regions=regions)
    return Mention(Sample(name, "", (), (), ImageRef(name), entities=(entity,)), entity)


def masks(images: ImageLoader, one: Mention) -> tuple[Mask, ...]:
    (answer,) = GrabCut(images).segment([one])
    return whole(answer)


def test_a_ball_is_cut_out_of_a_meadow(images: ImageLoader) -> None:
    (mask,) = masks(images, mention("ball.png", Box(180, 100, 420, 340)))
    x, y = np.meshgrid(np.arange(600), np.arange(450))
    true = (x - 300) ** 2 + (y - 220) ** 2 <= 100**2
    cut = mask.to_numpy()
    assert mask.source == "grabcut"
    assert (cut & true).sum() / (cut | true).sum() > 0.95


def test_the_astronaut_is_cut_from_the_flag(images: ImageLoader) -> None:
    (mask,) = masks(images, mention("astronaut.png", Box(22, 14, 364, 512)))
    cut = mask.to_numpy()
    assert mask.source == "grabcut"
    assert cut[110, 225]  # her face
    assert cut[350, 100]  # her sleeve
    assert not cut[60, 80]  # the flag
    assert not cut[100, 350]  # the wall


@pytest.mark.parametrize(
    ("name", "box", "source"),
    [
        ("plain.png", Box(100, 100, 300, 300), "ellipse"),  # one colour: nothing to cut by
        ("ball.png", Box(250, 170, 350, 270), "ellipse"),  # all foreground: no edge inside
        ("ball.png", Box(10, 10, 14, 40), "ellipse"),  # a few pixels wide
        ("ball.png", Box(599.5, 449.5, 600, 450), "ellipse"),  # under a pixel
        ("tiny.png", Box(0, 0, 6, 5), "ellipse"),  # the image is under a few pixels
    ],
)
def test_what_cannot_be_cut_is_an_ellipse_and_says_so(
    images: ImageLoader, name: str, box: Box, source: str
) -> None:
    (mask,) = masks(images, mention(name, box))
    assert mask.source == source
    assert mask.to_numpy().any()


def test_an_ellipse_has_an_ellipses_area(images: ImageLoader) -> None:
    (mask,) = masks(images, mention("plain.png", Box(100, 100, 300, 200)))
    assert mask.to_numpy().sum() == pytest.approx(np.pi / 4 * 200 * 100, rel=0.01)


def test_ocr_text_is_its_box(images: ImageLoader) -> None:
    box = Box(100.4, 50.2, 199.7, 80)
    (mask,) = masks(images, mention("ball.png", box, source="evidence:lettering"))
    cut = mask.to_numpy()
    assert mask.source == "box"
    assert cut.sum() == 100 * 30
    assert cut[50:80, 100:200].all()


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 600, 450),
        Box(180, 100, 420, 450),
        Box(0, 0, 250, 250),
        Box(300, 200, 599.6, 449.9),
    ],
)
def test_masks_stay_in_their_box_and_have_the_images_size(images: ImageLoader, box: Box) -> None:
    (mask,) = masks(images, mention("ball.png", box))
    cut = mask.to_numpy()
    assert (mask.height, mask.width) == cut.shape == (450, 600)
    rows, columns = np.nonzero(cut)
    assert columns.min() >= round(box.x_min)
    assert columns.max() < round(box.x_max)
    assert rows.min() >= round(box.y_min)
    assert rows.max() < round(box.y_max)


def test_one_mask_for_each_region_in_order(images: ImageLoader) -> None:
    one = mention("ball.png", Box(180, 100, 420, 340), Box(10, 10, 14, 40))
    assert [mask.source for mask in masks(images, one)] == ["grabcut", "ellipse"]
    assert masks(images, mention("ball.png")) == ()


def test_an_image_that_cannot_be_used_is_an_issue(images: ImageLoader) -> None:
    broken, missing = GrabCut(images).segment(
        [mention(name, Box(0, 0, 9, 9)) for name in ("broken.jpg", "gone.jpg")]
    )
    assert isinstance(broken, Issue)
    assert isinstance(missing, Issue)
    assert (missing.stage, missing.entity_id, missing.kind) == ("segment", "e0", "missing-image")


def test_a_batch_is_answered_like_each_alone(images: ImageLoader) -> None:
    batch = [
        mention("ball.png", Box(180, 100, 420, 340)),
        mention("astronaut.png", Box(22, 14, 364, 512)),
        mention("broken.jpg", Box(0, 0, 9, 9)),
        mention("plain.png", Box(100, 100, 300, 300)),
    ] * 2
    segmenter = GrabCut(images)
    together = tuple(segmenter.segment(batch))
    assert together == tuple(segmenter.segment([one])[0] for one in batch)
    assert together == tuple(GrabCut(images, threads=1).segment(batch))
    assert segmenter.segment([]) == ()


def test_config_builds(images: ImageLoader) -> None:
    assert isinstance(GrabCutConfig(side=64).build(BuildContext(images)), GrabCut)
