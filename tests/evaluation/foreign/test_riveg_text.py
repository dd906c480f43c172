import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.evaluation.foreign import read_foreign
from riveg.evaluation.foreign.riveg_text import read_riveg_gold
from riveg.types import Box, Region

SIDE = st.floats(0, 400, allow_nan=False).map(lambda number: round(number, 2))
BOX = st.builds(lambda x, y, w, h: [x, y, x + w + 1, y + h + 1], SIDE, SIDE, SIDE, SIDE)
NAME = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="#"), min_size=1)
ENTITY = st.tuples(
    st.sampled_from(["17_06_1", "O_2", "3"]), NAME, st.sampled_from(["PER", "LOC"]), st.none() | BOX
)


Named = tuple[str, str, str, list[float] | None]
"""Image, name, label, corners of the box."""


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def line_of(number: int, entity: Named) -> str:
    image, name, label, box = entity
    flag = 0 if box is None else 2
    return (
        f"Imageid:{image}.jpg#{number:04x}###{name}({label})###{name}({label})-a###b (c)###{flag}"
    )


def boxes_of(entities: list[Named], *, start: int = 0) -> list[dict[str, object]]:
    return [
        {"uniq_id": f"{image}.jpg#{number:04x}", "box": box}
        for number, (image, _, _, box) in enumerate(entities, start=start)
        if box is not None
    ]


def expected(entities: list[Named], *, boxes: bool) -> dict[str, list[PredictedEntity]]:
    found: dict[str, list[PredictedEntity]] = {}
    for image, name, label, box in entities:
        regions = (
            None if box is not None and not boxes else () if box is None else (Region(Box(*box)),)
        )
        shown = box is not None
        entity = PredictedEntity(name, label, groundable=shown, regions=regions, entailed=shown)
        found.setdefault(image, []).append(entity)
    return found


@given(entities=st.lists(ENTITY), way=st.sampled_from(["none", "ids", "shuffled ids", "order"]))
def test_a_written_file_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, entities: list[Named], way: str
) -> None:
    folder = tmp_path_factory.mktemp("riveg")
    path = write(folder / "p.txt", *(line_of(*item) for item in enumerate(entities)))
    # Fresh suffixes at every conversion: the ids of one file are not those of the other.
    values = boxes_of(entities, start=5000 if way == "order" else 0)
    if way == "shuffled ids":
        values.reverse()
    boxes = folder / "boxes.json"
    boxes.write_text(json.dumps(values), encoding="utf-8")
    file = read_foreign(path, "riveg", None if way == "none" else boxes)
    found = {sample.sample_id: list(sample.predicted) for sample in file.samples}
    assert found == expected(entities, boxes=way != "none")
    assert file.absent_is_empty
    assert not file.by_order
    places_are_missing = way == "none" and any(box for *_, box in entities)
    assert file.detail == ("groundability" if places_are_missing else "regions")
    assert any("no boxes are given" in note for note in file.notes) is places_are_missing
    if way == "order" and values:
        assert "joined to lines by order" in file.notes[0]
        assert "0 boxes name another picture" in file.notes[0]
    elif way != "none":
        assert not file.notes


def test_the_type_stands_in_the_last_brackets(tmp_path: Path) -> None:
    path = write(tmp_path / "p.txt", "Imageid:1.jpg#0a1b###Mulan ( film )(OTHER)###Mulan-film###0")
    assert read_foreign(path, "riveg").samples[0].predicted[0] == PredictedEntity(
        "Mulan ( film )", "OTHER", groundable=False, regions=(), entailed=False
    )


@pytest.mark.parametrize("box", ["[0, 0, 0, 0]", "null", "NaN"])
def test_a_box_without_area_is_a_place_that_is_not_known(tmp_path: Path, box: str) -> None:
    path = write(tmp_path / "p.txt", "Imageid:1.jpg#0a1b###X(PER)###X-a###2")
    boxes = write(tmp_path / "b.json", f'[{{"uniq_id": "1.jpg#0a1b", "box": {box}}}]')
    file = read_foreign(path, "riveg", boxes)
    assert file.samples[0].predicted[0].regions is None
    assert file.samples[0].predicted[0].groundable is True
    (note,) = file.notes
    assert note.startswith("1 box is null or encloses nothing: such an answer is never right")


