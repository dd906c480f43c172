"""A small system with a chat rewriter and a scripted model, for tests of ``prompt-debug``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from helpers.factories import NoImages, make_sample
from helpers.scripted_chat import ScriptedChat
from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.reader import load_config
from riveg.config.system import Step, SystemConfig
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.llm.conversation import Request
from riveg.prompt_debug.debugger import PromptDebugger
from riveg.prompt_debug.samples import ChosenSamples
from riveg.protocols import Entailer, Mention
from riveg.stages.table import ENTAIL
from riveg.types import Box, Entailment, Sample, Span

SYSTEM = """
name: made-up
llm:
  main:
    model: tiny/model
    base_urls: ["http://127.0.0.1:9/v1"]
    prices: {input: 1.0, output: 2.0}
tag: {backend: mini}
rewrite: {backend: chat, prompt: mine.jinja, batch: entity}
"""

PROMPT = """{# A prompt of the tests. #}
{% block answer %}
visual
{% endblock %}
{% block system %}
Say what it looks like.
{% endblock %}
{% block user %}
{{ text }}
{% for entity in entities %}
{{ entity.id }}: {{ entity.text }}
{% endfor %}
{% endblock %}
"""

OTHER = PROMPT.replace("Say what", "Say with colours what")

SAMPLES = (
    make_sample("Ada Lovelace in Paris", [(0, 2, "PER"), (3, 4, "LOC")], id="one"),
    make_sample("NASA is here", [(0, 1, "ORG")], id="two"),
    make_sample("nobody at all", id="three"),
)

ASKED = re.compile(r"^(e\d+): (.*)$", re.MULTILINE)


def answer(request: Request) -> str:
    """Colours for names that begin with A, where the prompt asks for them."""
    system, user = request.messages[0].text, request.messages[1].text
    looks = {}
    for name, text in ASKED.findall(user):
        phrase = "a red look" if "colours" in system and text.startswith("A") else "a look"
        looks[name] = {"visible": True, "phrase": phrase, "description": f"It is {text}."}
    return json.dumps(looks)


def write_system(folder: Path, text: str = SYSTEM) -> SystemConfig:
    """The system with its two prompts in a folder."""
    (folder / "mine.jinja").write_text(PROMPT)
    (folder / "other.jinja").write_text(OTHER)
    (folder / "system.yaml").write_text(text)
    return load_config(folder / "system.yaml")


def make_chosen(
    samples: Sequence[Sample] = SAMPLES, read_gold: Callable[[], GoldSet] | None = None
) -> ChosenSamples:
    """Samples that are tagged already."""
    return ChosenSamples("made-up posts", tuple(samples), (), ("tag",), read_gold)


def gold_of_samples() -> GoldSet:
    """Gold by which the images show one name and not the others."""
    entities = {
        "one": (
            AnnotatedEntity("Ada Lovelace", "PER", Span(0, 2), boxes=(Box(1, 1, 9, 9),)),
            AnnotatedEntity("Paris", "LOC", Span(3, 4), boxes=()),
        ),
        "two": (AnnotatedEntity("NASA", "ORG", Span(0, 1), boxes=()),),
        "three": (),
    }
    return gold_set("made-up", {key: GoldSample(value) for key, value in entities.items()})


class RedEntailerConfig(BackendConfig[Entailer]):
    """An entailer that decides by the expression."""

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "red"
    summary: ClassVar[str] = "what is red is shown"

    def build(self, context: BuildContext) -> Entailer:
        return RedEntailer()


class RedEntailer:
    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment]:
        is_red = ["red" in (mention.entity.expression or "") for mention in mentions]
        return [Entailment(0.9 if red else 0.1, red, "red") for red in is_red]


def with_gate(config: SystemConfig) -> SystemConfig:
    """The system with an entailer after the rewriter that decides by the expression."""
    return replace(config, steps=(*config.steps, Step(ENTAIL, RedEntailerConfig())))


def make_debugger(
    config: SystemConfig,
    chosen: ChosenSamples | None = None,
    *,
    says: Callable[[Request], str] = answer,
    asks: bool = False,
    chat: ScriptedChat | None = None,
    stage: str | None = None,
) -> tuple[PromptDebugger, ScriptedChat]:
    """A debugger and the model that it may ask."""
    chat = chat or ScriptedChat(says)
    made = PromptDebugger(
        config,
        chosen or make_chosen(),
        {"main": chat},
        NoImages(),
        asks=asks,
        stage=stage,
    )
    return made, chat
