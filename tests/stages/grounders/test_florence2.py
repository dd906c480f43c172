from __future__ import annotations

import pickle
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.contracts import check_backend
from helpers.factories import make_sample, mentions_of
from helpers.odd_images import SIDES, image_context, open_upright, save_odd_images
from helpers.tiny_florence2 import TEXT_LIMIT, save_florence2

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from riveg.errors import UserError  # noqa: E402
from riveg.protocols import Grounder, Mention, PartialAnswer  # noqa: E402
from riveg.stages.grounders.florence2 import Florence2Config  # noqa: E402
from riveg.stages.table import GROUND  # noqa: E402
from riveg.types import ImageRef, Issue  # noqa: E402
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


def mentions(name: str, *texts: str) -> list[Mention]:
    """Mentions of one image, each with an expression of its own."""
    sample = make_sample("x " * len(texts) + "x", [(n, n + 1, "PER") for n in range(len(texts))])
    entities = tuple(
        replace(entity, expression=text)
        for entity, text in zip(sample.entities or (), texts, strict=True)
    )
    return mentions_of(replace(sample, id=name, image=ImageRef(name), entities=entities))


def many_mentions() -> list[Mention]:
    return [
        mention
        for number, name in enumerate(SIDES)
        for mention in mentions(name, *TEXTS[number % 2 :])
    ]


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
def test_boxes_are_the_librarys_before_it_cuts_them_to_whole_pixels(folder, images, name, task):
    image = open_upright(images, name)
    sides = np.array(image.size * 2)
    answers = backend(folder, images, task).ground(mentions(name, *TEXTS))
    for text, answer in zip(TEXTS, answers, strict=True):
        line, right = reference(folder, image, text, task)
        exact = (written_places(line) + 0.5) / 1000 * sides
        assert len(exact) > 10
        whole = np.array(right["bboxes"])
        assert ((whole <= exact + 1e-4) & (exact < whole + 1 + 1e-4)).all()
        kept = [one for one in exact.round(1) if (one[2:] > one[:2]).all()]
        found = [(one.box.x_min, one.box.y_min, one.box.x_max, one.box.y_max) for one in answer]
        assert found == [tuple(map(float, one)) for one in kept]
        assert {(region.score, region.source) for region in answer} <= {(None, "florence2")}


def test_answers_depend_on_image_and_text(folder, images):
    """Else these tests would show nothing about them."""
    asking = backend(folder, images)
    found = [tuple(asking.ground(mentions(name, *TEXTS))) for name in ("odd.png", "square.png")]
    assert len({answer for answers in found for answer in answers}) == 6
    assert all(answer for answers in found for answer in answers)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_contract(folder, images, batch_size):
    asking = backend(folder, images, batch_size=batch_size)
    answers = check_backend(GROUND, asking, many_mentions())
    assert answers == list(backend(folder, images, batch_size=32).ground(many_mentions()))
    for mention, answer in zip(many_mentions(), answers, strict=True):
        width, height = open_upright(images, mention.sample.id).size
        assert all(region.box.x_max <= width for region in answer)
        assert all(region.box.y_max <= height for region in answer)
    assert sum(map(bool, answers)) > 10


def test_the_box_written_first_is_the_one(folder, images):
    (every,) = backend(folder, images).ground(mentions("odd.png", "the dog"))
    (one,) = backend(folder, images, top_k=1).ground(mentions("odd.png", "the dog"))
    assert one == every[:1]
    apart = backend(folder, images, overlap=0.01).ground(many_mentions())
    whole = backend(folder, images).ground(many_mentions())
    assert 0 < sum(map(len, apart)) < sum(map(len, whole))


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


def test_images_are_seen_once_and_in_halves_where_memory_is_short(folder, images):
    options = TorchOptions(model="-", device="cpu")
    network = Watched(folder, options, task="phrase-grounding", max_new_tokens=NEW_TOKENS)
    asking = build_on(network, images, **ALL)
    asked = [*mentions("odd.png", *TEXTS), *mentions("wide.png", "team", "team")]
    right = asking.ground(asked)
    assert (network.seen, network.asked) == ([2], [4])
    network.room = 1
    assert asking.ground(asked) == right
    assert network.seen[1:] == [2, 1, 1]
    assert network.asked[1:] == [4, 2, 1, 1, 1, 1]


