import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.foreign import read_foreign, sniff
from riveg.evaluation.foreign.e2e import ANSWER_KEYS
from riveg.evaluation.reading import open_gold, open_predictions
from riveg.formats.e2e_answer import Triple, format_answer
from riveg.types import Box, ImageSize, Region

SIDE = st.integers(0, 400)
BOX = st.builds(lambda x, y, w, h: (x, y, x + w + 1, y + h + 1), SIDE, SIDE, SIDE, SIDE)
NAME = st.text(st.characters(categories=["L", "N"]), min_size=1)
PREDICTED = st.tuples(NAME, st.sampled_from(["PER", "LOC"]), st.lists(BOX, max_size=3))


Named = tuple[str, str, list[tuple[int, int, int, int]]]
"""Name, label, corners of the boxes."""


def write(folder: Path, *lines: object) -> Path:
    path = folder / "pred.jsonl"
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow  # seconds
@given(
    answers=st.lists(st.lists(PREDICTED), min_size=1),
    key=st.sampled_from(ANSWER_KEYS),
    ids=st.booleans(),
)
def test_a_written_file_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, answers: list[list[Named]], key: str, ids: bool
) -> None:
    lines = []
    for number, answer in enumerate(answers):
        text = format_answer(Triple(name, label, tuple(boxes)) for name, label, boxes in answer)
        lines.append({key: f"<think>[1,2,3,4];</think><answer>{text}</answer>"})
        if ids:
            lines[-1]["image_path"] = f"twitter2017_images/O_{number}.jpg"
    file = read_foreign(write(tmp_path_factory.mktemp("e2e"), *lines), "e2e")
    assert [sample.predicted for sample in file.samples] == [
        tuple(
            PredictedEntity(
                name,
                label,
                groundable=bool(boxes),
                regions=tuple(Region(Box(*box)) for box in boxes),
            )
            for name, label, boxes in answer
        )
        for answer in answers
    ]
    assert file.by_order is not ids
    if ids:
        assert [sample.sample_id for sample in file.samples] == [
            f"O_{number}" for number in range(len(answers))
        ]
        assert not file.notes
    else:
        assert ["by order" in note for note in file.notes] == [True]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, {"id": "1", "pred": "A|PER; B|LOC|[5,5,5,9]; C|LOC|[9,9,1,1],[1,1,9,9]"})
    file = read_foreign(path, "e2e")
    assert file.samples[0].predicted == (
        PredictedEntity("B", "LOC", groundable=True, regions=None),
        PredictedEntity("C", "LOC", groundable=True, regions=(Region(Box(1, 1, 9, 9)),)),
    )
    assert {*file.notes} == {
        "left out: boxes that enclose nothing (2)",
        "left out: pieces of answers without mention, type and region (1)",
    }


def test_the_evaluators_own_file_is_in_pixels_of_the_resized_image(tmp_path: Path) -> None:
    own = {
        "response_answer_scaled": "A|PER|[0,0,588,224.5]",
        "response_answer_orig": "",
        "labels_answer_orig": "A|PER|None",
        "orig_size": [600, 450],
        "image_path": "images/7.jpg",
    }
    (sample,) = read_foreign(write(tmp_path, own), "e2e").samples
    (region,) = sample.predicted[0].regions or ()
    assert (sample.sample_id, sample.size) == ("7", ImageSize(600, 450))
    assert region.box.x_max == pytest.approx(600)
    assert region.box.y_max == pytest.approx(450 * 224.5 / 448)
    assert sniff(tmp_path / "pred.jsonl") == "e2e"
    named = own | {"orig_size": {"width": 600, "height": 450}}
    assert read_foreign(write(tmp_path, named), "e2e").samples == (sample,)
    only = {"response_answer_orig": "A|PER|[0,0,600,225]"}
    (sample,) = read_foreign(write(tmp_path, only), "e2e").samples
    assert sample.predicted[0].regions == (Region(Box(0, 0, 600, 225)),)


