from __future__ import annotations

import pytest
from helpers.factories import make_sample

from riveg.nn.entailment_features import (
    LABELS,
    NameCounts,
    caption_words,
    count_people,
    known_label,
    mention_features,
)

NAME_COUNTS = NameCounts({"ann": (8, 6)}, {"ann": (10, 8)}, dict.fromkeys(LABELS, 0.5))


@pytest.mark.parametrize(
    ("caption", "people"),
    [
        ("a man in a suit", 1),
        ("a man, a woman and a child", 3),
        ("two men on a stage", 2),
        ("a group of people", 3),
        ("a couple at a wedding", 2),
        ("a man with two girls", 3),  # at least three
        ("the chicago bears logo", 0),
        ("a batman mask", 0),  # whole words only
        ("", 0),
    ],
)
def test_people_of_a_caption(caption: str, people: int) -> None:
    assert count_people(caption_words(caption)) == people


@pytest.mark.parametrize(
    ("label", "known"),
    [("PER", "PER"), ("person", "PER"), ("GPE", "LOC"), ("MISC", "OTHER"), ("", "OTHER")],
)
def test_labels_are_folded(label: str, known: str) -> None:
    assert known_label(label) == known


def test_features_of_a_mention() -> None:
    sample = make_sample(
        "RT look Ann in Rome", [(2, 3, "PER"), (4, 5, "LOC")], caption="ann and a man"
    )
    ann = (sample.entities or ())[0]
    found = mention_features(sample, ann, "PER", NAME_COUNTS, captioned=True)
    for name in (
        "PER/mention:ann",
        "PER/left:look",
        "PER/right:in",
        "PER/text:rome",
        "PER/count:2",
        "PER/next:LOC",
        "PER/retweet:yes",
        "PER/caption:man",
        "PER/caption2:a man",
        "PER/people:1",
        "PER/named-whole:yes",
        "uses:8",
    ):
        assert found[name] == 1.0, name
    assert found["fame:mention"] == pytest.approx((6 + 1) / (8 + 2) - 0.5)
    assert "PER/text:ann" not in found, "its own words are told apart from the text's"
    without = mention_features(sample, ann, "PER", NAME_COUNTS, captioned=False)
    assert not any("caption" in name or "people" in name for name in without)
    assert without.items() < found.items()


def test_an_unseen_name_has_its_labels_rate() -> None:
    sample = make_sample("Zoe", [(0, 1, "PER")])
    found = mention_features(
        sample, (sample.entities or ())[0], "PER", NAME_COUNTS, captioned=False
    )
    assert found["fame:mention"] == 0.0
    assert found["uses:0"] == 1.0
