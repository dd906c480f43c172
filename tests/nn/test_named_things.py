"""Which things a name can mean, by the words of the sample."""

from __future__ import annotations

import pytest
from helpers.factories import make_sample

from riveg.nn.named_things import CLASSES, find_meant_things, find_things
from riveg.types import Box, Observation, Sample

SEEN = tuple(Observation("object", Box(0, 0, 9, 9), 0.9, label=name) for name in sorted(CLASSES))


def looked(text: str, span: tuple[int, int], label: str, caption: str | None = None) -> Sample:
    return make_sample(text, [(*span, label)], observations=SEEN, caption=caption)


def labels(sample: Sample, *, meant: bool = False) -> set[str | None]:
    find = find_meant_things if meant else find_things
    (entity,) = sample.entities or ()
    return {one.label for one in find(sample, entity).objects}


@pytest.mark.parametrize(
    ("text", "span", "label", "thing"),
    [
        ("my dog Rex is here", (2, 3), "PER", "dog"),
        ("Rex the dog is here", (0, 1), "OTHER", "dog"),
        ("my Honda motorcycle is here", (1, 2), "ORG", "motorcycle"),
        ("on the Orient Express train", (2, 5), "OTHER", "train"),
        ("Luna sleeps", (0, 1), "cat", "cat"),
    ],
)
def test_the_words_say_what_a_name_is(
    text: str, span: tuple[int, int], label: str, thing: str
) -> None:
    assert labels(looked(text, span, label), meant=True) == {thing}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("War Horse was great", (0, 2)),
        ("reading Motorcycle Diaries", (1, 3)),
        ("Magic Bus is on", (0, 2)),
        ("Black Sheep Ale tonight", (0, 3)),
        ("Teddy Bear Picnic", (0, 3)),
    ],
)
def test_a_word_of_a_title_says_nothing(text: str, span: tuple[int, int]) -> None:
    for label in ("OTHER", "ORG"):
        assert labels(looked(text, span, label)) == set()


def test_a_caption_says_where_to_look() -> None:
    sample = looked("War Horse was great", (0, 2), "OTHER", caption="a horse in a field")
    assert labels(sample) == {"horse"}
    assert labels(sample, meant=True) == set()
