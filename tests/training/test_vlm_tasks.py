"""The other tasks of ``riveg train vlm``: boxes of an entity, and its type among candidates."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')
pytest.importorskip("peft", reason='needs the extra: pip install "riveg[train]"')

from helpers.drawn_posts import write_posts
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat
from helpers.tiny_vision_language import make_tiny_vision_language_model
from helpers.tiny_vlm_training import ASK, RESIZE, settings
from helpers.training import Heard

from riveg.config.reader import load_config
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.exports.trainers.writing import write_training_data
from riveg.formats.records import encode
from riveg.images.loader import ImageLoader
from riveg.labels import Label
from riveg.lessons.making import TaskName
from riveg.llm.endpoint import Endpoint
from riveg.protocols import Mention
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.rewriters.chat import NOT_VISIBLE
from riveg.training.config import Course
from riveg.training.vlm.config import VlmTrainingConfig
from riveg.training.vlm.trainee import VlmTrainee
from riveg.types import Entity, Span

GROUND: dict[str, Any] = {"frame": "pixels-sent", "resize": RESIZE, "max_tokens": 96}
LEVELS = {
    "PER": ("actor", "athlete", "politician", "musician", "author"),
    "LOC": ("city", "park"),
    "OTHER": ("ship", "film", "prize"),
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vision_language_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posts(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def fine_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person with a fine type of five, a place with one of two."""
    data = write_posts(tmp_path_factory.mktemp("fine"))
    for name in ("train", "dev"):
        path = data.parent / f"{name}.jsonl"
        posts = [json.loads(line) for line in path.read_text().splitlines()]
        for post in posts:
            for entity in post["entities"]:
                entity["label"], entity["fine_label"] = (
                    ("PER", "musician") if entity["start"] == 0 else ("LOC", "city")
                )
        path.write_text("".join(f"{json.dumps(post)}\n" for post in posts))
    levels = json.dumps({name: list(below) for name, below in LEVELS.items()})
    data.write_text(data.read_text().replace("labels: [PER, LOC, ORG, OTHER]", f"labels: {levels}"))
    return data


def trainee(config: VlmTrainingConfig, heard: Heard | None = None) -> VlmTrainee:
    return VlmTrainee(config, Course(config, config.out, config.out, heard or Heard()))


def grounding(model: Path, data: Path, out: Path, **more: Any) -> VlmTrainingConfig:
    return settings(model, data, out, task="ground", extract=None, ground=GROUND, **more)


def reranking(model: Path, data: Path, out: Path, **more: Any) -> VlmTrainingConfig:
    labels = [{"name": name, "fine": list(below)} for name, below in LEVELS.items()]
    values = {"labels": labels, "rerank": {"prompt": "rerank/gem.v2"}, "jitter": None, **more}
    return settings(model, data, out, task="rerank", extract=None, **values)


def test_a_grounder_learns_one_question_an_entity(model: Path, data: Path, tmp_path: Path) -> None:
    learner = trainee(grounding(model, data, tmp_path, jitter=None))
    rows = learner.rows()
    assert len(rows) == 14, "seven posts with two entities, one with none"
    assert rows[1].question.answer(None) == '{"boxes": []}'
    assert rows[-2].question.answer(None).count("bbox_2d") == 2
    dataset = open_dataset(str(data), split="train")
    images = ImageLoader(dataset.image_roots)
    endpoint = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",), picture_side=140)
    labels = tuple(Label(name=name) for name in ("PER", "LOC", "ORG", "OTHER"))
    backend = ChatGrounderConfig(**GROUND).build(
        make_context(
            chats={"main": ScriptedChat(lambda _: "")}, endpoints={"main": endpoint}, labels=labels
        )
    )
    sample, gold = next(iter(dataset.annotated_samples()))
    assert sample.image is not None
    opened = replace(sample, image=images.probe(sample.image))
    mention = Mention(opened, Entity("e0", "Ann", gold.entities[0].label, Span(0, 1)))
    (asked,) = backend.prepare([mention])
    assert rows[0].question.request.messages == asked.request.messages
    assert learner.evaluate(learner.network().eval())["gmner"] < 100


