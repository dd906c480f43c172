"""The requests that a stage would send about samples, and a model that answers from the cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from typing import Any, cast

from riveg.config.backend import BuildContext
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.errors import UserError
from riveg.files import text_digest
from riveg.llm.conversation import Chat, ChatAnswer, NoAnswer, PreparedRequest, Request, TokenCount
from riveg.pipeline import StageRunner
from riveg.runs.building import build_runner
from riveg.types import Issue, Sample

NOT_ASKED = "not-asked"
"""``kind`` of the answer to a request that is not cached and was not sent."""


def asks_model(step: Step) -> bool:
    """Whether a stage sends requests to a language model."""
    return hasattr(step.config, LLM_FIELD)


def request_maker(
    config: SystemConfig, step: Step, context: BuildContext
) -> Callable[[Sequence[Sample]], tuple[PreparedRequest, ...]]:
    """What makes the requests that a stage would send about samples; it sends none.

    The backend is built once, when there is something to ask.
    """

    @cache
    def prepare() -> Callable[[Sequence[Any]], Sequence[PreparedRequest]]:
        return prepare_of(step, context)

    def make(samples: Sequence[Sample]) -> tuple[PreparedRequest, ...]:
        items = _items(config, step, context, samples)
        return tuple(prepare()(items)) if items else ()

    return make


def prepare_of(
    step: Step, context: BuildContext
) -> Callable[[Sequence[Any]], Sequence[PreparedRequest]]:
    """The backend's ``prepare``: from samples or mentions to requests.

    Raises:
        UserError: If the stage asks no language model, or its prompt does not fit.
    """
    prepare = getattr(step.config.build(context), "prepare", None)
    if prepare is None:
        name = f"{step.stage.name}: {step.config.name}"
        raise UserError(f"{name} asks no language model: it has no messages to look at")
    return cast("Callable[[Sequence[Any]], Sequence[PreparedRequest]]", prepare)


def _items(
    config: SystemConfig, step: Step, context: BuildContext, samples: Sequence[Sample]
) -> list[Any]:
    """Samples or mentions as the pipeline chooses them, caught by a backend without answers."""
    caught: list[Any] = []

    def catch(items: Sequence[Any]) -> list[Issue]:
        caught.extend(items)
        issue = Issue(step.stage.name, None, NOT_ASKED, "only listened")
        return [issue] * len(items)

    runner = StageRunner(
        replace(step.stage, ask=lambda _, items: catch(items)),
        None,
        context.images,
        needs_image=step.config.needs_image,
        batch_size=max(1, len(samples)),
        gated=config.is_gated,
    )
    list(runner(samples))
    return caught


def answered(
    config: SystemConfig, step: Step, context: BuildContext, samples: Sequence[Sample]
) -> tuple[Sample, ...]:
    """The samples with a stage's answers, in memory.

    Raises:
        UserError: If the backend cannot be built.
    """
    size = max(1, len(samples)) if step.config.whole_parts else config.run.batch_size
    with closing(build_runner(step, context, batch_size=size, gated=config.is_gated)) as runner:
        return tuple(runner(samples))


def identity(request: Request) -> Hashable:
    """The same for equal requests, whatever parses their responses."""
    return text_digest(
        repr((request.messages, request.schema, request.max_tokens, request.first_tokens))
    )


Send = Callable[[Sequence[Request]], Sequence[ChatAnswer | NoAnswer]]


class CachedChat:
    """A model whose answers come from the cache; other requests go to a function.

    A request is sent once at most, even if it got no answer.

    Args:
        chat: The model.
        send: Takes the distinct requests that are not cached.
    """

    def __init__(self, chat: Chat, send: Send) -> None:
        self._chat = chat
        self._send = send
        self._sent: dict[Hashable, ChatAnswer | NoAnswer] = {}

    @property
    def model(self) -> str:
        """The model's id."""
        return self._chat.model

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """Answers in the order of the requests."""
        keys = [identity(request) for request in requests]
        answers = [
            self._sent.get(key) or self._chat.cached(request)
            for key, request in zip(keys, requests, strict=True)
        ]
        missing = {
            key: request
            for key, request, answer in zip(keys, requests, answers, strict=True)
            if answer is None
        }
        sent = self._send(list(missing.values())) if missing else ()
        new = dict(zip(missing, sent, strict=True))
        self._sent.update((key, answer) for key, answer in new.items() if answer is not _NOT_SENT)
        return [answer or new[key] for key, answer in zip(keys, answers, strict=True)]

    def cached(self, request: Request) -> ChatAnswer | None:
        """The answer from the cache, if it is there."""
        return self._chat.cached(request)

    def count(self, request: Request) -> TokenCount:
        """Tokens of the request."""
        return self._chat.count(request)


_NOT_SENT = NoAnswer(NOT_ASKED, "no answer on file; --ask sends the question")


def cached_chats(chats: Mapping[str, Chat], *, asks: bool) -> dict[str, Chat]:
    """Every model with its answers from the cache.

    Args:
        chats: The models by name.
        asks: Whether other requests are sent; if not, their answer is a ``NoAnswer`` of the kind
            ``not-asked``.
    """
    return {name: CachedChat(chat, chat.ask if asks else _refuse) for name, chat in chats.items()}


def _refuse(requests: Sequence[Request]) -> Sequence[NoAnswer]:
    return [_NOT_SENT] * len(requests)
