"""Predictions of every form become records, and runs that go on from them score the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.factories import make_sample, write_records
from helpers.run_folders import make_run

from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.evaluation.evaluate import EvaluationOptions, evaluate
from riveg.evaluation.reading import open_gold, open_predictions
from riveg.evaluation.recording import frame_notes, record_predictions
from riveg.exports.registry import export_run
from riveg.exports.source import ExportSource
from riveg.formats.smner import read_smner
from riveg.runs.reading import read_record_lines, read_records
from riveg.runs.system import load_system
from riveg.types import (
    Box,
    Entity,
    GoldEntity,
    ImageRef,
    ImageSize,
    Issue,
    Mask,
    Region,
    Sample,
)

DATA = open_dataset("quickstart")
GOLD = {gold.sample_id: gold.entities for gold in DATA.gold()}
PROTOCOLS = ("canonical", "riveg", "e2e")


def told() -> dict[str, list[tuple[str, str, Box | None]]]:
    """What a system might say: the gold with wrong types, wrong boxes and wrong "not shown"."""
    found: dict[str, list[tuple[str, str, Box | None]]] = {}
    for entities in GOLD.values():
        for entity in entities:
            number = sum(map(len, found.values()))
            found.setdefault(_id_of(entities), []).append(_told(number, entity))
    return found


def _id_of(entities: tuple[GoldEntity, ...]) -> str:
    return next(key for key, value in GOLD.items() if value is entities)


def _told(number: int, entity: GoldEntity) -> tuple[str, str, Box | None]:
    box = entity.boxes[0] if entity.boxes else None
    if box is not None and number % 4 == 1:
        box = None
    elif box is not None and number % 4 == 2:
        box = Box(0, 0, box.width / 3, box.height / 3)
    return entity.text, "ORG" if number % 5 == 3 else entity.label, box


def edges(box: Box) -> list[float]:
    return [box.x_min, box.y_min, box.x_max, box.y_max]


def write_riveg(folder: Path) -> dict[str, Path]:
    lines, boxes = [], []
    for sample_id, entities in told().items():
        for number, (name, label, box) in enumerate(entities):
            row = f"{sample_id}.jpg#{number:04x}"
            flag = 0 if box is None else 2
            lines.append(f"Imageid:{row}###{name}({label})###{name}({label})-a thing###{flag}\n")
            if box is not None:
                boxes.append({"uniq_id": row, "box": edges(box)})
    (folder / "p.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return {"file": folder / "p.txt", "boxes": folder / "boxes.json"}


def write_e2e(folder: Path) -> dict[str, Path]:
    lines = []
    for sample_id, entities in ((one, told().get(one, [])) for one in GOLD):
        triples = [
            f"{name}|{label}|{'None' if box is None else json.dumps(edges(box))}"
            for name, label, box in entities
        ]
        answer = f"<think></think><answer>{'; '.join(triples) or 'None'}</answer>"
        lines.append(json.dumps({"image_id": sample_id, "prediction": answer}) + "\n")
    (folder / "p.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"file": folder / "p.jsonl"}


def write_tiger(folder: Path) -> dict[str, Path]:
    lines = []
    (folder / "vinvl").mkdir()
    for sample_id, entities in ((one, told().get(one, [])) for one in GOLD):
        candidates = [edges(box) for _, _, box in entities if box is not None]
        rows = np.array([[0, 0, 3, 3], *candidates], dtype=np.float64)
        np.savez(folder / "vinvl" / f"{sample_id}.jpg.npz", bounding_boxes=rows)
        said: dict[str, int | None] = {}
        for name, label, box in entities:
            place = None if box is None else 1 + candidates.index(edges(box))
            said[f"{name} {label} {box is not None}"] = place
        lines.append(f"fine   Pred: {said}\n")
    (folder / "dump.txt").write_text("".join(lines), encoding="utf-8")
    return {"file": folder / "dump.txt", "proposals": folder / "vinvl"}


def own_records() -> list[Sample]:
    """What is told as riveg's own records, with scores and a mask of an earlier run."""
    found = []
    for sample in DATA.samples():
        said = zip(told().get(sample.id, ()), GOLD[sample.id], strict=True)
        entities = tuple(
            Entity(f"e{at}", name, label, gold.span, 0.5 + at / 100, regions=_regions(box))
            for at, ((name, label, box), gold) in enumerate(said)
        )
        found.append(replace(sample, entities=entities))
    return found


def _regions(box: Box | None) -> tuple[Region, ...]:
    return () if box is None else (Region(box, 0.75, Mask(9, 8, "abc", "other"), "other"),)


