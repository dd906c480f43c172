"""SAKE's lists of entities, as its evaluation files may hold them."""

import json
from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign import read_foreign, sniff
from riveg.types import Box, Region

ANN = {"entity": "Ann Lee", "type": "PER", "box2d": [1, 2, 30, 40]}
NASA = {"entity": "NASA", "type": "ORG", "box2d": []}
FOUND = (
    PredictedEntity("Ann Lee", "PER", groundable=True, regions=(Region(Box(1, 2, 30, 40)),)),
    PredictedEntity("NASA", "ORG", groundable=False, regions=()),
)


def write(folder: Path, *answers: object) -> Path:
    path = folder / "pred.jsonl"
    lines = [{"image_id": f"{number}.jpg", "response": one} for number, one in enumerate(answers)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "answer",
    [
        [ANN, NASA],
        json.dumps([ANN, NASA]),
        json.dumps([ANN, NASA], indent=1),
        f"<reason>[1,2]</reason><answer>{json.dumps([ANN, NASA])}</answer>",
        [ANN | {"box2d": [[1, 2, 30, 40]]}, NASA],
    ],
)
def test_a_list_is_read_however_it_is_written(tmp_path: Path, answer: object) -> None:
    path = write(tmp_path, "[]", answer, [])
    assert sniff(path) == "sake"
    file = read_foreign(path, "sake")
    assert [one.sample_id for one in file.samples] == ["0", "1", "2"]
    assert [one.predicted for one in file.samples] == [(), FOUND, ()]
    assert "pixels of the original image" in file.notes[0]


def test_an_entity_with_several_boxes_is_one(tmp_path: Path) -> None:
    other = ANN | {"box2d": [50, 2, 80, 40]}
    (sample,) = read_foreign(write(tmp_path, [ANN, other, ANN]), "sake").samples
    assert [len(one.regions or ()) for one in sample.predicted] == [2, 1]


def test_its_fourth_type_is_called_as_in_the_data(tmp_path: Path) -> None:
    (sample,) = read_foreign(write(tmp_path, [NASA | {"type": "MISC"}]), "sake").samples
    assert [one.label for one in sample.predicted] == ["OTHER"]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    flat, unnamed = ANN | {"box2d": [5, 5, 5, 9]}, {"type": "PER", "box2d": []}
    search = '<text_search>[{"query": "Ann Lee"}]</text_search>'
    file = read_foreign(write(tmp_path, [flat, unnamed], search, None), "sake")
    flat_one, asked, unanswered = file.samples
    (entity,) = flat_one.predicted
    assert (entity.groundable, entity.regions) == (True, None)
    assert (asked.answered, asked.predicted) == (True, ())
    assert not unanswered.answered
    assert {*file.notes[:3]} == {
        "left out: boxes that enclose nothing (1)",
        "left out: entries without entity, type and box2d (1)",
        "left out: answers that are no list of entities (1)",
    }


def test_an_answer_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"pred\.jsonl:1: response must be a list of entities, found"
    ):
        read_foreign(write(tmp_path, {"entities": []}), "sake")
    with pytest.raises(UserError, match=r"pred\.jsonl:1: response must be a text, found"):
        read_foreign(write(tmp_path, [ANN]), "e2e")
