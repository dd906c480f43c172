"""What segmenters that cut one region at a time share: each region of an image is cut once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, TypeVar

from riveg.errors import NO_IMAGE, ImageFault
from riveg.protocols import AnswerOrIssue, ImageSource, Mention, finish
from riveg.types import ImageRef, Issue, Mask, Region

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


Request = TypeVar("Request")
"""All that shapes a region's mask besides the pixels; hashable."""


def cut_regions(
    mentions: Sequence[Mention],
    images: ImageSource,
    request_of: Callable[[Mention, Region], Request],
    cut: Callable[[Pixels, Request], Mask],
    pool: Executor,
) -> tuple[AnswerOrIssue[tuple[Mask, ...]], ...]:
    """The masks of each mention's regions; equal requests about one image share a mask.

    Args:
        mentions: Whose regions are cut.
        images: Where images come from; each is opened once.
        request_of: What is asked about a region.
        cut: Makes the mask; several threads may call it at the same time, for different images.
        pool: Cuts several images at the same time.
    """
    wanted: dict[ImageRef, dict[Request, None]] = {}
    mentions_of: Counter[ImageRef] = Counter()
    for mention in mentions:
        if mention.sample.image is not None:
            requests = (request_of(mention, one) for one in mention.entity.regions or ())
            wanted.setdefault(mention.sample.image, {}).update(dict.fromkeys(requests))
            mentions_of[mention.sample.image] += 1

    def cut_image(image: ImageRef) -> dict[Request, Mask] | ImageFault:
        try:
            pixels = images.load(image)
        except ImageFault as fault:
            return fault
        return {request: cut(pixels, request) for request in wanted[image]}

    masks: dict[ImageRef, dict[Request, Mask] | ImageFault] = {}
    for image, found in zip(wanted, pool.map(cut_image, wanted), strict=True):
        masks[image] = found
        finish(mentions_of[image])

    def answer(mention: Mention) -> AnswerOrIssue[tuple[Mask, ...]]:
        entity, image = mention.entity, mention.sample.image
        if image is None:
            return Issue("segment", entity.id, NO_IMAGE, "the post has no picture to cut")
        found = masks[image]
        if isinstance(found, ImageFault):
            return Issue("segment", entity.id, found.kind, str(found))
        return tuple(found[request_of(mention, one)] for one in entity.regions or ())

    return tuple(map(answer, mentions))
