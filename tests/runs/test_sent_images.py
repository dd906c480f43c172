"""What a run's manifest and notes say of the images that language models were shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.chat_cases import image_sample

from riveg.config.reader import load_config
from riveg.config.system import SystemConfig
from riveg.runs.sent_images import SentImages, merged_records, token_notes
from riveg.types import Box, Entailment, Entity, ImageRef, Issue, Region, Sample, Span

URL = "http://127.0.0.1:9/v1"


def system(folder: Path, stages: str) -> SystemConfig:
    path = folder / "mine.yaml"
    path.write_text(f"llm:\n  main: {{model: m, base_urls: ['{URL}']}}\n{stages}")
    return load_config(path)


def post(
    *boxes: Box, id: str = "a", width: int = 1200, height: int = 800, source: str = "chat:schema"
) -> Sample:
    regions = tuple(Region(box, source=source) for box in boxes)
    entity = Entity("e0", "Ann", "PER", Span(0, 1), regions=regions)
    sample = image_sample("Ann met Rex", id=id, entities=(entity,))
    return replace(sample, image=ImageRef(f"{id}.jpg", width, height))


def issue(stage: str, kind: str, entity_id: str | None = None) -> Issue:
    return Issue(stage, entity_id, kind, "why")


E2E = "extract: {backend: chat, llm: main, frame: pixels-sent}\n"
GROUNDED = (
    "tag: {backend: mini}\nentail: {backend: chat, llm: main}\n"
    "ground: {backend: chat, llm: main, frame: norm1000}\n"
)


def test_sizes_are_those_sent_and_the_rule_stands_beside_them(tmp_path: Path) -> None:
    config = system(tmp_path, E2E)
    sent = SentImages(config, config.steps)
    unopened = replace(post(), image=ImageRef("x.jpg"))
    sent.add_part([post(), post(id="b", width=300, height=40), unopened])
    sent.add_part(
        [
            post(id="c", width=2048, height=1024),
            replace(post(id="d"), image=None),
            replace(post(id="e", width=20, height=20), issues=(issue("extract", "image-shape"),)),
            replace(post(id="f"), issues=(issue("extract", "prompt-failed"),)),
            replace(post(id="g"), issues=(issue("extract", "no-answer"),)),
        ]
    )
    assert sent.record() == {
        "extract": {
            "picture_side": 1024,
            "frame": "pixels-sent",
            "resize": {"multiple": 28, "min_pixels": 3136, "max_pixels": 12845056},
            "sent": {"count": 4, "smallest": [300, 40], "largest": [1024, 683]},
        }
    }


def test_stages_of_entities_send_what_passes_the_gate(tmp_path: Path) -> None:
    config = system(tmp_path, GROUNDED)
    sent = SentImages(config, config.steps)
    shown = post(id="a")
    assert shown.entities is not None
    gated = replace(shown.entities[0], entailment=Entailment(0.1, False, "chat"))
    passed = replace(shown.entities[0], entailment=Entailment(0.9, True, "chat"))
    sent.add_part(
        [
            replace(shown, entities=(gated, replace(passed, id="e1", span=Span(2, 3)))),
            replace(post(id="b"), entities=(gated,)),
            replace(post(id="c"), entities=()),
        ]
    )
    found = sent.record()
    assert found["entail"] == {
        "picture_side": 1024,
        "sent": {"count": 2, "smallest": [1024, 683], "largest": [1024, 683]},
    }
    assert found["ground"] == {
        "picture_side": 1024,
        "frame": "norm1000",
        "sent": {"count": 1, "smallest": [1024, 683], "largest": [1024, 683]},
    }


def test_shards_say_together_what_one_run_says(tmp_path: Path) -> None:
    config = system(tmp_path, E2E)
    samples = [post(id=f"s{number}", width=100 + number, height=90) for number in range(5)]
    whole = SentImages(config, config.steps)
    whole.add_part(samples)
    shards = []
    for part in (samples[::2], samples[1::2], []):
        shard = SentImages(config, config.steps)
        shard.add_part(part)
        shards.append(shard.record())
    assert merged_records(shards) == whole.record()


def test_nothing_is_said_where_no_model_sees_images(tmp_path: Path) -> None:
    config = load_config("quickstart")
    assert not SentImages(config, config.steps).is_any
    config = system(tmp_path, "tag: {backend: chat, llm: main}\n")
    assert not SentImages(config, config.steps).is_any
    assert SentImages(system(tmp_path, E2E), ()).record() == {}


CORNER = Box(600, 400, 1200, 800)
INSIDE = Box(100, 100, 1200, 700)


@pytest.mark.parametrize(
    ("boxes", "beyond", "is_told"),
    [
        ([CORNER] * 3 + [INSIDE] * 2, 0, True),
        ([CORNER] * 2 + [INSIDE] * 3, 0, False),
        ([INSIDE] * 2, 3, True),
        ([CORNER] * 4, 0, False),
        ([], 6, True),
        ([INSIDE] * 6, 0, False),
    ],
)
def test_most_boxes_of_a_part_at_the_frames_end_are_noted(
    tmp_path: Path, boxes: list[Box], beyond: int, *, is_told: bool
) -> None:
    config = system(tmp_path, E2E)
    sent = SentImages(config, config.steps)
    part = [post(box, id=f"b{number}") for number, box in enumerate(boxes)]
    bad = replace(post(), issues=(issue("extract", "box-outside-frame"),))
    sent.add_part([*part, *(replace(bad, id=f"o{number}") for number in range(beyond))])
    sent.add_part([post(INSIDE, id=f"c{number}") for number in range(9)])
    notes = list(sent.notes())
    assert len(notes) == is_told
    if is_told:
        assert "extract: chat: in 1 of 2 parts most boxes end in the lower right" in notes[0]
        assert f"of {len(boxes) + beyond + 9} in all" in notes[0]
        assert "does extract.frame fit the model?" in notes[0]
        assert "\n" not in notes[0]


def test_boxes_of_others_are_not_the_models(tmp_path: Path) -> None:
    config = system(tmp_path, E2E)
    sent = SentImages(config, config.steps)
    sent.add_part([post(*[CORNER] * 9, source="gold")])
    assert list(sent.notes()) == []


@pytest.mark.parametrize(
    ("name", "overrides", "told"),
    [
        ("e2e-gmner", [], None),
        ("sake", [], None),
        ("one-vlm", [], None),
        ("quickstart", [], None),
        (
            "e2e-gmner",
            ["extract.resize.max_pixels=501760"],
            "at most 640 image tokens of a picture, and boxes want 1,024 at least: raise "
            "extract.resize.max_pixels",
        ),
        (
            "e2e-gmner",
            ["llm.main.picture_side=560"],
            "at most 400 image tokens of a picture, and boxes want 1,024 at least: raise "
            "picture_side of the language model",
        ),
        (
            "one-vlm",
            ["ground.resize={multiple: 32, max_pixels: 1048575}"],
            "ground: chat shows at most 1,023",
        ),
        ("one-vlm", ["ground.resize={multiple: 32, max_pixels: 1048576}"], None),
        ("one-vlm", ["ground.resize={multiple: 1}", "llm.main.picture_side=64"], None),
    ],
)
def test_too_few_image_tokens_are_noted(name: str, overrides: list[str], told: str | None) -> None:
    config = load_config(name, overrides)
    notes = list(token_notes(config, config.steps))
    assert len(notes) == (told is not None)
    assert told is None or told in notes[0]
