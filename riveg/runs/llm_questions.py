"""What a stage would ask a language model about samples, found out without asking."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from riveg.config.backend import BuildContext
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.errors import UserError
from riveg.files import text_digest
from riveg.llm.conversation import Chat, NoReply, Prepared, Question, Reply, TokenCount
from riveg.pipeline import StageRunner
from riveg.runs.building import build_runner
from riveg.types import Issue, Sample

NOT_ASKED = "not-asked"
"""``kind`` of the answer to a question that is not on file and was not sent."""


def asks_model(step: Step) -> bool:
    """Whether a stage asks a language model whose questions can be looked at."""
    return hasattr(step.config, LLM_FIELD)


def questions_of(
    config: SystemConfig, step: Step, context: BuildContext, samples: Sequence[Sample]
) -> tuple[Prepared, ...]:
    """The questions that a stage would ask about these samples, which are its input.

    Who is asked about at all is decided as in a run: nothing is asked of an image that is not
    there, or of an entity that the gate has ruled out.

    Raises:
        UserError: If the stage asks no language model, or its prompt does not fit.
    """
    items = _asked_about(config, step, context, samples)
    return tuple(prepare_of(step, context)(items)) if items else ()


def prepare_of(step: Step, context: BuildContext) -> Callable[[Sequence[Any]], Sequence[Prepared]]:
    """The backend's ``prepare``: from samples or mentions to questions.

    Raises:
        UserError: If the stage asks no language model, or its prompt does not fit.
    """
    prepare = getattr(step.config.build(context), "prepare", None)
    if prepare is None:
        name = f"{step.stage.name}: {step.config.name}"
        raise UserError(f"{name} asks no language model: it has no messages to look at")
    found: Callable[[Sequence[Any]], Sequence[Prepared]] = prepare
    return found


def _asked_about(
    config: SystemConfig, step: Step, context: BuildContext, samples: Sequence[Sample]
) -> list[Any]:
    """Samples or mentions as the pipeline chooses them: its backend only listens."""
    heard: list[Any] = []

    def listen(items: Sequence[Any]) -> list[Issue]:
        heard.extend(items)
        issue = Issue(step.stage.name, None, NOT_ASKED, "only listened")
        return [issue] * len(items)

    runner = StageRunner(
        step,
        SimpleNamespace(**{step.stage.name: listen}),
        context.images,
        batch_size=max(1, len(samples)),
        gated=any(other.stage.name == "entail" for other in config.steps),
    )
    list(runner(samples))
    return heard


def answered(
    config: SystemConfig, step: Step, context: BuildContext, samples: Sequence[Sample]
) -> tuple[Sample, ...]:
    """The samples with a stage's answers, in memory.

    Raises:
        UserError: If the backend cannot be built.
    """
    size = max(1, len(samples)) if step.config.whole_parts else config.run.batch_size
    return tuple(build_runner(config, step, context, batch_size=size)(samples))


def identity(question: Question) -> Hashable:
    """What makes two questions one, whatever parses their answers."""
    return text_digest(
        repr((question.messages, question.schema, question.max_tokens, question.first_tokens))
    )


class FiledChat:
    """A model that is asked only where somebody wants that; otherwise answers are those on file.

    A question is asked once at most, also where it got no answer.

    Args:
        chat: The model.
        asks: Whether questions without an answer on file are sent; if not, they are answered with
            a ``NoReply`` of the kind ``not-asked``.
    """

    def __init__(self, chat: Chat, *, asks: bool) -> None:
        self._chat = chat
        self._asks = asks
        self._known: dict[Hashable, Reply | NoReply] = {}

    @property
    def model(self) -> str:
        """The model's id."""
        return self._chat.model

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply | NoReply]:
        """Answers in the questions' order."""
        keys = [identity(question) for question in questions]
        waiting: dict[Hashable, Question] = {}
        for key, question in zip(keys, questions, strict=True):
            if key in self._known:
                continue
            stored = self._chat.stored(question)
            if stored is not None:
                self._known[key] = stored
            else:
                waiting[key] = question
        if self._asks and waiting:
            replies = self._chat.ask(list(waiting.values()))
            self._known.update(zip(waiting, replies, strict=True))
        return [self._known.get(key, _UNASKED) for key in keys]

    def stored(self, question: Question) -> Reply | None:
        """The answer on file, if there is one."""
        return self._chat.stored(question)

    def count(self, question: Question) -> TokenCount:
        """Tokens of the question."""
        return self._chat.count(question)


_UNASKED = NoReply(NOT_ASKED, "no answer on file; --ask sends the question")


def filed(chats: Mapping[str, Chat], *, asks: bool) -> dict[str, Chat]:
    """Every model as one that answers from file, and asks only where ``asks``."""
    return {name: FiledChat(chat, asks=asks) for name, chat in chats.items()}