def test_boxes_of_a_grounder_are_moved_each_by_itself(
    model: Path, data: Path, tmp_path: Path
) -> None:
    rows = trainee(grounding(model, data, tmp_path)).rows()
    still, once, again = (rows[0].question.answer(visit) for visit in (None, "1/0", "1/1"))
    assert len({still, once, again}) == 3


def test_candidates_are_those_of_gem(model: Path, fine_data: Path, tmp_path: Path) -> None:
    heard = Heard()
    learner = trainee(reranking(model, fine_data, tmp_path), heard)
    rows = learner.rows()
    assert len(rows) == 14
    places: Counter[int] = Counter()
    for row in rows:
        request = row.question.request
        assert request.schema is not None
        offered = request.schema["properties"]["label"]["enum"]
        assert f"Candidates: {', '.join(offered)}" in request.messages[-1].text
        right = json.loads(row.question.answer(None))["label"]
        places[offered.index(right)] += 1
        same = sum(one in LEVELS["PER"] for one in offered)
        if right == "musician":
            assert (len(set(offered)), same) == (5, 4), "the gold type, three beside it, one other"
        else:
            assert right == "city"
            assert len(set(offered)) == 5
            assert "park" in offered, "there is one beside it; three are of others"
    assert len(places) > 2, "their order is shuffled"
    assert "Ann (&&) in Rome" in rows[0].question.request.messages[-1].text
    assert any(note.startswith("7 questions have candidates of more other") for note in heard.notes)
    assert learner.metric == "accuracy"
    assert learner.evaluate(learner.network().eval())["accuracy"] < 100


def test_another_seed_offers_others_and_coarse_types_are_offered_all(
    model: Path, data: Path, fine_data: Path, tmp_path: Path
) -> None:
    def asked(config: VlmTrainingConfig) -> list[str]:
        return [row.question.request.messages[-1].text for row in trainee(config).rows()]

    def seeded(seed: int) -> VlmTrainingConfig:
        loop = {"seed": seed, "device": "cpu", "threads": 1}
        return reranking(model, fine_data, tmp_path, loop=loop)

    assert asked(seeded(1)) == asked(seeded(1)) != asked(seeded(2))
    coarse = reranking(model, data, tmp_path, labels=["PER", "LOC", "ORG", "OTHER"])
    (line,) = (one for one in asked(coarse)[0].splitlines() if one.startswith("Candidates: "))
    assert sorted(line.removeprefix("Candidates: ").split(", ")) == ["LOC", "ORG", "OTHER", "PER"]


def test_a_fine_type_that_nobody_names(model: Path, fine_data: Path, tmp_path: Path) -> None:
    labels = [{"name": "PER", "fine": ["actor"]}, {"name": "LOC", "fine": ["city"]}]
    with pytest.raises(UserError, match="the fine type 'musician', which does not stand below PER"):
        trainee(reranking(model, fine_data, tmp_path, labels=labels))


def recorded(folder: Path, data: Path, *, split: str) -> Path:
    """A run's records: an expression for each name, one of them that no picture could show."""
    path = folder / f"{split}.jsonl"
    lines = []
    for sample, gold in open_dataset(str(data), split=split).annotated_samples():
        entities = tuple(
            Entity(
                f"x{number}",
                one.text,
                one.label,
                one.span,
                expression=f"{one.text}({one.label})-the {one.label} of {sample.id}",
                description=NOT_VISIBLE if one.label == "LOC" and number else "Tall.",
            )
            for number, one in enumerate(gold.entities)
        )
        lines.append(encode(replace(sample, entities=entities)))
    path.write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in lines))
    return path


FORM = "{mention}({label})-{expression}"


