"""The quickstart samples: they parse, and text, gold and images agree."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from helpers.xml_files import read_xml, text_of
from PIL import Image

from riveg.files import shipped
from riveg.formats.conll import ConllSentence, read_conll
from riveg.images.loader import ImageLoader
from riveg.text.bio import bio_to_spans, spans_to_bio
from riveg.types import Box, ImageRef

FOLDER = shipped("data", "quickstart")
SENTENCES = tuple(read_conll(FOLDER / "txt" / "test.txt"))
IDS = [str(sentence.image_id) for sentence in SENTENCES]
EDGES = ("xmin", "ymin", "xmax", "ymax")


def entities(sentence: ConllSentence) -> list[tuple[str, str]]:
    """Text and label of each entity, in order."""
    return [
        (" ".join(sentence.tokens[span.start : span.end]), label)
        for span, label in bio_to_spans(sentence.columns[0])
    ]


def gold_boxes(sample: str, folder: Path = FOLDER) -> list[tuple[str, Box]]:
    """Name and box of each object of the sample's xml; none where it has no file."""
    path = folder / "xml" / f"{sample}.xml"
    if not path.exists():
        return []
    return [
        (
            text_of(item, "name"),
            Box(*(int(text_of(item, f"bndbox/{edge}")) for edge in EDGES)),
        )
        for item in read_xml(path).iter("object")
    ]


def test_counts() -> None:
    assert len(SENTENCES) == 12
    assert len(set(IDS)) == 12
    found = [entity for sentence in SENTENCES for entity in entities(sentence)]
    assert len(found) == 33
    assert {label for _, label in found} == {"PER", "LOC", "ORG", "OTHER"}
    assert sum(len(gold_boxes(sample)) for sample in IDS) == 24


def test_files_are_those_of_the_samples() -> None:
    assert sorted(path.name for path in (FOLDER / "images").iterdir()) == [f"{x}.jpg" for x in IDS]
    assert {path.stem for path in (FOLDER / "xml").iterdir()} <= set(IDS)


@pytest.mark.parametrize("sentence", SENTENCES, ids=IDS)
def test_sample(sentence: ConllSentence) -> None:
    tags = sentence.columns[0]
    assert spans_to_bio(bio_to_spans(tags), len(tags)) == tags, "an I- tag that opens an entity"
    assert 3 <= len(sentence.tokens) <= 40
    assert not any(token.strip() != token or " " in token for token in sentence.tokens)
    assert not any(token[0] in "@#" and len(token) > 1 for token in sentence.tokens)

    assert sentence.image_id is not None
    image = ImageLoader([FOLDER / "images"]).probe(ImageRef(f"{sentence.image_id}.jpg"))
    assert image.width is not None
    assert image.height is not None
    names = {name for name, _ in entities(sentence)}
    for name, box in gold_boxes(sentence.image_id):
        assert name in names
        assert 0 <= box.x_min < box.x_max <= image.width
        assert 0 <= box.y_min < box.y_max <= image.height


@pytest.mark.parametrize("sample", [sample for sample in IDS if gold_boxes(sample)])
def test_declared_size_is_that_of_the_image(sample: str) -> None:
    root = read_xml(FOLDER / "xml" / f"{sample}.xml")
    declared = tuple(int(text_of(root, f"size/{side}")) for side in ("width", "height"))
    with Image.open(FOLDER / "images" / f"{sample}.jpg") as image:
        assert declared == image.size
    assert root.findtext("filename") == f"{sample}.jpg"


def test_every_case_that_a_newcomer_should_meet() -> None:
    by_sample = {str(sentence.image_id): entities(sentence) for sentence in SENTENCES}
    boxes = {sample: [name for name, _ in gold_boxes(sample)] for sample in by_sample}
    assert [sample for sample, found in by_sample.items() if not found] == ["qs05-camera"]
    assert boxes["qs12-newspaper"].count("Apollo 11") == 2
    assert [name for name, _ in by_sample["qs03-cat"]] == ["Chelsea", "Chelsea"]
    ungroundable = {
        name
        for sample, found in by_sample.items()
        for name, _ in found
        if name not in boxes[sample]
    }
    assert {"NASA", "Cape Canaveral", "Real Madrid", "Paris", "Houston"} <= ungroundable


def test_captions() -> None:
    lines = (FOLDER / "captions.txt").read_text(encoding="utf-8").splitlines()
    names = [line.partition(" :")[0] for line in lines]
    assert all(line.partition(" :")[2].strip() for line in lines)
    assert sorted({f"{sample}.jpg" for sample in IDS} - set(names)) == [
        "qs04-coffee.jpg",
        "qs09-bookshop.jpg",
    ]
    assert len(names) == len(set(names)) == 10


def test_attribution_is_kept() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("NASA Great Images", "SpaceX", "van der Walt", "Michetti", "Varshney", "draw.py"):
        assert name in text


def test_images_stay_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(sizes) < 1_000_000


def test_drawing_them_anew_gives_the_same(tmp_path: Path) -> None:
    runpy.run_path(str(FOLDER / "draw.py"))["main"](tmp_path)
    drawn = sorted((tmp_path / "images").iterdir())
    assert len(drawn) == 7
    for path in drawn:
        with Image.open(path) as new, Image.open(FOLDER / "images" / path.name) as old:
            assert new.size == old.size
            difference = np.abs(np.asarray(new, dtype=int) - np.asarray(old, dtype=int))
        # Another release of Pillow may set a letter or a JPEG block a shade differently.
        assert difference.mean() < 2
    for sample in IDS:
        found, kept = gold_boxes(sample, tmp_path), gold_boxes(sample)
        assert [name for name, _ in found] == [name for name, _ in kept]
        for (_, one), (_, other) in zip(found, kept, strict=True):
            assert abs(one.x_min - other.x_min) <= 2
            assert abs(one.y_max - other.y_max) <= 2
