"""The scorer, sample by sample, against a rewrite that goes over whole files as RiVEG's does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.protocols.riveg import score
from riveg.types import Box, Region

NAMES = st.sampled_from(["J", "J ( film )", "J ( game )", "K"])
LABELS = st.sampled_from(["PER", "ORG"])
BOXES = st.sampled_from([Box(0, 0, 10, 10), Box(0, 0, 10, 5), Box(40, 40, 60, 60)])
IMAGES = st.sampled_from(["1", "2"])
ENTITIES = st.lists(st.tuples(IMAGES, NAMES, LABELS, st.lists(BOXES, max_size=2)), max_size=8)


Named = tuple[str, str, str, list[Box]]
"""Image, name, label, boxes."""
Line = tuple[str, str, int, list[list[float]]]
"""Image, name(TYPE), flag, boxes as corners."""


def overlap(one: list[float], other: list[float]) -> float:
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    union = sum(areas) - width * height
    return width * height / union if union else 0.0


def whole_file(predicted: list[Line], gold: list[Line], *, typed: bool) -> Count:
    """The counts, scanned as the released program scans its lines."""

    def key(line: Line) -> str:
        return line[0] + (line[1] if typed else line[1].split("(")[0])

    left = list(gold)
    hits = 0
    for line in predicted:
        for other in left:
            if key(line) != key(other):
                continue
            both_nowhere = line[2] == other[2] == 0
            near = any(overlap(line[3][0], box) >= 0.5 for box in other[3])
            if both_nowhere or (line[2] != 0 and near):
                hits += 1
                left.remove(other)
                break
    return Count(hits, len(predicted), len(gold))


def line_of(image: str, name: str, label: str, boxes: list[Box]) -> Line:
    corners = [[box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes]
    return (image, f"{name}({label})", 2 if boxes else 0, corners or [[0, 0, 0, 0]])


def cases_of(predicted: list[Named], gold: list[Named]) -> list[Case]:
    return [
        Case(
            image,
            tuple(
                PredictedEntity(
                    name, label, groundable=bool(boxes), regions=tuple(map(Region, boxes))
                )
                for own, name, label, boxes in predicted
                if own == image
            ),
            tuple(
                AnnotatedEntity(name, label, boxes=tuple(boxes))
                for own, name, label, boxes in gold
                if own == image
            ),
        )
        for image in ("1", "2")
    ]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(ENTITIES, ENTITIES)
def test_samples_add_up_to_what_the_whole_files_give(
    predicted: list[Named], gold: list[Named]
) -> None:
    scores = [score(case) for case in cases_of(predicted, gold)]
    for metric in ("eeg", "gmner"):
        expected = whole_file(
            [line_of(*entity) for entity in predicted],
            [line_of(*entity) for entity in gold],
            typed=metric == "gmner",
        )
        assert sum((counts[metric] for counts in scores), NOTHING) == expected
