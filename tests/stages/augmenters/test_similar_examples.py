from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tiny_embedding_models import save_image_encoder, save_text_encoder
from PIL import Image

from riveg.errors import UserError
from riveg.stages.augmenters.embeddings import CharacterNgrams, ClipImages, TransformerTexts
from riveg.stages.augmenters.similar_examples import SimilarExamples, read_pool

ROWS: list[dict[str, Any]] = [
    {"text": "Serena wins Wimbledon", "annotation": "Named entities: 1. Serena (person)"},
    {"text": "Apple opens a store", "annotation": "Named entities: 1. Apple (company)"},
    {"text": "Serena loses Wimbledon", "annotation": "Named entities: 2.", "caption": "a court"},
    {"text": "NASA waits for the wind", "annotation": "Named entities: 1. NASA (agency)"},
]


class MeanColour:
    """An image's mean colour, counted from grey; keeps what it was asked."""

    digest = "mean-colour"

    def __init__(self) -> None:
        self.asked = 0

    def embed_image(self, pixels: Any) -> Any:
        self.asked += 1
        mean = pixels.reshape(-1, 3).mean(axis=0) - 127.5
        return (mean / np.linalg.norm(mean)).astype(np.float32)


class CountedNgrams(CharacterNgrams):
    """Keeps how many texts were embedded."""

    asked = 0

    def embed_text(self, text: str) -> Any:
        self.asked += 1
        return super().embed_text(text)


def write_pool(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def plain_colour(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Any:
    return np.full((*size, 3), colour, dtype=np.uint8)


def texts_of(found: Any) -> list[str]:
    return [one.text for one in found]


def test_the_most_similar_comes_last(tmp_path: Path) -> None:
    pool = SimilarExamples(write_pool(tmp_path), CharacterNgrams())
    found = texts_of(pool.find("Serena plays at Wimbledon again", None, 2))
    assert set(found) == {"Serena wins Wimbledon", "Serena loses Wimbledon"}
    assert len(pool.find("Serena plays", None, 50)) == len(ROWS)
    assert texts_of(pool.find("a NASA wind", None, 1)) == ["NASA waits for the wind"]


def test_the_samples_own_annotation_is_never_shown(tmp_path: Path) -> None:
    pool = SimilarExamples(write_pool(tmp_path), CharacterNgrams())
    found = texts_of(pool.find("serena  wins WIMBLEDON", None, 50))
    assert "Serena wins Wimbledon" not in found
    assert found[-1] == "Serena loses Wimbledon"


def test_of_two_alike_the_first_of_the_pool_wins(tmp_path: Path) -> None:
    rows = [{"text": "Rex runs", "annotation": str(number)} for number in range(3)]
    pool = SimilarExamples(write_pool(tmp_path, rows), CharacterNgrams())
    assert [one.annotation for one in pool.find("Rex sits", None, 2)] == ["1", "0"]
    assert [one.annotation for one in pool.find("", None, 1)] == ["0"]


def test_images_decide_where_texts_do_not(tmp_path: Path) -> None:
    Image.fromarray(plain_colour((250, 10, 10))).save(tmp_path / "red.png")
    Image.fromarray(plain_colour((10, 10, 250))).save(tmp_path / "blue.png")
    rows = [
        {"text": "look at this", "annotation": "red", "image": "red.png"},
        {"text": "look at this", "annotation": "blue", "image": "blue.png"},
        {"text": "look at this", "annotation": "none"},
        {"text": "look at this", "annotation": "lost", "image": "../lost.png"},
    ]
    pool = SimilarExamples(write_pool(tmp_path, rows), CharacterNgrams(), MeanColour())
    ranked = [one.annotation for one in pool.find("and this", plain_colour((0, 0, 200)), 4)]
    assert ranked == ["red", "lost", "none", "blue"]  # no image: neither for nor against
    alone = [one.annotation for one in pool.find("and this", None, 4)]
    assert alone == ["lost", "none", "blue", "red"]


def test_vectors_are_kept_beside_the_pool_until_it_changes(tmp_path: Path) -> None:
    path = write_pool(tmp_path)
    first = CountedNgrams()
    expected = SimilarExamples(path, first).find("NASA", None, 4)
    assert first.asked == 5
    (index,) = tmp_path.glob("*.npz")
    again = CountedNgrams()
    assert SimilarExamples(path, again).find("NASA", None, 4) == expected
    assert again.asked == 1
    index.write_bytes(index.read_bytes()[:100])  # cut off: made anew
    mended = CountedNgrams()
    assert SimilarExamples(path, mended).find("NASA", None, 4) == expected
    assert mended.asked == 5
    write_pool(tmp_path, ROWS[:2])
    changed = CountedNgrams()
    assert len(SimilarExamples(path, changed).find("NASA", None, 4)) == 2
    assert changed.asked == 3
    assert not list(tmp_path.glob(".*"))


def test_an_index_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    path = write_pool(tmp_path)
    SimilarExamples(path, CharacterNgrams())
    (index,) = tmp_path.glob("*.npz")
    objects = np.array([{"code": 1}] * len(ROWS), dtype=object)
    with index.open("wb") as file:
        np.savez(file, texts=objects, pictured=np.zeros(len(ROWS), dtype=bool))
    embedder = CountedNgrams()
    SimilarExamples(path, embedder)
    assert embedder.asked == len(ROWS)


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    path = write_pool(tmp_path)
    embedder = CharacterNgrams()
    SimilarExamples(path, embedder)
    (index,) = tmp_path.glob("*.npz")
    index.unlink()
    index.mkdir()  # nothing can be put in its place
    assert texts_of(SimilarExamples(path, embedder).find("NASA", None, 1))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no examples; each line is"),
        ('{"text": "a"}\n', r":1: no example: annotation: Field required"),
        ('\n{"text": "a", "annotation": "b", "lable": 1}\n', r":2: no example: lable: Extra"),
        ("{", r":1: no JSON"),
        ('["a"]', r":1: no example: the line"),
        ('{"text": "", "annotation": "b"}', r":1: no example: text"),
    ],
)
def test_a_malformed_pool_says_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_pool(path)
    assert str(path) in str(caught.value)