def test_a_text_that_is_too_long_is_cut_at_a_word_and_said(folder, images):
    asking = backend(folder, images)
    network = loaded(folder)
    words = ["red"] * (TEXT_LIMIT - network.count_tokens("red") + 1)
    assert network.count_tokens(" ".join(words)) == TEXT_LIMIT
    long, fits = asking.ground(mentions("odd.png", " ".join([*words, "dog"]), " ".join(words)))
    assert isinstance(long, PartialAnswer)
    assert long.answer == fits
    assert [issue.kind for issue in long.issues] == ["warning"]
    assert f"more than the {TEXT_LIMIT} tokens" in long.issues[0].message


def test_a_text_cannot_bring_the_networks_own_marks(folder, images):
    marked, plain, nothing = backend(folder, images).ground(
        mentions("odd.png", "the <dog>", "the dog", "<>")
    )
    assert marked == plain
    assert isinstance(nothing, Issue)
    assert nothing.kind == "empty-phrase"
    (image,) = backend(folder, images).ground(mentions("odd.png", "<image> {input} </s> <loc_1>"))
    assert not isinstance(image, Issue)


def test_what_cannot_be_answered_says_why(folder, images):
    (imageless,) = mentions_of(make_sample("Ann waves", [(0, 1, "PER")], has_image=False))
    asked = [*mentions("gone.png", "team"), *mentions("odd.png", "team"), imageless]
    answers = backend(folder, images).ground(asked)
    kinds = [answer.kind if isinstance(answer, Issue) else "fine" for answer in answers]
    assert kinds == ["missing-image", "fine", "no-picture"]


def test_no_box_written_is_nothing_there(folder, images):
    network = loaded(folder, tokens=3)
    asking = build_on(network, images)
    assert asking.ground(mentions("odd.png", "team")) == [()]


def test_polygons_give_the_box_around_them(folder):
    network = loaded(folder, "open-vocabulary")
    line = "</s>team<poly><loc_10><loc_20><loc_30><loc_5><loc_15><loc_40></poly></s>"
    assert (network._boxes(line) * 1000 - 0.5).round().tolist() == [[10, 5, 30, 40]]


def test_built_from_a_configuration(folder, images):
    config = Florence2Config(
        model=str(folder),
        device="cpu",
        regions="many",
        top_k=2,
        overlap=1.0,
        max_new_tokens=NEW_TOKENS,
    )
    built = config.build(image_context(images, folder))
    (two,) = built.ground(mentions("odd.png", "the dog"))
    (every,) = backend(folder, images).ground(mentions("odd.png", "the dog"))
    assert two == every[:2]
    assert len(two) == 2
    assert {"model.safetensors", "processor_config.json"} <= set(config.contents(Path()))


def test_bfloat16_sees_nearly_the_same(folder, images):
    """What is written then may differ: places are words, and the next best one is near."""
    pixels = np.array(open_upright(images, "odd.png"))
    exact, half = (
        network.encode_images([network.prepare(pixels)])[0].float()
        for network in (loaded(folder), loaded(folder, dtype="bfloat16"))
    )
    assert 0 < (exact - half).abs().max() < 0.1
    (answer,) = build_on(loaded(folder, dtype="bfloat16"), images).ground(
        mentions("odd.png", "team")
    )
    assert isinstance(answer, tuple)


def test_workers_can_prepare_images(folder, images):
    network = loaded(folder)
    sent = pickle.loads(pickle.dumps(network.prepare))
    pixels = np.array(open_upright(images, "three-rows.png"))
    assert torch.equal(sent(pixels), network.prepare(pixels))


def test_another_checkpoint_is_refused(tmp_path, images):
    (tmp_path / "config.json").write_text('{"model_type": "florence2"}')
    config = Florence2Config(model=str(tmp_path), device="cpu")
    with pytest.raises(UserError, match="cannot be loaded as Florence2ForConditionalGeneration"):
        config.build(image_context(images, tmp_path))
