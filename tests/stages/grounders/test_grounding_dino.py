"""What is particular to ``grounding-dino``; the rest is in ``test_detectors.py``."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.answers import whole
from helpers.image_mentions import mentions_in
from helpers.tiny_grounding_dino import save_grounding_dino
from PIL import Image
from pydantic import ValidationError

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from riveg.config.backend import BuildContext  # noqa: E402
from riveg.errors import UserError  # noqa: E402
from riveg.images.headers import ImageLimits  # noqa: E402
from riveg.images.loader import ImageLoader  # noqa: E402
from riveg.protocols import Grounder, Mention, PartialAnswer  # noqa: E402
from riveg.stages.grounders.grounding_dino import (  # noqa: E402
    GroundingDinoConfig,
)
from riveg.types import ImageRef, Issue, Region  # noqa: E402
from riveg.vision.detectors.grounding_dino import GroundingDinoNetwork, phrase_owners  # noqa: E402
from riveg.vision.detectors.grounding_dino_kernels import install_fast_layers  # noqa: E402
from riveg.vision.detectors.grounding_dino_prompts import PhrasePrompt, join_phrases, read_phrase  # noqa: E402
from riveg.vision.runtime.options import TorchOptions  # noqa: E402

KINDS = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
}
EDGES = {"shortest_edge": 64, "longest_edge": 128}
SMALL = {**EDGES, "box_threshold": 0.0}
ALL = {"regions": "many", "top_k": 100, "overlap": 1.0}
SIZES = {
    "odd": (60, 83),
    "same": (60, 83),
    "tall": (91, 40),
    "flat": (64, 201),
    "three-rows": (3, 50),
    "one-row": (2, 400),
    "one-column": (300, 1),
}
"""Height and width; the last three give fewer places than the network has queries."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("grounding-dino")
    return {kind: save_grounding_dino(root / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    numbers = np.random.default_rng(3)
    for name, (height, width) in SIZES.items():
        pixels = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return root


def images_of(images: Path) -> ImageLoader:
    return ImageLoader([images], limits=ImageLimits(min_side=1))


def build(folder: Path, image_folder: Path, **fields: Any) -> Grounder:
    config = GroundingDinoConfig(model=str(folder), device="cpu", **{**EDGES, **fields})
    return config.build(BuildContext(images=images_of(image_folder)))


def build_on(network: GroundingDinoNetwork, image_folder: Path, **fields: Any) -> Grounder:
    config = GroundingDinoConfig(model="-", device="cpu", **{**SMALL, **fields})
    return config.build_on(network, BuildContext(images=images_of(image_folder)))


@cache
def loaded(folder: Path) -> GroundingDinoNetwork:
    return GroundingDinoNetwork(folder, TorchOptions(model="-", device="cpu"))


@cache
def plain(folder: Path) -> Any:
    """The network as the library has it."""
    kind = KINDS[folder.name]
    return getattr(transformers, kind).from_pretrained(folder).eval()


def backend(folder: Path, images: Path, **fields: Any) -> Grounder:
    """As :func:`build`, with a network that is loaded once."""
    return build_on(loaded(folder), images, **fields)


def many_mentions() -> list[Mention]:
    return [
        *mentions_in("odd.png", "a red man", "dog with hat", "ann lee"),
        *mentions_in("tall.png", "bob"),
        *mentions_in("three-rows.png", "stage", "oslo city"),
        *mentions_in("same.png", "bob", "a blue woman with hat, dog"),
        *mentions_in("flat.png", "ann - lee"),
        *mentions_in("one-row.png", "bob"),
        *mentions_in("one-column.png", "dog"),
    ]


def reference(
    folder: Path, image_path: Path, text: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Boxes, scores and labels as the library gives them."""
    processor = transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessorPil.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(folder),
    )
    with Image.open(image_path) as opened:
        image = opened.convert("RGB")
    inputs = processor(images=image, text=text, return_tensors="pt", size=EDGES)
    with torch.inference_mode():
        found = processor.post_process_grounded_object_detection(
            plain(folder)(**inputs),
            threshold=0.0,
            text_threshold=0.02,
            target_sizes=[(image.height, image.width)],
        )[0]
    return found["boxes"].numpy(), found["scores"].numpy(), found["text_labels"]


def expected(boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> list[Any]:
    limits = np.array([size[1], size[0]] * 2)
    order = np.argsort(-scores, kind="stable")
    return [(np.clip(boxes[row], 0, limits), scores[row]) for row in order]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["odd", "tall", "flat"])
def test_separate_phrases_are_answered_as_the_library_does(
    kind: str, name: str, folders: dict[str, Path], images: Path
) -> None:
    asked = mentions_in(f"{name}.png", "A red man", "dog with hat.")
    answers = backend(folders[kind], images, **ALL).ground(asked)
    for answer, text in zip(answers, ["a red man.", "dog with hat."], strict=True):
        assert isinstance(answer, tuple)
        boxes, scores, _ = reference(folders[kind], images / f"{name}.png", text)
        right = expected(boxes, scores, SIZES[name])
        assert len(answer) == len(right) > 20
        for region, (box, score) in zip(answer, right, strict=True):
            edges = (region.box.x_min, region.box.y_min, region.box.x_max, region.box.y_max)
            np.testing.assert_allclose(edges, box, atol=0.051)
            assert region.score == pytest.approx(score, abs=6e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spared", [True, False], ids=["spared", "plain"])
def test_shared_features_give_the_numbers_of_the_plain_network(
    kind: str, spared: bool, folders: dict[str, Path]
) -> None:
    network = loaded(folders[kind])
    whole = plain(folders[kind])
    if spared:
        whole = deepcopy(whole)
        install_fast_layers(whole)
    pixels = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    values = network.prepare(pixels, 64, 128)
    (features,) = network.encode_images([values])
    for text in ["bob", "a red man with dog", "oslo"]:
        phrase = read_phrase(text, network.tokenizer)
        assert phrase is not None
        (found,) = network.detect([features], [join_phrases([phrase], network.tokenizer)])
        words = network.tokenizer(f"{text}.", return_tensors="pt")
        with torch.inference_mode():
            answer = whole(pixel_values=values[None], **words)
        scores = answer.logits[0].sigmoid().amax(-1)
        corners = transformers.image_transforms.center_to_corners_format(answer.pred_boxes[0])
        # Sharing changes no bit; what the layers spare changes the order of sums.
        tolerance = 0 if spared else 1e-5
        np.testing.assert_allclose(found.scores, scores, rtol=tolerance)
        np.testing.assert_allclose(found.boxes, corners, atol=1e-7 if spared else 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_shares_a_batch_does_not_matter(kind: str, folders: dict[str, Path]) -> None:
    network = loaded(folders[kind])
    numbers = np.random.default_rng(2)
    texts = ["bob", "a red man with dog", "ann lee", "stage", "oslo city", "dog", "ann"]
    phrases = [read_phrase(text, network.tokenizer) for text in texts]
    prompts = [join_phrases([phrase], network.tokenizer) for phrase in phrases if phrase]
    features = [
        network.encode_images([network.prepare(image, 64, 128)])[0]
        for size in SIZES.values()
        for image in [numbers.integers(0, 256, (*size, 3), dtype=np.uint8)]
    ]
    together = network.detect(features, prompts)
    for one, prompt, among in zip(features, prompts, together, strict=True):
        (alone,) = network.detect([one], [prompt])
        np.testing.assert_allclose(alone.boxes, among.boxes, atol=2e-6)
        np.testing.assert_allclose(alone.scores, among.scores, atol=5e-6)


def test_joined_phrases_are_answered_alike_every_time(
    folders: dict[str, Path], images: Path
) -> None:
    """There the mentions of an image depend on each other, so the usual contract does not hold."""
    fields = {"box_threshold": 0.0, "text_threshold": 0.0, "phrases": "joined"}
    asking = backend(folders["grounding-dino"], images, **fields)
    answers = list(asking.ground(many_mentions()))
    assert list(asking.ground(many_mentions())) == answers
    assert list(asking.ground([])) == []


class Watched(GroundingDinoNetwork):
    """Counts what goes through, and has memory for so many items."""

    room = 99

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.images: list[int] = []
        self.prompts: list[int] = []

    def encode_images(self, pixels: Any) -> Any:
        self.images.append(len(pixels))
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().encode_images(pixels)

    def detect(self, features: Any, prompts: Any) -> Any:
        self.prompts.append(len(prompts))
        if len(prompts) > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().detect(features, prompts)


@pytest.fixture
def watched(folders: dict[str, Path]) -> Watched:
    return Watched(folders["grounding-dino"], TorchOptions(model="-", device="cpu"))


def test_each_image_is_encoded_once_and_each_phrase_asked_once(
    watched: Watched, images: Path
) -> None:
    asking = build_on(watched, images)
    asked = [
        *mentions_in("odd.png", "bob", "ann", "Bob."),
        *mentions_in("same.png", "bob"),
        *mentions_in("flat.png", "a"),
    ]
    answers = asking.ground(asked)
    assert answers[0] == answers[2]
    assert sorted(watched.images) == [1, 2]
    assert sorted(watched.prompts) == [1, 3]
    asked_apart = mentions_in("odd.png", "bob", "ann")
    watched.prompts.clear()
    joined = build_on(watched, images, phrases="joined")
    joined.ground(asked_apart)
    assert watched.prompts == [1]


def test_a_batch_without_memory_is_halved(
    watched: Watched, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asking = build_on(watched, images)
    right = asking.ground(many_mentions())
    watched.room = 1
    watched.prompts.clear()
    assert asking.ground(many_mentions()) == right
    assert {*watched.prompts} == {5, 2, 1}
    assert "out of memory with 5 items" in caplog.text


def test_short_memory_keeps_no_maps(folders: dict[str, Path], images: Path) -> None:
    network = loaded(folders["grounding-dino"])
    pixels = images_of(images).load(ImageRef("odd.png"))
    features = network.encode_images([network.prepare(pixels, 64, 128)])
    handle = network._network.model.decoder.register_forward_pre_hook(_no_room)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            network.detect(features, [PhrasePrompt((2, 5, 4, 3), ((1, 2),))])
    finally:
        handle.remove()
    assert network._given.maps == network._given.masks == []


def _no_room(*_: Any) -> None:
    raise torch.OutOfMemoryError("no more")


def test_a_word_that_is_too_long_is_cut_inside(folders: dict[str, Path], images: Path) -> None:
    asking = backend(folders["grounding-dino"], images, **ALL)
    (word,) = asking.ground(mentions_in("odd.png", "a" + "b" * 60))
    assert isinstance(word, PartialAnswer)


def test_joined_phrases_are_the_librarys_prompt_and_boxes_go_where_they_are_labelled(
    folders: dict[str, Path], images: Path
) -> None:
    asked = mentions_in("odd.png", "Ann Lee", "dog", "a red man")
    prompt = "ann lee. dog. a red man."
    network = loaded(folders["grounding-dino"])
    phrases = [read_phrase(text, network.tokenizer) for text in ("ann lee", "dog", "a red man")]
    joined = join_phrases([phrase for phrase in phrases if phrase], network.tokenizer)
    assert list(joined.tokens) == network.tokenizer(prompt)["input_ids"]
    answers = backend(
        folders["grounding-dino"], images, **ALL, phrases="joined", text_threshold=0.02
    ).ground(asked)
    _, scores, labels = reference(folders["grounding-dino"], images / "odd.png", prompt)
    found = {
        (round(region.box.x_min, 1), round(region.box.y_max, 1), region.score): mention
        for mention, answer in zip(asked, answers, strict=True)
        for region in whole(answer)
    }
    assert len(found) > 15
    assert len({mention.entity.id for mention in found.values()}) > 1
    right = [
        (scores[row], labels[row]) for row in range(len(scores)) if labels[row].strip(". ") != ""
    ]
    assert len(found) == len(right)
    for (_, _, score), mention in found.items():
        near = [label for one, label in right if abs(one - score) < 1e-4]
        words = (mention.entity.expression or "").lower().split()
        assert any(set(words) & set(label.split()) for label in near), (words, near)


def test_one_joined_phrase_is_a_separate_one(folders: dict[str, Path], images: Path) -> None:
    asked = mentions_in("odd.png", "ann lee")
    fields = {**ALL, "text_threshold": 0.0}
    joined, separate = (
        backend(folders["grounding-dino"], images, **fields, phrases=phrases).ground(asked)[0]
        for phrases in ("joined", "separate")
    )
    assert isinstance(joined, tuple)
    assert isinstance(separate, tuple)
    assert set(joined) <= set(separate)
    assert joined


def test_more_joined_phrases_than_fit_are_asked_in_several_prompts(
    watched: Watched, images: Path
) -> None:
    asking = build_on(watched, images, phrases="joined")
    texts = [
        "red dog with hat in oslo",
        "blue dog with hat",
        "a man with a red hat with a dog",
        "stage " * 9,
    ]
    answers = asking.ground(mentions_in("odd.png", *texts, "bob with a dog with a hat"))
    assert sum(watched.prompts) > 1
    assert all(isinstance(answer, tuple) for answer in answers)


def test_owners_need_a_strong_token() -> None:
    from riveg.vision.detectors.grounding_dino import Detections

    scores = np.array([[0.5, 0.2], [0.2, 0.4], [0.1, 0.2]], dtype=np.float32)
    found = Detections(np.zeros((3, 4), np.float32), scores.max(1), scores)
    assert phrase_owners(found, 0.25).tolist() == [0, 1, -1]


def test_one_region_many_and_none(folders: dict[str, Path], images: Path) -> None:
    asked = mentions_in("odd.png", "bob")
    folder = folders["grounding-dino"]
    (every,) = backend(folder, images, **ALL).ground(asked)
    (many,) = backend(folder, images, **{**ALL, "top_k": 3}).ground(asked)
    (one,) = backend(folder, images, **{**ALL, "top_k": 1}).ground(asked)
    (none,) = backend(folder, images, box_threshold=0.9999).ground(asked)
    (usual,) = build(folder, images, box_threshold=0.0).ground(asked)
    fields = {"box_threshold": 0.0, "regions": "many", "top_k": 2, "overlap": 1.0}
    (two,) = build(folder, images, **fields).ground(asked)
    regions = whole(every)
    assert (usual, two) == (regions[:1], regions[:2])
    assert (many, one, none) == (regions[:3], regions[:1], ())
    assert isinstance(regions[0], Region)
    assert regions[0].source == "grounding-dino"


def test_a_phrase_without_words_is_empty(folders: dict[str, Path], images: Path) -> None:
    asking = backend(folders["grounding-dino"], images, **ALL)
    fine, empty = asking.ground(mentions_in("odd.png", "bob", "..."))
    assert isinstance(fine, tuple)
    assert isinstance(empty, Issue)
    assert empty.kind == "empty-phrase"


def test_bfloat16_moves_boxes_little(folders: dict[str, Path]) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = []
    for dtype in ("float32", "bfloat16"):
        network = GroundingDinoNetwork(
            folders["mm-grounding-dino"], TorchOptions(model="-", device="cpu", dtype=dtype)
        )
        phrase = read_phrase("bob", network.tokenizer)
        assert phrase is not None
        features = network.encode_images([network.prepare(pixels, 64, 128)])
        (found,) = network.detect(features, [join_phrases([phrase], network.tokenizer)])
        boxes.append(found.boxes)
    assert boxes[1].dtype == np.float32
    # Finer steps than the 1/256 that a coordinate of bfloat16 itself would have.
    steps = boxes[1] * 256
    assert np.abs(steps - np.round(steps)).max() > 0.1
    assert np.median(np.abs(boxes[0] - boxes[1])) < 0.02


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query": "{name}"}, "no field 'name'"),
        ({"shortest_edge": 900, "longest_edge": 800}, "must not be above"),
        ({"phrases": "both"}, "separate"),
        ({"overlap": 0}, "greater than 0"),
    ],
)
def test_configurations_that_mean_nothing(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GroundingDinoConfig(**fields)


def test_another_kind_of_model_is_refused(tmp_path: Path, images: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="grounding-dino, mm-grounding-dino"):
        build(tmp_path, images)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json"):
        build(tmp_path, images)