def write_run(folder: Path) -> dict[str, Path]:
    run = make_run(folder / "own", own_records(), origin=list(DATA.origin), split="test")
    return {"file": run}


def write_file_of_records(folder: Path) -> dict[str, Path]:
    return {"file": write_records(folder / "p.jsonl", own_records())}


def write_batch(folder: Path) -> dict[str, Path]:
    records = [_without_masks(one) for one in own_records()]
    run = make_run(folder / "own", records, origin=list(DATA.origin), split="test")
    export_run(ExportSource.of_run(run), "smner", folder / "batch", {})
    return {"file": folder / "batch"}


def _without_masks(sample: Sample) -> Sample:
    entities = tuple(
        replace(one, regions=tuple(replace(it, mask=None) for it in one.regions or ()))
        for one in sample.entities or ()
    )
    return replace(sample, entities=entities)


def recorded(
    folder: Path, options: dict[str, Path], data: Dataset = DATA
) -> tuple[list[Sample], tuple[str, ...]]:
    """The records of predictions, and what is told of them."""
    predictions = open_predictions(options["file"], boxes=options.get("boxes"))
    out = folder / "recorded.jsonl"
    notes = record_predictions(predictions, data, out, proposals=options.get("proposals"))
    return [*read_record_lines(out)], notes


def scores(file: Path, boxes: Path | None = None, proposals: Path | None = None) -> object:
    opened = open_predictions(file, boxes=boxes)
    gold = open_gold("quickstart", opened, proposals=proposals)
    evaluation = evaluate(opened, gold, EvaluationOptions(PROTOCOLS, resamples=10))
    return [
        (protocol, metric, score and (score.hits, score.predicted, score.gold))
        for protocol in PROTOCOLS
        for metric, score in evaluation.scores[protocol].items()
    ]


FORMS = (write_riveg, write_e2e, write_tiger, write_run, write_file_of_records, write_batch)


@pytest.mark.slow
@pytest.mark.parametrize("write", FORMS)
def test_masks_are_made_of_every_form_and_the_scores_stay(
    tmp_path: Path, write: Callable[[Path], dict[str, Path]]
) -> None:
    options = write(tmp_path)
    samples, _ = recorded(tmp_path, options)
    file = json.dumps(str(tmp_path / "recorded.jsonl"))
    run = load_system("masks", f"extract.file={file}").run(DATA, out=tmp_path / "run").folder
    masked = [*read_records(run)]
    assert [one.entities for one in masked if one.entities is not None] != []
    regions = [
        region for one in masked for entity in one.entities or () for region in entity.regions or ()
    ]
    assert len(regions) > 5
    assert all(region.mask is not None for region in regions)
    order = {one.id: [(it.id, it.text, it.score) for it in one.entities or ()] for one in samples}
    for one in masked:
        if one.entities is not None:
            assert [(it.id, it.text, it.score) for it in one.entities] == order[one.id]
    assert scores(run, proposals=options.get("proposals")) == scores(**options)
    export_run(ExportSource.of_run(run), "smner", tmp_path / "smner", {})
    assert [*read_smner(tmp_path / "smner")] == masked


def test_the_words_of_an_entity_find_their_tokens(tmp_path: Path) -> None:
    samples, notes = recorded(tmp_path, write_riveg(tmp_path))
    spans = {
        one.id: [(entity.text, entity.span) for entity in one.entities or ()] for one in samples
    }
    for sample_id, entities in GOLD.items():
        assert spans[sample_id] == [(entity.text, entity.span) for entity in entities]
    assert notes == ()


