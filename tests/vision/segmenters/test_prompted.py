from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from helpers.box_mentions import box_mention, mixed_mentions, save_images
from helpers.contracts import check_backend

from riveg.geometry.masks import box_pixels
from riveg.images.loader import ImageLoader
from riveg.protocols import Mention
from riveg.stages.table import SEGMENT
from riveg.types import Box, ImageSize, Issue
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.segmenters.prompted import BoxPrompt, PromptedSegmenter


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    return save_images(tmp_path_factory.mktemp("pictures"))


@dataclass
class Boxes:
    """A network that sees the box itself; nothing of boxes that lie in the upper left."""

    images: ImageLoader
    memory: int = 1000
    batch_size: int = 3
    boxes_at_once: int = 2
    looks: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def segment(self, mentions: Sequence[Mention]) -> Any:
        return PromptedSegmenter(
            self.images,
            self,
            source="boxes",
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
        ).segment(mentions)

    @staticmethod
    def prepare(pixels: Any) -> None:
        """Sees nothing but the size."""

    def encode_images(self, images: Sequence[PreparedImage[None]]) -> Sequence[ImageSize]:
        self.looks.append(len(images))
        self._remember(len(images))
        return [image.size for image in images]

    def decode_masks(self, image: ImageSize, prompts: Sequence[BoxPrompt]) -> Iterator[Any]:
        self.cuts.append(len(prompts))
        self._remember(len(prompts))
        for box in (prompt.box for prompt in prompts):
            yield box_pixels(box, image) & (box.x_min + box.y_min > 0)

    def _remember(self, count: int) -> None:
        if count > self.memory:
            raise torch.OutOfMemoryError(f"{count} at once")


def test_contract(images: ImageLoader) -> None:
    answers = check_backend(SEGMENT, Boxes(images), mixed_mentions())
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["truncated-image"]


def test_masks_stand_in_the_order_of_their_regions(images: ImageLoader) -> None:
    mentions = mixed_mentions()
    for mention, masks in zip(mentions, Boxes(images).segment(mentions), strict=True):
        if isinstance(masks, Issue):
            continue
        for region, mask in zip(mention.entity.regions or (), masks, strict=True):
            expected = box_pixels(region.box, ImageSize(mask.width, mask.height))
            assert (mask.to_numpy() == expected).all()
            nothing_found = region.box.x_min + region.box.y_min == 0
            assert mask.source == ("boxes:box" if nothing_found else "boxes")


def test_each_image_is_looked_at_once_and_only_with_a_region(images: ImageLoader) -> None:
    network = Boxes(images, batch_size=4, boxes_at_once=10)
    network.segment(mixed_mentions())
    # Nine images that open; "broken.jpg" is asked about too, "gone.jpg" has no region.
    assert network.looks == [4, 4, 1]
    assert network.cuts == [4, *[3] * 8]


def test_no_region_means_no_look(images: ImageLoader) -> None:
    network = Boxes(images)
    assert network.segment([box_mention("64x64.png"), box_mention("gone.jpg")]) == [(), ()]
    assert network.looks == []


def test_a_sample_without_an_image_is_an_issue(images: ImageLoader) -> None:
    mention = box_mention("64x64.png", Box(0, 0, 9, 9))
    mention = replace(mention, sample=replace(mention.sample, image=None))
    (issue,) = Boxes(images).segment([mention])
    assert (issue.kind, issue.entity_id) == ("no-picture", "e0")


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_short_memory_halves_what_is_done_together(images: ImageLoader, memory: int) -> None:
    roomy = Boxes(images, batch_size=8, boxes_at_once=8)
    tight = Boxes(images, memory=memory, batch_size=8, boxes_at_once=8)
    assert tight.segment(mixed_mentions()) == roomy.segment(mixed_mentions())
    assert max(tight.looks) > memory


def test_what_never_fits_is_raised(images: ImageLoader) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        Boxes(images, memory=0).segment(mixed_mentions())
