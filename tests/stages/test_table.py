"""The rules that stages keep for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from helpers.factories import NoImages, make_sample
from hypothesis import given
from hypothesis import strategies as st

from riveg.formats.records import decode, encode
from riveg.geometry.masks import mask_from_array
from riveg.pipeline import StageRunner
from riveg.protocols import Mention
from riveg.stages.table import SEGMENT
from riveg.types import WARNING, Box, ImageRef, Mask, Region, Sample

MASK = mask_from_array(np.ones((30, 40), dtype=np.bool_), "whole")


class OneMaskARegion:
    """A segmenter that knows nothing of guesses and counts what it is asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def segment(self, mentions: Sequence[Mention]) -> Sequence[tuple[Mask, ...]]:
        self.asked += [len(one.entity.regions or ()) for one in mentions]
        return [(MASK,) * len(one.entity.regions or ()) for one in mentions]


def sample(guesses: Sequence[bool]) -> Sample:
    """An entity with a region for each value, which says whether it is a guess."""
    post = make_sample("Ann", [(0, 1, "PER")])
    regions = tuple(
        Region(Box(at, 0, at + 5, 9), 0.5, guess=guess) for at, guess in enumerate(guesses)
    )
    entities = tuple(replace(one, regions=regions) for one in post.entities or ())
    return replace(post, image=ImageRef("1.jpg", 40, 30), entities=entities)


def segmented(post: Sample, segmenter: OneMaskARegion) -> tuple[Region, ...]:
    runner = StageRunner(
        SEGMENT, segmenter, NoImages(), needs_image=False, batch_size=4, gated=False
    )
    (answered,) = runner([post])
    assert answered.issues == ()
    (entity,) = answered.entities or ()
    return entity.regions or ()


@given(st.lists(st.booleans(), max_size=5))
def test_a_guess_gets_no_mask_whatever_the_segmenter(guesses: list[bool]) -> None:
    segmenter = OneMaskARegion()
    regions = segmented(sample(guesses), segmenter)
    assert [region.guess for region in regions] == guesses
    assert [region.mask is None for region in regions] == guesses
    assert segmenter.asked == [guesses.count(False)] * (False in guesses)


BOXES = st.tuples(*[st.integers(-60, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda place: Box(place[0], place[1], place[0] + place[2], place[1] + place[3])
)


@given(st.lists(BOXES, min_size=1, max_size=4))
def test_a_region_outside_of_its_image_gets_no_mask_and_is_said(boxes: list[Box]) -> None:
    post = sample([False] * len(boxes))
    (entity,) = post.entities or ()
    placed = zip(entity.regions or (), boxes, strict=True)
    entity = replace(entity, regions=tuple(replace(one, box=box) for one, box in placed))
    segmenter = OneMaskARegion()
    runner = StageRunner(
        SEGMENT, segmenter, NoImages(), needs_image=False, batch_size=4, gated=False
    )
    (answered,) = runner([replace(post, entities=(entity,))])
    (masked,) = answered.entities or ()
    inside = [box.x_max > 0 < box.y_max and box.x_min < 40 and box.y_min < 30 for box in boxes]
    assert [region.mask is not None for region in masked.regions or ()] == inside
    assert segmenter.asked == [inside.count(True)]
    assert [issue.message for issue in answered.issues] == [
        f"{inside.count(False)} of {len(boxes)} regions outside of the picture: without a mask"
    ] * (not all(inside))
    assert {issue.kind for issue in answered.issues} <= {WARNING}


@pytest.mark.parametrize("guess", [False, True])
def test_a_record_says_guess_where_it_is_one(guess: bool) -> None:
    line = encode(sample([guess]))
    assert (b'"guess":true' in line) is guess
    assert b'"guess":false' not in line
    assert decode(Sample, line) == sample([guess])