def test_what_is_missing_is_told_and_is_in_the_records(tmp_path: Path) -> None:
    lines = [
        {"image_id": "qs03-cat", "prediction": "Chelsea|PER|[1,1,9,9]; Nowhere Man|PER|None"},
        {"image_id": "qs02-rocket", "prediction": "SpaceX|ORG|[?]; SpaceX|ORG|[2,2,5,5]"},
        {"image_id": "qs05-camera", "prediction": None},
        {"image_id": "elsewhere", "prediction": "None"},
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    samples, notes = recorded(tmp_path, {"file": tmp_path / "p.jsonl"})
    assert [one.id for one in samples] == ["qs02-rocket", "qs03-cat", "qs05-camera"]
    rocket, cat, camera = samples
    (chelsea,) = cat.entities or ()
    assert (chelsea.text, chelsea.span.start) == ("Chelsea", 0)
    assert [issue.kind for issue in cat.issues] == ["unaligned-entity"]
    assert [entity.regions is None for entity in rocket.entities or ()] == [True, False]
    assert len({entity.id for entity in rocket.entities or ()}) == 2
    assert camera.entities is None
    told = "\n".join(notes)
    for expected in (
        "1 predicted post is not in the data, for example 'elsewhere'",
        "9 posts have no prediction",
        "1 post was not answered",
        "1 entity left out, with an Issue",
        "1 entity with words that stand in the post more often than they are predicted",
        "1 entity said more often than the words stand in the post",
        "1 entity without a place",
    ):
        assert expected in told
    run = load_system("masks", f"extract.file={tmp_path / 'recorded.jsonl'}").run(
        DATA, out=tmp_path / "run"
    )
    kinds = {one.id: [issue.kind for issue in one.issues] for one in read_records(run.folder)}
    assert kinds["qs03-cat"] == ["unaligned-entity"]
    assert kinds["qs02-rocket"] == ["not-recorded"]
    assert kinds["qs05-camera"] == kinds["qs01-astronaut"] == ["not-recorded"]
    assert run.failed == 12


def test_words_that_are_repeated_again_and_again_cost_no_more(tmp_path: Path) -> None:
    answer = "; ".join(["Chelsea|PER|[1,1,9,9]"] * 500)
    (tmp_path / "p.jsonl").write_text(json.dumps({"image_id": "qs03-cat", "prediction": answer}))
    began = time.process_time()
    (cat,), notes = recorded(tmp_path, {"file": tmp_path / "p.jsonl"})
    assert time.process_time() - began < 10, "a minute where every place was sought anew"
    starts = [entity.span.start for entity in cat.entities or ()]
    assert starts == [0, *[4] * 499]
    assert any(note.startswith("498 entities said more often") for note in notes)


def test_a_record_about_other_tokens_is_aligned_by_its_words(tmp_path: Path) -> None:
    (cat,) = (one for one in DATA.samples() if one.id == "qs03-cat")
    other = make_sample("Look : Chelsea", [(2, 3, "PER")], id="qs03-cat")
    (entity,) = other.entities or ()
    (placed,) = [replace(entity, regions=(Region(Box(1, 1, 5, 5), 0.5),), score=0.25)]
    write_records(tmp_path / "p.jsonl", [replace(other, entities=(placed,))])
    (sample,), _ = recorded(tmp_path, {"file": tmp_path / "p.jsonl"})
    (found,) = sample.entities or ()
    assert sample.tokens == cat.tokens
    assert (found.span.start, found.score) == (0, 0.25)
    assert [region.box for region in found.regions or ()] == [Box(1, 1, 5, 5)]


def test_boxes_beyond_their_image_are_told(tmp_path: Path) -> None:
    size = ImageSize(100, 50)
    boxes = [Box(0, 0, 100.4, 50), Box(-20, 0, 30, 30), Box(200, 0, 300, 20)]
    sample = make_sample("a b c", [(0, 1, "PER"), (1, 2, "PER"), (2, 3, "PER")])
    entities = tuple(
        replace(entity, regions=(Region(box),))
        for entity, box in zip(sample.entities or (), boxes, strict=True)
    )
    image = ImageRef("x.jpg", size.width, size.height)
    notes = frame_notes([replace(sample, entities=entities, image=image)])
    assert [note.partition(":")[0] for note in notes] == [
        "1 box outside of the image, without a mask",
        "1 box reaching over the edge of the image",
    ]
    (note,) = frame_notes([replace(sample, entities=entities[:1], image=ImageRef("x.jpg"))])
    assert note.startswith("1 box in images that no stage has opened")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "Imageid:1.jpg#0000###A(PER)###A(PER)-a###2\n", "give its boxes: --boxes FILE"),
        ("p.txt", "fine   Pred: {'A PER True': 3}\n", "give these: --proposals DIR"),
        ("p.txt", "IMGID:qs03-cat\nA\tB-PER\n", "says no places, and masks are made of boxes"),
        ("p.jsonl", '{"image_id": "no", "prediction": "None"}\n', "none of its 1 samples is in"),
        ("p.jsonl", '{"prediction": "None"}\n', "1 predictions without ids for the 12 samples"),
    ],
)
def test_predictions_that_cannot_be_joined_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        recorded(tmp_path, {"file": tmp_path / name})


def test_posts_without_an_image_are_told(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "1", "text": "Ann sang"}\n')
    (tmp_path / "p.jsonl").write_text('{"id": "1", "prediction": "Ann|PER|[1,1,9,9]"}\n')
    data = open_dataset(str(tmp_path / "d.jsonl"))
    (sample,), notes = recorded(tmp_path, {"file": tmp_path / "p.jsonl"}, data)
    assert sample.entities is not None
    assert notes == ("1 box of posts without an image: no mask",)
    assert not [one for one in sample.issues if isinstance(one, Issue)]