@pytest.mark.parametrize(
    ("lines", "message", "reason"),
    [
        (["{"], r"pred\.jsonl:1: is not JSON", "cut off"),
        ([{"id": {"0": "1"}, "pred": {"0": ""}}], r":1: its keys are columns", "a data frame"),
        (["3"], r"pred\.jsonl: entry 1: expected an object, found '3'", "a number"),
        (["[3]"], r"pred\.jsonl: entry 1: expected an object", "a list of none"),
        (
            ['[{"pred": ""}'],
            r"begins as an array and is none \(.*\); expected one array",
            "cut off",
        ),
        (["[" * 100_000], r"begins as an array and is none", "too deep"),
        ([{"pred": "", "id": 1.5}], r"id must be an id, found '1\.5'", "no whole number"),
        ([{"pred": "", "id": 2.0**60}], r"id must be an id", "not exact"),
        ([{"text": "A"}], r"exactly one of .*found none \(its keys are 'text'\)", "no answer"),
        ([{"pred": "A", "output": "B"}], r"found pred, output", "two answers"),
        ([{"pred": ["A"]}], r"pred must be a text, found '\[\"A\"\]'", "not a text"),
        ([{"pred": "", "id": "1"}, {"pred": ""}], r":2: either every line", "an id is missing"),
        (
            [{"pred": "", "id": 1}, {"pred": "", "id": "1"}],
            r":2: the id '1' stands in line 1",
            "twice",
        ),
        ([{"response_answer_scaled": ""}], r":1: expected orig_size of the image", "no size"),
        (
            [{"response_answer_scaled": "", "orig_size": [0, 9]}],
            r":1: expected orig_size .* found '\[0, 9\]'",
            "no size either",
        ),
        ([{"pred": "", "image": ["a.jpg"]}], r"image must be an id", "a list of pictures"),
    ],
)
def test_malformed_lines(tmp_path: Path, lines: list[object], message: str, reason: str) -> None:
    with pytest.raises(UserError, match=message):
        read_foreign(write(tmp_path, *lines), "e2e")


def form(objects: list[dict[str, object]], kind: str) -> str:
    """The same objects one behind the other, or as an array, in one line or in several."""
    indent = 2 if kind.startswith("indented") else None
    if kind.endswith("array"):
        return json.dumps(objects, indent=indent)
    texts = (json.dumps(one, indent=indent) for one in objects)
    return ("" if kind == "one line" else "\n").join(texts)


FORMS = ["lines", "one line", "indented", "array", "indented array"]


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("nothing", [None, math.nan])
def test_values_as_data_frames_write_them(tmp_path: Path, kind: str, nothing: float | None) -> None:
    objects: list[dict[str, object]] = [
        {"image_id": 1.0, "id": nothing, "prediction": "Ann|PER|None", "output": nothing},
        {"image_id": nothing, "id": 2.0, "prediction": nothing, "output": nothing},
        {"image_id": 3, "prediction": ""},
    ]
    path = write(tmp_path, form(objects, kind))
    assert sniff(path) == "e2e"
    found = read_foreign(path, "e2e").samples
    assert [sample.sample_id for sample in found] == ["1", "2", "3"]
    assert [sample.answered for sample in found] == [True, False, True]
    assert [len(sample.predicted) for sample in found] == [1, 0, 0]


def test_a_missing_answer_is_an_unanswered_sample(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    rows = (f'{{"id": "{number}", "text": "Ann", "entities": []}}\n' for number in (1, 2))
    gold.write_text("".join(rows), encoding="utf-8")
    path = write(tmp_path, {"id": 1, "prediction": None}, {"id": 2, "prediction": "Ann|PER|None"})
    opened = open_predictions(path)
    found = evaluate(opened, open_gold(str(gold), opened))
    assert (found.unanswered, found.without_prediction) == (1, 0)
