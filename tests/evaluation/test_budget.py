"""Points lost, stage by stage."""

from pathlib import Path

import numpy as np
import pytest
from helpers.evaluation_strategies import cases
from helpers.run_folders import make_run
from hypothesis import given

from riveg.evaluation.budget import error_budget, gold_reruns
from riveg.evaluation.canonical import canonical
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.geometry.masks import mask_from_array
from riveg.types import Box, Mask, Region, Span

SQUARE, ASIDE = Box(0, 0, 100, 100), Box(200, 0, 300, 100)


def predicted(
    start: int, *boxes: Box, label: str = "PER", mask: Mask | None = None
) -> PredictedEntity:
    regions = tuple(Region(box, mask=mask) for box in boxes)
    return PredictedEntity(f"e{start}", label, Span(start, start + 1), bool(boxes), regions)


def gold(start: int, *boxes: Box, masks: tuple[Mask, ...] | None = None) -> AnnotatedEntity:
    return AnnotatedEntity(f"e{start}", "PER", Span(start, start + 1), boxes=boxes, masks=masks)


def pixels(first: int) -> Mask:
    array = np.zeros((10, 10), dtype=bool)
    array[first : first + 5] = True
    return mask_from_array(array)


def test_each_mistake_is_paid_for_once() -> None:
    case = Case(
        "1",
        (
            predicted(0, SQUARE),  # right
            predicted(1, ASIDE),  # box
            predicted(2),  # groundability
            predicted(3, label="ORG"),  # type
            predicted(8),  # span: spurious
        ),
        (gold(0, SQUARE), gold(1, SQUARE), gold(2, SQUARE), gold(3), gold(9)),
    )
    lines = error_budget([case])
    assert [(line.mistake, line.entities, line.spurious) for line in lines] == [
        ("box", 1, 0),
        ("groundability", 1, 0),
        ("type", 1, 0),
        ("span", 1, 1),
    ]
    assert [line.points for line in lines] == pytest.approx([20, 20, 20, 20])
    assert [line.f1 for line in lines] == pytest.approx([40, 60, 80, 100])
    assert {line.metric for line in lines} == {"gmner"}


def test_masks_are_paid_for_first() -> None:
    right, wrong = pixels(0), pixels(5)
    case = Case(
        "1",
        (predicted(0, SQUARE, mask=right), predicted(1, SQUARE, mask=wrong), predicted(2, SQUARE)),
        tuple(gold(start, SQUARE, masks=(right,)) for start in range(3)),
    )
    lines = error_budget([case], masks=True)
    assert [(line.mistake, line.entities) for line in lines if line.metric == "smner"] == [
        ("mask", 2),
        ("box", 0),
        ("groundability", 0),
        ("type", 0),
        ("span", 0),
    ]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (False, [("mner", "type", 1), ("mner", "span", 1)]),
        (
            True,
            [
                ("smner", "mask", 1),
                ("smner", "groundability", 1),
                ("smner", "type", 1),
                ("smner", "span", 1),
            ],
        ),
    ],
)
def test_without_boxes_only_what_is_scored_is_paid_for(
    masks: bool, expected: list[tuple[str, str, int]]
) -> None:
    right, wrong = pixels(0), pixels(5)
    case = Case(
        "1",
        (
            predicted(0, SQUARE, mask=right),
            predicted(1, SQUARE, mask=wrong),
            predicted(2),
            predicted(3, label="ORG"),
        ),
        tuple(
            AnnotatedEntity(f"e{start}", "PER", Span(start, start + 1), masks=found)
            for start, found in enumerate([(right,), (right,), (right,), (), ()])
        ),
    )
    lines = error_budget([case], boxes=False, masks=masks)
    assert [(line.metric, line.mistake, line.entities) for line in lines] == expected


def test_an_entity_without_an_answer_is_a_mistake_of_groundability() -> None:
    entity = PredictedEntity("e0", "PER", Span(0, 1))
    lines = error_budget([Case("1", (entity,), (gold(0),))])
    assert [line.mistake for line in lines if line.points] == ["groundability"]


def test_nothing_at_all_has_no_budget() -> None:
    assert error_budget([Case("1", (), ())]) == ()


@given(cases)
def test_the_lines_add_up_to_what_is_missing(case: Case) -> None:
    lines = error_budget([case])
    if not lines:
        return
    score = canonical()(case)
    assert sum(line.points for line in lines) == pytest.approx(100 - score["gmner"].f1)
    assert all(line.points >= -1e-9 for line in lines)
    by_mistake = {line.mistake: line.f1 for line in lines}
    assert by_mistake["groundability"] == pytest.approx(score["mner"].f1)
    assert by_mistake["type"] == pytest.approx(score["span"].f1)


@pytest.mark.parametrize("stage", ["tag", "entail", "ground"])
def test_the_runs_with_gold_are_commands_of_the_same_system(tmp_path: Path, stage: str) -> None:
    folder = make_run(tmp_path / "run", [])
    commands = gold_reruns(folder)
    assert len(commands) == 3
    command = next(one for one in commands if f"--set {stage}.backend=gold" in one)
    assert command.startswith("riveg run quickstart --data quickstart --split dev --set ")
    assert command.endswith(f"--out {folder}-{stage}-gold")


def test_a_changed_system_is_run_again_from_its_own_file(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a run", [], overrides=["entail.threshold=0.3"])
    for command in gold_reruns(folder):
        assert f"riveg run '{folder}/config.yaml' --data" in command


def test_stages_that_are_not_there_or_read_gold_are_not_run_again(tmp_path: Path) -> None:
    overrides = ["entail=none", "tag.backend=gold"]
    folder = make_run(tmp_path / "run", [], overrides=overrides, oracle_stages=["tag"])
    (command,) = gold_reruns(folder)
    assert "ground.backend=gold" in command


def test_a_bare_file_is_run_again_by_its_path(tmp_path: Path) -> None:
    origin = ["/data/my posts.jsonl"]
    folder = make_run(tmp_path / "run", [], data="my posts", origin=origin, limit=5)
    assert "--data '/data/my posts.jsonl' --limit 5 --set" in gold_reruns(folder)[0]


def test_files_with_columns_of_any_name_are_run_again_as_they_were_given(tmp_path: Path) -> None:
    origin = ["/data/one.tsv", "/data/two.json.gz"]
    columns = {"text": "tweet", "id": None}
    folder = make_run(tmp_path / "run", [], data="one+two", origin=origin, columns=columns)
    expected = "--data /data/one.tsv --data /data/two.json.gz --column text=tweet --column id= "
    assert expected in gold_reruns(folder)[0]
