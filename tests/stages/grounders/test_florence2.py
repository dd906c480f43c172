"""What is particular to ``florence2``; the rest is in ``test_detectors.py``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.answers import whole
from helpers.image_mentions import mentions_in
from helpers.odd_images import SIDES, image_context, open_upright, save_odd_images
from helpers.tiny_florence2 import save_florence2

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from riveg.errors import UserError  # noqa: E402
from riveg.protocols import Grounder  # noqa: E402
from riveg.stages.grounders.florence2 import Florence2Config  # noqa: E402
from riveg.types import Issue  # noqa: E402
from riveg.vision.detectors.florence2 import TASKS, Florence2Network  # noqa: E402
from riveg.vision.runtime.options import TorchOptions  # noqa: E402

TEXTS = ("woman in a red shirt", "the dog", "team")
NEW_TOKENS = 60
ALL: dict[str, Any] = {"regions": "many", "top_k": 100, "overlap": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_florence2(tmp_path_factory.mktemp("florence2"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_odd_images(tmp_path_factory.mktemp("pictures"))


@cache
def loaded(
    folder: Path, task: str = "phrase-grounding", dtype: Any = "float32", tokens: int = NEW_TOKENS
) -> Florence2Network:
    options = TorchOptions(model="-", device="cpu", dtype=dtype)
    return Florence2Network(folder, options, task=task, max_new_tokens=tokens)


def build_on(network: Florence2Network, images: Path, **fields: Any) -> Grounder:
    config = Florence2Config(model="-", device="cpu", **fields)
    return config.build_on(network, image_context(images, images))


def backend(folder: Path, images: Path, task: str = "phrase-grounding", **more: Any) -> Grounder:
    return build_on(loaded(folder, task), images, **{**ALL, **more})


@cache
def library(folder: Path) -> tuple[Any, Any]:
    kind = transformers.Florence2ForConditionalGeneration
    processor = transformers.AutoProcessor.from_pretrained(folder)
    return kind.from_pretrained(folder).eval(), processor


def reference(folder: Path, pixels: Any, text: str, task: str) -> tuple[str, dict[str, Any]]:
    """What the library writes, and what its processor makes of that."""
    network, processor = library(folder)
    inputs = processor(images=pixels, text=f"{TASKS[task]}{text}", return_tensors="pt")
    with torch.inference_mode():
        tokens = network.generate(
            **inputs,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            num_beams=1,
            early_stopping=False,
        )
    (line,) = processor.batch_decode(tokens, skip_special_tokens=False)
    found = processor.post_process_generation(line, task=TASKS[task], image_size=pixels.size)
    return line, found[TASKS[task]]


def written_places(line: str) -> Any:
    """Four and four of each unbroken run; what is left over is no box."""
    runs = [re.findall(r"\d+", run) for run in re.findall(r"(?:<loc_\d+>)+", line)]
    boxes = [run[start : start + 4] for run in runs for start in range(0, len(run) - 3, 4)]
    return np.array(boxes, dtype=float)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", SIDES)
def test_boxes_are_the_librarys_before_it_cuts_them_to_whole_pixels(
    folder: Path, images: Path, name: str, task: str
) -> None:
    image = open_upright(images, name)
    sides = np.array(image.size * 2)
    answers = backend(folder, images, task).ground(mentions_in(name, *TEXTS))
    for text, answer in zip(TEXTS, answers, strict=True):
        line, right = reference(folder, image, text, task)
        exact = (written_places(line) + 0.5) / 1000 * sides
        assert len(exact) > 10
        cut = np.array(right["bboxes"])
        assert ((cut <= exact + 1e-4) & (exact < cut + 1 + 1e-4)).all()
        kept = [one for one in exact.round(1) if (one[2:] > one[:2]).all()]
        boxes = [region.box for region in whole(answer)]
        found = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes]
        assert found == [tuple(map(float, one)) for one in kept]
        assert {(region.score, region.source) for region in whole(answer)} <= {(None, "florence2")}


def test_answers_depend_on_image_and_text(folder: Path, images: Path) -> None:
    """Else these tests would show nothing about them."""
    asking = backend(folder, images)
    found = [tuple(asking.ground(mentions_in(name, *TEXTS))) for name in ("odd.png", "square.png")]
    assert len({answer for answers in found for answer in answers}) == 6
    assert all(answer for answers in found for answer in answers)


def test_the_box_written_first_is_the_one(folder: Path, images: Path) -> None:
    (every,) = backend(folder, images).ground(mentions_in("odd.png", "the dog"))
    (one,) = backend(folder, images, top_k=1).ground(mentions_in("odd.png", "the dog"))
    assert one == whole(every)[:1]
    everywhere = [one for image in SIDES for one in mentions_in(image, *TEXTS)]
    apart = backend(folder, images, overlap=0.01).ground(everywhere)
    overlapping = backend(folder, images).ground(everywhere)
    few, many = (sum(len(whole(one)) for one in found) for found in (apart, overlapping))
    assert 0 < few < many


class Watched(Florence2Network):
    """Counts images and questions, and has memory for so many."""

    room = 99

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seen: list[int] = []
        self.asked: list[int] = []

    def encode_images(self, pixels: Any) -> Any:
        self.seen.append(len(pixels))
        self._remember(len(pixels))
        return super().encode_images(pixels)

    def find_boxes(self, pairs: Any) -> Any:
        self.asked.append(len(pairs))
        self._remember(len(pairs))
        return super().find_boxes(pairs)

    def _remember(self, count: int) -> None:
        if count > self.room:
            raise torch.OutOfMemoryError("no room")


def test_images_are_seen_once_and_in_halves_where_memory_is_short(
    folder: Path, images: Path
) -> None:
    options = TorchOptions(model="-", device="cpu")
    network = Watched(folder, options, task="phrase-grounding", max_new_tokens=NEW_TOKENS)
    asking = build_on(network, images, **ALL)
    asked = [*mentions_in("odd.png", *TEXTS), *mentions_in("wide.png", "team", "team")]
    right = asking.ground(asked)
    assert (network.seen, network.asked) == ([2], [4])
    network.room = 1
    assert asking.ground(asked) == right
    assert network.seen[1:] == [2, 1, 1]
    assert network.asked[1:] == [4, 2, 1, 1, 1, 1]


def test_a_text_cannot_bring_the_networks_own_marks(folder: Path, images: Path) -> None:
    marked, plain, nothing = backend(folder, images).ground(
        mentions_in("odd.png", "the <dog>", "the dog", "<>")
    )
    assert marked == plain
    assert isinstance(nothing, Issue)
    assert nothing.kind == "empty-phrase"
    (image,) = backend(folder, images).ground(
        mentions_in("odd.png", "<image> {input} </s> <loc_1>")
    )
    assert not isinstance(image, Issue)


def test_no_box_written_is_nothing_there(folder: Path, images: Path) -> None:
    network = loaded(folder, tokens=3)
    asking = build_on(network, images)
    assert asking.ground(mentions_in("odd.png", "team")) == [()]


def test_polygons_give_the_box_around_them(folder: Path) -> None:
    network = loaded(folder, "open-vocabulary")
    line = "</s>team<poly><loc_10><loc_20><loc_30><loc_5><loc_15><loc_40></poly></s>"
    assert (network._boxes(line) * 1000 - 0.5).round().tolist() == [[10, 5, 30, 40]]


def test_bfloat16_sees_nearly_the_same(folder: Path, images: Path) -> None:
    """What is written then may differ: places are words, and the next best one is near."""
    pixels = np.array(open_upright(images, "odd.png"))
    exact, half = (
        network.encode_images([network.prepare(pixels)])[0].float()
        for network in (loaded(folder), loaded(folder, dtype="bfloat16"))
    )
    assert 0 < (exact - half).abs().max() < 0.1
    (answer,) = build_on(loaded(folder, dtype="bfloat16"), images).ground(
        mentions_in("odd.png", "team")
    )
    assert isinstance(answer, tuple)


def test_another_checkpoint_is_refused(tmp_path: Path, images: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "florence2"}')
    config = Florence2Config(model=str(tmp_path), device="cpu")
    with pytest.raises(UserError, match="cannot be loaded as Florence2ForConditionalGeneration"):
        config.build(image_context(images, tmp_path))
