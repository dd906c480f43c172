"""In no stage does a refusal become an answer: it is asked again, then an Issue or a fallback."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from helpers.answers import issue_of, partial, whole
from helpers.chat_cases import image_sample
from helpers.factories import make_context, mentions_of
from helpers.scripted_chat import ScriptedChat

from riveg.llm.conversation import Request, Response
from riveg.llm.endpoint import Endpoint
from riveg.protocols import Ranking
from riveg.stages.augmenters.chat import ChatAugmenterConfig
from riveg.stages.captioners.chat import ChatCaptionerConfig
from riveg.stages.entailers.chat import ChatEntailerConfig
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.rerankers.chat import ChatRerankerConfig
from riveg.stages.rewriters.chat import ChatRewriterConfig
from riveg.stages.taggers.chat import ChatTaggerConfig
from riveg.types import Expression

POST = image_sample("Ann Lee met Rex", [(0, 2, "PER")], id="a")
BARE: dict[str, Any] = {"prompt": "rewrite/riveg.v1", "batch": "entity"}

SORRY = "I'm sorry, but I can't identify the person in this image."
FIELD = Response("There is no person or organization I can name.", "stop", is_refusal=True)


def asked(config: Any, chat: ScriptedChat) -> Sequence[Any]:
    endpoint = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",))
    context = make_context(chats={"main": chat}, endpoints={"main": endpoint})
    backend = config.build(context)
    per_sample = {"tag", "caption", "augment", "extract"}
    about = [POST] if config.stage in per_sample else mentions_of(POST)
    answers: Sequence[Any] = getattr(backend, config.stage)(about)
    return answers


CONFIGS = [
    ChatCaptionerConfig(),
    ChatAugmenterConfig(),
    ChatAugmenterConfig(prompt="augment/gem.v1"),
    ChatTaggerConfig(),
    ChatRewriterConfig(),
    ChatRewriterConfig(**BARE),
    ChatEntailerConfig(),
    ChatGrounderConfig(frame="norm1000"),
    ChatExtractorConfig(frame="norm1000"),
    ChatExtractorConfig(frame="norm1000", prompt="extract/e2e-gmner.v1"),
    ChatExtractorConfig(frame="norm1000", prompt="extract/sake.v1"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda one: f"{one.stage}:{one.prompt}")
@pytest.mark.parametrize("refusal", [SORRY, FIELD], ids=["words", "field"])
def test_a_refusal_is_asked_again_and_then_an_issue(config: Any, refusal: str | Response) -> None:
    chat = ScriptedChat(lambda _: refusal)
    (answer,) = asked(config, chat)
    assert issue_of(answer).kind == "refused-answer"
    assert len(chat.asked) == 3
    assert "refusal" in chat.asked[1].messages[-1].text or config.stage == "entail"


@pytest.mark.parametrize("refusal", [SORRY, FIELD], ids=["words", "field"])
def test_a_type_is_not_read_from_a_refusal(refusal: str | Response) -> None:
    """Its words may be those of types: "the person" is no PERSON."""
    (answer,) = asked(ChatRerankerConfig(), ScriptedChat(lambda _: refusal))
    kept = partial(answer)
    assert isinstance(kept.answer, Ranking)
    assert kept.answer.label == "PER"
    assert [issue.kind for issue in kept.issues] == ["unmatched-label"]


def visual(phrase: str) -> str:
    value = {"visible": True, "phrase": phrase, "description": "N/A"}
    return json.dumps({"e0": value})


WORDS = ["N/A", "None", "Unknown", "Not visible in the image", SORRY, "As an AI, I cannot see it"]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    ("options", "answer"),
    [({}, visual), (BARE, str), (BARE, "Ann Lee(PER)- {}".format), (BARE, "**{}**".format)],
)
def test_no_refusal_is_an_expression(
    words: str, options: dict[str, Any], answer: Callable[[str], str]
) -> None:
    said = answer(words)
    (issue,) = asked(ChatRewriterConfig(**options), ScriptedChat(lambda _: said))
    assert issue_of(issue).kind == "refused-answer"
    (fallback,) = asked(
        ChatRewriterConfig(**options, fallback="template"), ScriptedChat(lambda _: said)
    )
    assert fallback == Expression("a person named Ann Lee", None, "template:fallback")


def test_a_better_answer_to_the_same_question_is_taken() -> None:
    def better_later(request: Request) -> str:
        return SORRY if len(request.messages) < 3 else "a woman in a red coat"

    (answer,) = asked(ChatRewriterConfig(**BARE), ScriptedChat(better_later))
    assert answer == Expression("a woman in a red coat", None, "chat:re-asked")


@pytest.mark.parametrize(
    "said",
    [
        "Ann Lee(PER)-a woman in a red coat",
        "Ann Lee (PER): a woman in a red coat",
        "**Ann Lee(PER)** - a woman in a red coat",
        "- Ann Lee [PER] \u2014 a woman in a red coat",
        "ann lee: a woman in a red coat",
        "Ann Lee - a woman in a red coat",
        "e0: a woman in a red coat",
        "a woman in a red coat (PER)",
        '"a woman in a red coat."<|im_end|>',
        "<answer>a woman in a red coat</answer>",
        "Expression: a woman in a red coat",
    ],
)
@pytest.mark.parametrize("form", ["{expression}", "{mention}({label})-{expression}"])
def test_what_the_question_gave_does_not_stand_in_the_expression_again(
    said: str, form: str
) -> None:
    (answer,) = asked(ChatRewriterConfig(**BARE, form=form), ScriptedChat(lambda _: said))
    look = "a woman in a red coat"
    assert whole(answer).text == form.format(mention="Ann Lee", label="PER", expression=look)


@pytest.mark.parametrize("said", ["Ann Lee(PER)-", "Ann Lee(PER)", "Bob(PER)-a man", "Ann Lee:"])
def test_an_echo_alone_is_no_expression(said: str) -> None:
    (answer,) = asked(ChatRewriterConfig(**BARE), ScriptedChat(lambda _: said))
    assert issue_of(answer).kind == "unparsable-answer"


@pytest.mark.parametrize(
    ("said", "caption"),
    [
        ("**A dog runs.**", "A dog runs."),
        ("Caption: A dog runs.", "A dog runs."),
        ("**Caption:** A dog runs.<end_of_turn>", "A dog runs."),
        ('{"caption": "A dog runs."}', "A dog runs."),
        ("# A dog runs.", "A dog runs."),
        ("A man who looks sorry.", "A man who looks sorry."),
        ("A person, but I cannot identify them.", "A person, but I cannot identify them."),
    ],
)
def test_markup_around_a_caption(said: str, caption: str) -> None:
    assert asked(ChatCaptionerConfig(), ScriptedChat(lambda _: said)) == [caption]


def test_yes_and_no_within_a_refusal_are_none() -> None:
    said = "I'm sorry, there is no way that I can identify people"
    (answer,) = asked(ChatEntailerConfig(), ScriptedChat(lambda _: said))
    assert issue_of(answer).kind == "refused-answer"


@pytest.mark.parametrize(("said", "says_yes"), [("<answer>Yes</answer>", True), ("**No**", False)])
def test_markup_around_yes_and_no(said: str, says_yes: bool) -> None:
    (entailment,) = asked(ChatEntailerConfig(), ScriptedChat(lambda _: said))
    assert whole(entailment).groundable == says_yes