def test_a_pool_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pool of examples cannot be read"):
        read_pool(tmp_path / "pool.jsonl")


def test_line_separators_within_a_text_are_no_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text('{"text": "a\u2028b", "annotation": "c"}\n', encoding="utf-8")
    assert texts_of(read_pool(path)) == ["a\u2028b"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_local_models_compare_texts_and_images(tmp_path: Path, kind: str) -> None:
    for number, colour in enumerate([(250, 10, 10), (10, 10, 250)]):
        Image.fromarray(plain_colour(colour)).save(tmp_path / f"{number}.png")
    rows = [{**row, "image": f"{number}.png"} for number, row in enumerate(ROWS[:2])]
    texts = TransformerTexts(save_text_encoder(tmp_path / "text"))
    images = ClipImages(save_image_encoder(tmp_path / "picture", kind))
    pool = SimilarExamples(write_pool(tmp_path, rows), texts, images)
    assert len(pool.find("apple", plain_colour((0, 0, 200), (1, 3)), 2)) == 2
    same = pool.find("serena wins wimbledon!", plain_colour((250, 10, 10)), 1)
    assert texts_of(same) == ["Serena wins Wimbledon"]
    assert np.linalg.norm(texts.embed_text("a" * 5_000)) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(texts.embed_text("rex"), texts.embed_text("rex"))
    assert len(list(tmp_path.glob("*.npz"))) == 1


@pytest.mark.slow
def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = save_text_encoder(tmp_path / "text")
    with pytest.raises(UserError, match="AutoImageProcessor cannot read it"):
        ClipImages(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot read it"):
        TransformerTexts(folder)
    with pytest.raises(UserError, match="give a local folder"):
        TransformerTexts(tmp_path / "absent")


@pytest.mark.slow
def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = save_text_encoder(tmp_path / "text") / "model.safetensors"
    weights = load_file(path)
    save_file({name: one for name, one in weights.items() if "pooler" not in name}, path)
    assert TransformerTexts(path.parent).embed_text("rex").shape == (16,)
    save_file({name: one for name, one in weights.items() if "query" not in name}, path)
    with pytest.raises(UserError, match="lacks 2 weights, for example encoder"):
        TransformerTexts(path.parent)
