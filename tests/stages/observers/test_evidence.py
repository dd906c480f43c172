from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.answers import whole
from helpers.places import QUICKSTART_IMAGES
from PIL import Image, ImageDraw, ImageFont

from riveg.config.backend import BuildContext
from riveg.geometry.boxes import common_area
from riveg.images.loader import ImageLoader
from riveg.stages.observers.evidence import EvidenceObserver, EvidenceObserverConfig, OcrMode
from riveg.types import Entity, ImageRef, Issue, Observation, Sample, Span


def sample(name: str, *labels: str, known: bool = True) -> Sample:
    entities = tuple(
        Entity(str(number), f"name{number}", label, Span(number, number + 1))
        for number, label in enumerate(labels)
    )
    return Sample(name, "", (), (), ImageRef(name), entities=entities if known else None)


def kinds(observations: object) -> set[str]:
    assert isinstance(observations, tuple)
    return {one.kind for one in observations}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    poster = Image.new("RGB", (600, 450), (30, 60, 120))
    draw = ImageDraw.Draw(poster)
    draw.text((60, 60), "SUMMER FEST", font=ImageFont.load_default(64), fill="white")
    draw.text((60, 160), "Manchester City v Real Madrid", font=ImageFont.load_default(28))
    draw.text((60, 300), "#RioDeJaneiro 2016", font=ImageFont.load_default(16))
    poster.save(path / "poster.png")
    astronaut = Image.open(next(QUICKSTART_IMAGES.glob("*astronaut*"))).convert("RGB")
    astronaut.save(path / "astronaut.png")
    both = Image.new("RGB", (1024, 512))
    both.paste(astronaut)
    both.paste(astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    both.save(path / "two.png")
    with_name = astronaut.copy()
    ImageDraw.Draw(with_name).text((180, 400), "COLLINS", font=ImageFont.load_default(40))
    with_name.save(path / "named.png")
    audience = Image.new("RGB", (1200, 850), "grey")
    audience.paste(with_name)
    for x in range(0, 1040, 180):
        audience.paste(astronaut.resize((160, 160)), (x, 690))
    audience.save(path / "audience.png")
    Image.open(next(QUICKSTART_IMAGES.glob("*camera*"))).save(path / "profile.png")
    for name in ("cat", "rocket", "coffee"):
        Image.open(next(QUICKSTART_IMAGES.glob(f"*{name}*"))).save(path / f"{name}.png")
    Image.new("RGB", (300, 200), "grey").save(path / "plain.png")
    Image.new("RGB", (300, 2), "grey").save(path / "flat.png")
    Image.new("RGB", (2, 300), "grey").save(path / "thin.png")
    Image.new("RGB", (20_000, 40), "grey").save(path / "strip.png")
    Image.new("RGB", (300, 10), "grey").save(path / "low.png")
    Image.new("L", (300, 200), 120).save(path / "eight-bits.png")
    Image.fromarray(np.full((200, 300), 30_000, dtype=np.uint16)).save(path / "sixteen-bits.png")
    (path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return path


@pytest.fixture(scope="module")
def images(folder: Path) -> ImageLoader:
    return ImageLoader([folder])


@pytest.fixture(scope="module")
def observer(images: ImageLoader) -> EvidenceObserver:
    return EvidenceObserver(images)


def answer(observer: EvidenceObserver, one: Sample) -> tuple[Observation, ...]:
    (found,) = observer.observe([one])
    return whole(found)


@pytest.mark.slow
def test_a_face_lies_where_it_is(observer: EvidenceObserver) -> None:
    found = answer(observer, sample("astronaut.png", "PER"))
    (face,) = [one for one in found if one.kind == "face"]
    assert face.score is not None
    assert 0 < face.score <= 1
    assert 165 < face.box.x_min < 190
    assert 260 < face.box.x_max < 285
    assert 55 < face.box.y_min < 80


def test_a_person_is_found_with_the_face_inside(observer: EvidenceObserver) -> None:
    found = answer(observer, sample("astronaut.png", "PER"))
    (face,) = [one.box for one in found if one.kind == "face"]
    (person,) = [one.box for one in found if one.kind == "person"]
    assert common_area(face, person) > 0.99 * face.area
    assert person.area > 0.5 * 512 * 512


def test_things_have_their_class(observer: EvidenceObserver) -> None:
    found = answer(observer, sample("cat.png", "OTHER"))
    (cat,) = [one for one in found if one.label == "cat"]
    assert cat.kind == "object"
    assert cat.box.area > 0.8 * 451 * 300


@pytest.mark.slow
def test_nobody_is_seen_where_nobody_is(observer: EvidenceObserver) -> None:
    for name in ("rocket.png", "coffee.png", "poster.png", "plain.png"):
        assert not kinds(answer(observer, sample(name, "PER"))) & {"face", "person"}, name


@pytest.mark.slow  # several seconds each
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_answers_do_not_depend_on_the_number_of_threads(
    images: ImageLoader, observer: EvidenceObserver, threads: int
) -> None:
    asked = [sample(name, "PER", "ORG") for name in ("astronaut.png", "cat.png", "poster.png")] * 2
    others = EvidenceObserver(images, threads=threads)
    assert list(others.observe(asked)) == list(observer.observe(asked))


def test_both_faces_of_two(observer: EvidenceObserver) -> None:
    faces = [one for one in answer(observer, sample("two.png", "PER", "PER")) if one.kind == "face"]
    centers = sorted((one.box.x_min + one.box.x_max) / 2 for one in faces)
    assert centers == pytest.approx([224, 1024 - 224], abs=15)


def test_a_profile_is_found_where_there_is_no_frontal_face(observer: EvidenceObserver) -> None:
    faces = [one for one in answer(observer, sample("profile.png", "PER")) if one.kind == "face"]
    assert len(faces) == 1
    assert faces[0].box.x_min < 220 < faces[0].box.x_max
    assert faces[0].box.y_min < 150 < faces[0].box.y_max


def test_ocr_text_is_read_where_it_is(observer: EvidenceObserver) -> None:
    lines = answer(observer, sample("poster.png", "ORG"))
    assert [one.text for one in lines] == [
        "SUMMER FEST",
        "Manchester City v Real Madrid",
        "#RioDeJaneiro 2016",
    ]
    assert all(one.kind == "text" and (one.score or 0) > 0.8 for one in lines)
    assert lines[0].box.x_min == pytest.approx(60, abs=12)
    assert lines[0].box.y_min < 80 < 115 < lines[0].box.y_max


def test_large_letters_are_no_people(observer: EvidenceObserver) -> None:
    assert kinds(answer(observer, sample("poster.png", "PER"))) == {"text"}


@pytest.mark.parametrize(
    ("image", "labels", "reads"),
    [
        ("poster.png", (), False),  # no entity: nothing to spell
        ("poster.png", ("ORG",), True),
        ("poster.png", ("PER",), True),  # a person without a face
        ("named.png", ("PER",), False),  # one person, one face: OCR text changes nothing
        ("named.png", ("person",), False),
        ("audience.png", ("PER",), False),  # people under 2 % of the image do not count
        ("named.png", ("PER", "ORG"), True),  # the other may be spelt
        ("named.png", ("PER", "PER"), True),  # whose face it is may be spelt
    ],
)
def test_reads_where_it_can_matter(
    observer: EvidenceObserver, image: str, labels: tuple[str, ...], reads: bool
) -> None:
    assert ("text" in kinds(answer(observer, sample(image, *labels)))) is reads


def test_a_small_audience_is_seen_all_the_same(observer: EvidenceObserver) -> None:
    found = answer(observer, sample("audience.png", "PER"))
    assert sum(one.kind == "person" for one in found) > 2


def test_reads_when_no_stage_has_named_entities_yet(observer: EvidenceObserver) -> None:
    assert "text" in kinds(answer(observer, sample("poster.png", known=False)))


@pytest.mark.parametrize(("lettering", "reads"), [("always", True), ("never", False)])
def test_reading_can_be_forced_and_forbidden(
    images: ImageLoader, lettering: OcrMode, reads: bool
) -> None:
    observer = EvidenceObserver(images, lettering=lettering, threads=1)
    assert ("text" in kinds(answer(observer, sample("poster.png")))) is reads


def test_reading_is_bounded_and_takes_the_tallest(images: ImageLoader) -> None:
    observer = EvidenceObserver(images, lettering="always", lettering_lines=1, threads=1)
    assert [one.text for one in answer(observer, sample("poster.png"))] == ["SUMMER FEST"]


@pytest.mark.parametrize(
    "image",
    [
        *("plain.png", "flat.png", "thin.png", "strip.png", "low.png"),
        *("eight-bits.png", "sixteen-bits.png"),
    ],
)
def test_nothing_is_seen_in_nothing(observer: EvidenceObserver, image: str) -> None:
    assert answer(observer, sample(image, "PER", "ORG")) == ()


def test_an_image_that_cannot_be_used_is_an_issue(observer: EvidenceObserver) -> None:
    broken, missing, none = observer.observe(
        [sample("broken.jpg", "PER"), sample("gone.jpg", "PER"), Sample("s", "", (), ())]
    )
    assert isinstance(broken, Issue)
    assert isinstance(missing, Issue)
    assert missing.kind == "missing-image"
    assert "gone.jpg" in missing.message
    assert isinstance(none, Issue)


@pytest.mark.slow  # looks at every image many times
def test_a_batch_is_answered_like_each_alone(
    observer: EvidenceObserver, images: ImageLoader
) -> None:
    batch = [
        sample(name, "PER", "ORG") for name in ("poster.png", "broken.jpg", "named.png", "two.png")
    ]
    together = tuple(observer.observe(batch))
    assert together == tuple(observer.observe([one])[0] for one in batch)
    assert together == tuple(EvidenceObserver(images, threads=1).observe(batch))
    assert observer.observe([]) == ()


@pytest.mark.slow
def test_boxes_lie_in_the_image(observer: EvidenceObserver, images: ImageLoader) -> None:
    for name in ("poster.png", "named.png", "two.png", "profile.png"):
        height, width = images.load(ImageRef(name)).shape[:2]
        for one in answer(observer, sample(name, "PER", "ORG")):
            assert one.box.x_min >= 0
            assert one.box.y_min >= 0
            assert one.box.x_max <= width
            assert one.box.y_max <= height


def test_the_image_is_left_as_it_was(observer: EvidenceObserver, images: ImageLoader) -> None:
    before = np.array(images.load(ImageRef("named.png")))
    answer(observer, sample("named.png", "PER", "ORG"))
    assert (images.load(ImageRef("named.png")) == before).all()


def test_says_nothing(
    images: ImageLoader, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        EvidenceObserver(images, threads=1).observe([sample("poster.png", "ORG")])
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_config_builds_and_names_its_models(images: ImageLoader, tmp_path: Path) -> None:
    config = EvidenceObserverConfig(lettering="never", threads=1)
    assert isinstance(config.build(BuildContext(images)), EvidenceObserver)
    contents = config.contents(tmp_path)
    assert {"nanodet-g-416-int8w.onnx", "mediapipe-face-full-192-fp16w.onnx"} <= {*contents}
    assert sum(name.endswith(".onnx") for name in contents) == 4
