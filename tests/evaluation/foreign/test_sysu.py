"""The gold file of UnCo and SAKE, and what their rules make of predictions for its posts."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.scores import score_of
from helpers.sysu_posts import Entity, Post, gold_json, sysu_posts

from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.evaluation.evaluate import EvaluationOptions, evaluate
from riveg.evaluation.foreign.sysu import is_sysu_gold, read_sysu_gold
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.evaluation.reading import open_gold
from riveg.types import Box, Region, Span


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    return sysu_posts()


@pytest.fixture(scope="module")
def gold(posts: list[Post], tmp_path_factory: pytest.TempPathFactory) -> GoldSet:
    path = tmp_path_factory.mktemp("sysu") / "twitter_gmner_gt.json"
    path.write_text(json.dumps(gold_json(posts)), encoding="utf-8")
    assert is_sysu_gold(path)
    return read_sysu_gold(path)


def said(entity: Entity, *boxes: list[int]) -> PredictedEntity:
    label = entity.label.replace("MISC", "OTHER")
    regions = tuple(Region(Box(*box)) for box in boxes)
    span = Span(entity.start, entity.start + 1)
    return PredictedEntity(entity.text, label, span, bool(boxes), regions)


def first_box(post: Post) -> list[PredictedEntity]:
    return [said(entity, *entity.boxes[:1]) for entity in post.entities]


def each_box(post: Post) -> list[PredictedEntity]:
    return [
        said(entity, *([box] if box else []))
        for entity in post.entities
        for box in entity.boxes or [[]]
    ]


def gold_itself(post: Post) -> list[PredictedEntity]:
    listed = [entity for entity in post.entities if entity.listed]
    return each_box(Post(post.id, post.tokens, listed))


def nowhere(post: Post) -> list[PredictedEntity]:
    return [said(entity) for entity in post.entities]


def every_second(post: Post) -> list[PredictedEntity]:
    return [] if int(post.id[-1]) % 2 else first_box(post)


def with_false_ones(post: Post) -> list[PredictedEntity]:
    if post.entities:
        return first_box(post)
    return [said(Entity(number, f"F{number}", "PER", [])) for number in range(20)]


def shares(found: Any) -> tuple[str, str, str]:
    return f"{found.precision:.2f}", f"{found.recall:.2f}", f"{found.f1:.2f}"


ROWS = [
    (gold_itself, "100.00 99.44 99.72", "100.00 100.00 100.00"),
    (first_box, "98.18 92.03 95.01", "98.18 100.00 99.08"),
    (each_box, "98.31 99.44 98.88", "98.18 100.00 99.08"),
    (nowhere, "58.13 54.48 56.25", "98.18 100.00 99.08"),
    (every_second, "98.20 90.38 94.13", "98.20 48.41 64.85"),
    (with_false_ones, "98.18 92.03 95.01", "59.56 100.00 74.65"),
]
"""Precision, recall and F1 of GMNER and MNER as SAKE's program gives them."""


@pytest.mark.slow  # seconds
@pytest.mark.parametrize(("answer", "gmner", "mner"), ROWS, ids=lambda row: str(row)[:25])
def test_the_rows_that_sake_measures(
    posts: list[Post],
    gold: GoldSet,
    answer: Callable[[Post], list[PredictedEntity]],
    gmner: str,
    mner: str,
) -> None:
    predictions = Predictions(
        "said", "jsonl", lambda: (Prediction(post.id, tuple(answer(post))) for post in posts)
    )
    options = EvaluationOptions(protocols=("canonical", "sysu-sake"), resamples=10)
    found = evaluate(predictions, gold, options)
    assert shares(score_of(found, "gmner", "sysu-sake")) == tuple(gmner.split())
    assert shares(score_of(found, "mner", "sysu-sake")) == tuple(mner.split())


def test_the_rows_of_an_entity_are_put_together(posts: list[Post], gold: GoldSet) -> None:
    entities = [entity for post in posts for entity in post.entities if entity.listed]
    assert sum(len(entity.boxes) or 1 for entity in entities) == 2703
    assert len([*gold.entities()]) == len(entities) == 2497
    assert sum(bool(entity.boxes) for entity in gold.entities()) == 1022
    assert {entity.label for entity in gold.entities()} == {"PER", "LOC", "ORG", "OTHER"}
    assert gold.notes == ("the gold's type MISC is read as OTHER",)


