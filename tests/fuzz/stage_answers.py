"""The words of a language model, given to the stage that asked for them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.chat_cases import image_sample
from helpers.contracts import check_answer
from helpers.factories import make_context, mentions_of
from helpers.scripted_chat import ScriptedChat

from riveg.formats.records import decode, encode
from riveg.labels import Label
from riveg.llm.conversation import Response
from riveg.llm.endpoint import Endpoint
from riveg.pipeline import PER_ENTITY
from riveg.protocols import Mention, PartialAnswer
from riveg.registry import backend_config
from riveg.stages.table import STAGES
from riveg.types import Box, Entity, Issue, Region, Sample

POST = image_sample(
    "Ever Given meets Ann near York",
    [(0, 2, "OTHER"), (3, 4, "PER")],
    id="a",
    caption="a ship",
)

UNCERTAIN = replace(
    POST,
    entities=tuple(
        replace(one, score=0.5, regions=(Region(Box(0, 0, 600, 400), 0.5),))
        for one in POST.entities or ()
    ),
)
"""The same, for a stage that looks again at what is uncertain."""

ANSWERS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    # a file: its stage, the backend's options, a good answer
    "caption.txt": ("caption", {}, "A large ship beside a quay."),
    "augment.txt": ("augment", {}, "Named entities: 1. Ann (PER)\n\nReasoning: a name."),
    "gem.json": ("augment", {"prompt": "augment/gem.v1"}, '{"explanation": "It is a ship."}'),
    "tag.json": (
        "tag",
        {},
        '{"entities": [{"text": "Ever Given", "label": "OTHER", "occurrence": 1}, '
        '{"text": "York", "label": "LOC", "occurrence": 1}]}',
    ),
    "rerank.json": ("rerank", {}, '{"label": "ORG"}'),
    "visual.json": (
        "rewrite",
        {},
        '{"e0": {"visible": true, "phrase": "a large ship", "description": "It is green."}, '
        '"e1": {"visible": false, "phrase": "", "description": ""}}',
    ),
    "phrases.json": (
        "rewrite",
        {"prompt": "rewrite/riveg.v1"},
        '{"e0": "a large ship.", "e1": "a woman in red."}',
    ),
    "phrase.txt": ("rewrite", {"prompt": "rewrite/riveg.v1", "batch": "entity"}, "a large ship."),
    "entail.txt": ("entail", {}, "Yes"),
    "extract.json": (
        "extract",
        {"frame": "norm1000"},
        '{"entities": [{"text": "Ever Given", "label": "OTHER", "occurrence": 1, '
        '"boxes": [{"bbox_2d": [9, 20, 300, 400]}]}]}',
    ),
    "triples.txt": (
        "extract",
        {"frame": "norm1000", "prompt": "extract/e2e-gmner.v1"},
        "<answer>Ever Given|OTHER|[[9,20,300,400],[1,2,3,4]]; York|LOC|None</answer>",
    ),
    "lists.txt": (
        "extract",
        {"frame": "norm1000", "prompt": "extract/sake.v1", "label_map": {"MISC": "OTHER"}},
        '<answer>[{"entity": "Ever Given", "type": "MISC", "box2d": [9, 20, 300, 400]}, '
        '{"entity": "York", "type": "LOC", "box2d": []}]</answer>',
    ),
    "span.json": ("review", {"span": 0.0}, '{"reason": "so", "entity": "Ever Given"}'),
    "type.json": ("review", {"type": 0.0}, '{"reason": "so", "label": "ORG"}'),
    "region.json": (
        "review",
        {"region": 0.0, "frame": "norm1000"},
        '{"reason": "so", "shown": "yes", "boxes": [{"bbox_2d": [9, 20, 300, 400]}]}',
    ),
    "ground.json": ("ground", {"frame": "norm1000"}, '{"boxes": [{"bbox_2d": [9, 20, 300, 400]}]}'),
}

_LIKELY = (("Yes", math.log(0.5)), (" yes", math.log(0.1)), ("No", math.log(0.15)))

_ENDPOINT = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",), picture_side=1024)

_LABELS = tuple(Label(name=name) for name in ("PER", "LOC", "ORG", "OTHER"))


def write_answers(folder: Path) -> None:
    folder.mkdir()
    for name, (_, _, answer) in ANSWERS.items():
        (folder / name).write_text(answer, encoding="utf-8")


def ask(file: str, finish_reason: str) -> None:
    """Asks a stage that has a file's bytes for an answer, and looks at what it makes of them."""
    path = Path(file)
    name, options, _ = ANSWERS[path.name]
    words = path.read_bytes().decode("utf-8", "surrogateescape")
    chat = ScriptedChat(lambda _: Response(words, finish_reason, _LIKELY))
    stage: Any = next(one for one in STAGES if one.name == name)
    context = make_context(chats={"main": chat}, endpoints={"main": _ENDPOINT}, labels=_LABELS)
    backend = backend_config(name, "chat")(**options).build(context)
    post = UNCERTAIN if stage.needs_entities else POST
    items: list[Any] = mentions_of(post) if stage.per is PER_ENTITY else [post]
    questions = len(post.entities or ()) if stage.is_about_entities else 1
    for item, answer in zip(items, stage.ask(backend, items), strict=True):
        check_answer(stage, item, answer)
        whole = answer.answer if isinstance(answer, PartialAnswer) else answer
        if not isinstance(whole, Issue):
            require_record(stage.join(item, whole))
    assert len(chat.asked) <= 3 * questions, "an answer is asked for again twice at most"


def require_record(joined: Sample | Mention) -> None:
    """Asserts that a record with the answer can be written and read, and is of one line."""
    found: Any = joined.entity if isinstance(joined, Mention) else joined
    kind = Entity if isinstance(joined, Mention) else Sample
    assert decode(kind, encode(found)) == found
    texts = [found.caption, found.knowledge] if isinstance(found, Sample) else []
    entities = found.entities or () if isinstance(found, Sample) else (found,)
    for entity in entities:
        texts += [entity.label, entity.expression, entity.description]
        assert entity.label in {label.name for label in _LABELS}
    for text in filter(None, texts):
        assert not [one for one in text if unicodedata.category(one) == "Cc"], ascii(text)