def test_a_note_warns_of_boxes_of_other_images(tmp_path: Path) -> None:
    path = write(tmp_path / "p.txt", "Imageid:1.jpg#0a1b###X(PER)###X-a###2")
    boxes = write(tmp_path / "b.json", '[{"uniq_id": "2.jpg#0a1b", "box": [0, 0, 9, 9]}]')
    assert "1 box names another picture" in read_foreign(path, "riveg", boxes).notes[0]


@pytest.mark.parametrize(
    ("line", "message", "reason"),
    [
        ("", r"p\.txt:2: expected Imageid:", "an empty line"),
        ("1.jpg#0a1b###X(PER)###d###0", r"p\.txt:2: expected Imageid:", "no prefix"),
        ("Imageid:1.jpg#0a1b###X(PER)###0", r"p\.txt:2: expected Imageid:", "too few fields"),
        ("Imageid:1.jpg#0a1b###X(PER)###d###1", r"p\.txt:2: expected Imageid:", "no such flag"),
        (
            "Imageid:1.jpg#0a1b###X###d###0",
            r"p\.txt:2: expected an entity as Name\(TYPE\)",
            "no type",
        ),
        ("Imageid:1.jpg#0a1b###(PER)###d###0", r"p\.txt:2: expected an entity", "no name"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, message: str, reason: str) -> None:
    path = write(tmp_path / "p.txt", "Imageid:1.jpg#0a1b###X(PER)###d###0", line)
    with pytest.raises(UserError, match=message):
        read_foreign(path, "riveg")


@pytest.mark.parametrize(
    ("text", "message", "reason"),
    [
        ("[]", r"holds 0 boxes for the 1 groundable entities", "too few boxes"),
        ("{}", r"b\.json: expected a list", "no list"),
        ("[", r"b\.json: is not JSON", "cut off"),
        ("[5]", r"b\.json: entry 1: expected", "no object"),
        ('[{"uniq_id": "a", "box": [1, 2, 3]}]', r"entry 1: expected", "three numbers"),
        ('[{"uniq_id": "a", "box": [1, 2, 3, NaN]}]', r"entry 1: expected", "no number"),
        ('[{"uniq_id": "a", "box": [1, 2, 3, true]}]', r"entry 1: expected", "a claim"),
        ('[{"box": [1, 2, 3, 4]}]', r"entry 1: expected", "no id"),
    ],
)
def test_malformed_boxes(tmp_path: Path, text: str, message: str, reason: str) -> None:
    path = write(tmp_path / "p.txt", "Imageid:1.jpg#0a1b###X(PER)###X-a###2")
    with pytest.raises(UserError, match=message):
        read_foreign(path, "riveg", write(tmp_path / "b.json", text))


@given(entities=st.lists(ENTITY), twice=st.booleans())
def test_a_written_label_file_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, entities: list[Named], twice: bool
) -> None:
    lines = []
    wanted: dict[str, list[AnnotatedEntity]] = {}
    for image, name, label, box in entities:
        boxes = [] if box is None else [box, box] if twice else [box]
        places = "".join(f"&{item}" for item in boxes or [[0, 0, 0, 0]])
        lines.append(f"{image}.jpg###{name}({label})###d###{2 if boxes else 0}###{places}")
        entity = AnnotatedEntity(name, label, boxes=tuple(Box(*item) for item in boxes))
        wanted.setdefault(image, []).append(entity)
    path = write(tmp_path_factory.mktemp("riveg") / "g.txt", *lines)
    assert {key: list(found) for key, found in read_riveg_gold(path).items()} == wanted


@pytest.mark.parametrize(
    ("line", "message", "reason"),
    [
        ("1.jpg###X(PER)###d###2", r"g\.txt:1: expected <picture>", "no boxes"),
        ("1.jpg###X(PER)###d###1###&[1, 2, 3, 4]", r"g\.txt:1: expected <picture>", "no such flag"),
        ("1.jpg###X(PER)###d###2###[1, 2, 3, 4]", r"expected boxes as &\[", "no mark"),
        ("1.jpg###X(PER)###d###2###&[0, 0, 0, 0]", r"no box .* encloses", "no area"),
        ("1.jpg###X(PER)###d###2###&[1, 2, 3]", r"no box .* encloses", "three numbers"),
        ("1.jpg###X###d###0###&[0, 0, 0, 0]", r"expected an entity", "no type"),
    ],
)
def test_malformed_labels(tmp_path: Path, line: str, message: str, reason: str) -> None:
    with pytest.raises(UserError, match=message):
        read_riveg_gold(write(tmp_path / "g.txt", line))