@pytest.mark.parametrize(
    ("rewrite", "together", "first"),
    [
        (
            {"prompt": "rewrite/visual.v1"},
            True,
            {"visible": True, "phrase": "the PER of p0-0", "description": "Tall."},
        ),
        ({"prompt": "rewrite/riveg.v2", "batch": "entity"}, False, "the PER of p0-0"),
    ],
)
def test_a_rewriter_learns_the_expressions_of_another_run(
    rewrite: dict[str, Any], together: bool, first: object, model: Path, data: Path, tmp_path: Path
) -> None:
    files = [str(recorded(tmp_path, data, split=split)) for split in ("train", "dev")]
    heard = Heard()
    more = {"rewrite": {**rewrite, "form": FORM, "max_tokens": 48}, "expressions": files}
    config = settings(model, data, tmp_path, task="rewrite", extract=None, jitter=None, **more)
    learner = trainee(config, heard)
    found = learner.rows()
    if together:  # all names of a post together, as JSON
        assert len(found) == 7
        value = json.loads(found[0].question.answer(None))
        assert value["e0"] == first
        assert value["e1"] == {"visible": False, "phrase": "", "description": ""}
    else:  # a name a request, and phrases cannot say that there is nothing to be seen
        assert len(found) == 7
        assert found[0].question.answer(None) == first
        assert any(note.startswith("not-visible: 7 left out") for note in heard.notes)
    assert not found[0].question.request.images
    assert learner.metric == "words"
    assert learner.evaluate(learner.network().eval())["words"] < 100


@pytest.mark.parametrize("task", get_args(TaskName))
def test_other_trainers_get_the_same(
    task: TaskName, model: Path, data: Path, fine_data: Path, tmp_path: Path
) -> None:
    """``riveg data convert`` writes the very messages and answers that are learnt here."""
    files = [recorded(tmp_path, data, split=split) for split in ("train", "dev")]
    blocks: dict[str, dict[str, Any]] = {
        "extract": ASK,
        "ground": GROUND,
        "rerank": {"prompt": "rerank/gem.v2"},
        "rewrite": {"prompt": "rewrite/visual.v1", "form": FORM},
    }
    if task == "rerank":
        learner = trainee(reranking(model, fine_data, tmp_path))
    else:
        more: dict[str, Any] = {"jitter": None, "extract": None, task: blocks[task]}
        if task == "rewrite":
            more["expressions"] = list(map(str, files))
        learner = trainee(settings(model, data, tmp_path, task=task, **more))
    system: dict[str, Any] = {
        "llm": {"main": {"model": "any", "base_urls": ["http://127.0.0.1:9/v1"]}},
        "labels": [label.model_dump() for label in learner.config.labels],
        task: {"backend": "chat", **blocks[task]},
    }
    if task != "extract":
        system["tag"] = {"backend": "chat"}
    (tmp_path / "system.yaml").write_text(json.dumps(system))
    write_training_data(
        open_dataset(str(fine_data if task == "rerank" else data), split="train"),
        load_config(tmp_path / "system.yaml"),
        task,
        "trl",
        tmp_path / "rows",
        expressions=files if task == "rewrite" else (),
    )
    lines = map(json.loads, (tmp_path / "rows" / "train.jsonl").read_text().splitlines())
    written = [
        ([(turn["role"], turn["content"]) for turn in line["prompt"]], line["ground_truth"])
        for line in lines
    ]
    questions = [row.question for row in learner.rows()]
    assert written == [
        ([(turn.role, turn.text) for turn in one.request.messages], one.answer("1/0"))
        for one in questions
    ]


def test_expressions_are_needed_and_of_this_data(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="expressions: runs to learn from"):
        settings(model, data, tmp_path, task="rewrite", extract=None, jitter=None, rewrite={})
    file = str(recorded(tmp_path, data, split="dev"))
    more = {"rewrite": {}, "expressions": [file]}
    config = settings(model, data, tmp_path, task="rewrite", extract=None, jitter=None, **more)
    with pytest.raises(UserError, match="no post is left to learn from; no-expression: 7 left out"):
        trainee(config)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"jitter": {"beta": 0.1}}, "answers of task: rerank hold no boxes"),
        ({"ground": GROUND}, "ground: has no effect with task: rerank"),
        ({"reasoning": ["cot.jsonl"]}, "answers of task: rerank hold no thought"),
    ],
)
def test_settings_of_another_task(
    more: dict[str, Any], message: str, model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=message):
        reranking(model, data, tmp_path, **more)