def write(folder: Path, *rows: object, **more: object) -> Path:
    path = folder / "gold.json"
    tweet = {"tokens": ["New", "York", "!"], "image_id": "O_1", "gt_entities": rows} | more
    path.write_text(json.dumps([tweet]), encoding="utf-8")
    return path


def row(**more: object) -> dict[str, object]:
    return {"start": 0, "end": 2, "entity_type": "LOC", "phrase": "New York"} | more


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".ndjson"])
@pytest.mark.parametrize("kind", ["array", "indented array", "lines"])
def test_the_forms_of_the_file(tmp_path: Path, suffix: str, kind: str) -> None:
    tweets = [
        {"tokens": ["New", "York"], "img_id": number, "gt_entities": [row(region_box=None)]}
        for number in (1.0, 2, "O_3.jpg")
    ]
    path = tmp_path / f"gold{suffix}"
    lines = "".join(f"{json.dumps(tweet)}\n" for tweet in tweets)
    text = json.dumps(tweets, indent=2 if kind == "indented array" else None)
    path.write_text(lines if kind == "lines" else text, encoding="utf-8")
    assert is_sysu_gold(path)
    gold = read_sysu_gold(path)
    assert [*gold.samples] == ["1", "2", "O_3"]
    assert gold.samples["1"].text == "New York"
    nobody = Predictions("said", "e2e", lambda: iter(()))
    assert open_gold(str(path), nobody).samples == gold.samples


@pytest.mark.parametrize("box", [None, [], math.nan, [0, 0, 0, 0]])
def test_rows_without_a_box(tmp_path: Path, box: object) -> None:
    (entity,) = read_sysu_gold(write(tmp_path, row(region_box=box))).samples["O_1"].entities
    assert entity.boxes == ()


@pytest.mark.parametrize("end", [1, 2])
def test_ends_are_understood_by_the_phrases(tmp_path: Path, end: int) -> None:
    gold = read_sysu_gold(write(tmp_path, row(end=end, region_box=None)))
    (entity,) = gold.samples["O_1"].entities
    assert entity == AnnotatedEntity("New York", "LOC", Span(0, 2), boxes=())


@pytest.mark.parametrize("label", ["MISC", "OTHER"])
def test_misc_keeps_its_name_for_predictions_that_use_it(tmp_path: Path, label: str) -> None:
    path = write(tmp_path, row(entity_type="MISC"))
    entity = PredictedEntity("New York", label, Span(0, 2), False, ())
    predictions = Predictions("said", "jsonl", lambda: iter([Prediction("O_1", (entity,))]))
    found = evaluate(predictions, open_gold(str(path), predictions))
    assert score_of(found, "gmner").hits == 1


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ([3], {}, "entry 1: expected an object for each entity"),
        ([row(start=None)], {}, "entry 1: expected start and end"),
        ([row(start=2)], {}, "entry 1: expected start and end"),
        ([row(phrase=None)], {}, "entry 1: expected a phrase and an entity_type"),
        ([row(region_box=[1, 2, 3])], {}, "entry 1: expected region_box as"),
        ([row(region_box=[9, 9, 1, 1])], {}, "entry 1: expected region_box as"),
        ([], {"gt_entities": {}}, "entry 1: expected an object with a list gt_entities"),
        ([], {"image_id": None}, "entry 1: expected its id under img_id or image_id"),
        ([], {"image_id": [1]}, "entry 1: expected its id under img_id or image_id"),
    ],
)
def test_damaged_files(
    tmp_path: Path, rows: list[object], more: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_sysu_gold(write(tmp_path, *rows, **more))


def test_other_json_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "posts.json"
    path.write_text('[{"id": "1", "text": "rain"}]', encoding="utf-8")
    assert not is_sysu_gold(path)
    assert not is_sysu_gold(tmp_path)
