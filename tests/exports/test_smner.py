"""The SMNER batch: what goes out comes back, and other readers find what they need."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.any_samples import runs
from helpers.small_runs import answered, named, region, ring, trap_samples, write_run
from hypothesis import given, settings
from pycocotools import mask as coco

from riveg.errors import UserError
from riveg.evaluation.cases import predicted_of
from riveg.exports.smner import export_smner
from riveg.formats.conll import read_conll
from riveg.formats.smner import read_index, read_smner
from riveg.geometry.masks import mask_area
from riveg.text.bio import bio_to_spans
from riveg.types import Sample, Span


def exported(folder: Path, samples: list[Sample]) -> Path:
    source = write_run(folder, samples)
    out = folder / "out"
    out.mkdir()
    export_smner(source, out)
    return out


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(runs())
def test_records_come_back_as_they_were(samples: list[Sample]) -> None:
    with TemporaryDirectory() as folder:
        out = exported(Path(folder), samples)
        back = [*read_smner(out)]
        documents = [
            json.loads((out / entry["file"]).read_text()) for entry in read_index(out)["files"]
        ]
    assert back == samples
    for sample, document in zip(samples, documents, strict=True):
        said = [entity["groundable"] for entity in document["entities"] or ()]
        assert said == [predicted.groundable for predicted in predicted_of(sample)]


def test_a_document_holds_what_an_evaluation_reads(tmp_path: Path) -> None:
    mask = ring()
    out = exported(tmp_path, [answered("in Ann", named("Ann", 1, region(mask=mask)))])
    (entry,) = read_index(out)["files"]
    document = json.loads((out / entry["file"]).read_text())
    (entity,) = document["entities"]
    assert (entity["text"], entity["label"], entity["span"]) == ("Ann", "PER", [1, 2])
    assert (entity["characters"], entity["groundable"], entity["score"]) == ([3, 6], True, 0.75)
    (found,) = entity["regions"]
    assert found["box"] == [4, 6, 24, 26]
    runs = {"size": found["mask"]["size"], "counts": found["mask"]["counts"].encode()}
    assert int(coco.area(runs)) == found["mask"]["area"] == mask_area(mask)
    square, pixel = found["mask"]["polygons"]
    assert (len(square["holes"]), len(pixel["holes"])) == (1, 0)
    assert sorted(zip(pixel["exterior"][::2], pixel["exterior"][1::2], strict=True)) == [
        (63, 47), (63, 48), (64, 47), (64, 48)
    ]  # fmt: skip


def test_not_answered_and_no_entity_are_different(tmp_path: Path) -> None:
    samples = [
        replace(answered("a"), entities=None),
        replace(answered("b", id="2"), entities=()),
        answered("Ann", replace(named("Ann", 0), regions=None), id="3"),
        answered("Ann", named("Ann", 0), id="4"),
    ]
    out = exported(tmp_path, samples)
    entries = read_index(out)["files"]
    documents = [json.loads((out / entry["file"]).read_text()) for entry in entries]
    assert [document["entities"] for document in documents[:2]] == [None, []]
    regions = [document["entities"][0]["regions"] for document in documents[2:]]
    assert regions == [None, []]


def test_ids_cannot_lead_out_of_the_folder_or_collide(tmp_path: Path) -> None:
    ids = ["../../x", "/x", "x", "X", "", "a" * 300]
    out = exported(tmp_path, [answered("hi", id=each) for each in ids])
    assert len([*(out / "samples").iterdir()]) == len(ids)
    assert {path.name for path in out.iterdir()} == {"index.json", "samples", "predicted.conll"}
    assert [sample.id for sample in read_smner(out)] == ids


@pytest.mark.parametrize(
    ("spans", "expected", "reason"),
    [
        ([(0, 2, 0.9), (3, 4, 0.5)], [(0, 2), (3, 4)], "apart"),
        ([(0, 2, 0.5), (1, 3, 0.9)], [(1, 3)], "the surer one stays"),
        ([(0, 2, 0.9), (1, 2, 0.9)], [(0, 2)], "equally sure: the first one stays"),
        ([(0, 1, None), (0, 2, 0.1)], [(0, 2)], "no score is least sure"),
        ([(0, 1, 0.9), (1, 2, 0.1)], [(0, 1), (1, 2)], "neighbours do not overlap"),
    ],
)
def test_the_tags_hold_entities_that_do_not_overlap(
    tmp_path: Path,
    spans: list[tuple[int, int, float | None]],
    expected: list[tuple[int, int]],
    reason: str,
) -> None:
    found = [
        replace(named("x", 0), id=f"e{number}", span=Span(start, end), score=score)
        for number, (start, end, score) in enumerate(spans)
    ]
    out = exported(tmp_path, [answered("one two three four", *found)])
    (sentence,) = read_conll(out / "predicted.conll")
    tagged = [(span.start, span.end) for span, _ in bio_to_spans(sentence.columns[0])]
    assert (sentence.image_id, tagged) == ("1", expected)
    left = read_index(out)["left_out"]
    lost = len(spans) - len(expected)
    assert left == ({"entity that overlaps a surer one (CoNLL only)": lost} if lost else {})


def test_the_conll_file_has_every_sample_in_order(tmp_path: Path) -> None:
    samples = [*trap_samples(), answered("a\tb c\nd", id="7\n8")]
    out = exported(tmp_path, samples)
    sentences = [*read_conll(out / "predicted.conll")]
    assert len(sentences) == len(samples)
    assert [len(each.tokens) for each in sentences] == [len(each.tokens) for each in samples]
    left = read_index(out)["left_out"]
    assert left["post not answered (CoNLL only: all of its tags are O)"] == 1
    assert left["tab or line break in a word, an id or a type (CoNLL only: a space)"] == 3


def test_the_index_says_what_the_batch_is(tmp_path: Path) -> None:
    out = exported(tmp_path, trap_samples())
    index = read_index(out)
    assert [index[key] for key in ("schema", "version", "system", "data", "split")] == [
        "riveg-smner", 1, "quick", "posts", "test"
    ]  # fmt: skip
    assert index["counts"] == {"posts": 6, "entities": 6, "regions": 5, "masks": 2}
    assert [entry["id"] for entry in index["files"]] == [each.id for each in trap_samples()]


def test_a_batch_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index\.json: cannot be read .*riveg export"):
        next(read_smner(tmp_path))
    out = exported(tmp_path, [answered("a")])
    path = next((out / "samples").iterdir())
    for damage, message in {
        "{": "is no sample of an SMNER batch",
        "[]": "is no sample of an SMNER batch",
        '{"id":"1","image":null,"entities":null}': "not a Sample of schema 3: text",
    }.items():
        path.write_text(damage)
        with pytest.raises(UserError, match=message):
            next(read_smner(out))
    path.write_bytes(b"\xfb" * 5000)
    with pytest.raises(UserError, match="is no sample of an SMNER batch") as error:
        next(read_smner(out))
    assert len(str(error.value)) < 1000
    path.unlink()
    with pytest.raises(UserError, match="No such file"):
        next(read_smner(out))
    index = json.loads((out / "index.json").read_text())
    (out / "index.json").write_text(json.dumps({**index, "version": 2}))
    with pytest.raises(UserError, match="is of version 2, this riveg reads 1"):
        next(read_smner(out))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("version", 99, "is of version 99, this riveg reads 1"),
        ("version", True, "is of version True"),
        ("schema", "other", "is no index"),
        ("files", [{"id": 5}], "is no index .*files.0.id"),
        ("files", "x", "is no index .*files"),
        ("stages", [1], "is no index .*stages"),
        ("samples", 10**400, "more than 308 digits"),
        ("counts", [[[]]] * 2, ""),
    ],
)
def test_an_index_of_another_form_is_one_line(
    tmp_path: Path, key: str, value: object, reason: str
) -> None:
    out = exported(tmp_path, [answered("in Ann", named("Ann", 1))])
    index = {**json.loads((out / "index.json").read_text()), key: value}
    (out / "index.json").write_text(json.dumps(index))
    if not reason:  # riveg reads no counts
        assert [*read_smner(out)]
        return
    with pytest.raises(UserError, match=reason) as error:
        read_index(out)
    assert "\n" not in str(error.value)
