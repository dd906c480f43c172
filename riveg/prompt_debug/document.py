"""What ``riveg prompt-debug`` shows, as plain values: for the terminal, a page, and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCHEMA = "riveg-prompt-debug-1"

CHANGED: Final = "changed"
SAME: Final = "same"
UNASKED: Final = "unasked"
States = Literal["changed", "same", "unasked"]
"""What the second prompt does to an answer; ``unasked``: one of the two has no answer yet."""


@dataclass(frozen=True, slots=True)
class PromptUsed:
    """A prompt file: its name, its path, and the digest of its text."""

    name: str
    path: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Said:
    """A rendered message; ``pictures`` are paths of images, with the box of a crop."""

    role: str
    text: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that a prompt is given, and where it comes from; ``used``: the prompt names it."""

    name: str
    value: str
    source: str
    used: bool = True


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The response of the model.

    Args:
        text: Its words.
        finish_reason: Why it stopped.
        path: How the response was read; ``None``: it could not be read.
        on_file: Whether it was cached before.
        fault: The kind of an Issue, if it could not be used.
        message: What was wrong.
        prompt_tokens: As the server counted them.
        answer_tokens: As the server counted them.
        latency_s: Seconds until it was there, when it was asked for.
        thoughts: What the model wrote before it, where the stage wants that.
    """

    text: str | None
    finish_reason: str | None
    path: str | None
    on_file: bool = False
    fault: str | None = None
    message: str | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    latency_s: float | None = None
    thoughts: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """The stage's answer about one entity, or about the sample if there is no id.

    ``text`` is ``None`` if it is an Issue; ``source`` names the backend that answered; ``issue``
    beside a text: a part of the answer is missing.
    """

    entity_id: str | None
    text: str | None
    source: str | None = None
    issue: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One request.

    Args:
        sample_id: The sample that it is about.
        entity_ids: The entities that it is about; ``()``: the whole sample.
        messages: The messages of this request, after those that all requests share.
        variables: Its values that are not the same for all requests.
        tokens: Tokens of the request.
        exact: Whether the model's own tokenizer counted them.
        answer: ``None``: none is cached and the request was not sent.
        parsed: The stage's answers; ``()`` without a response.
    """

    sample_id: str
    entity_ids: tuple[str, ...]
    messages: tuple[Said, ...]
    variables: tuple[Variable, ...]
    tokens: int
    exact: bool
    answer: ModelAnswer | None
    parsed: tuple[Parsed, ...]

    @property
    def other_thoughts(self) -> str | None:
        """The model's thoughts, where the stage's answer does not hold them already."""
        thoughts = self.answer.thoughts if self.answer else None
        if thoughts is None or any(thoughts in (one.text or "") for one in self.parsed):
            return None
        return thoughts


@dataclass(frozen=True, slots=True)
class Side:
    """One prompt on all samples.

    Args:
        prompt: The prompt.
        shared: The first messages, the same for all requests.
        constants: The values that are the same for all requests.
        rows: The requests.
    """

    prompt: PromptUsed
    shared: tuple[Said, ...]
    constants: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def unanswered(self) -> int:
        """Requests without an answer."""
        return sum(row.answer is None for row in self.rows)


@dataclass(frozen=True, slots=True)
class Named:
    """An entity: its id, words and label."""

    id: str
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Post:
    """A sample."""

    id: str
    text: str
    image: str | None
    entities: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """The answers about one entity, or about the sample if there is no id, under both prompts.

    Args:
        before: Under the first; ``None``: there is none, and ``faults`` says why.
        after: Under the second.
        faults: Why there is no answer, under the first and under the second.
    """

    sample_id: str
    entity_id: str | None
    state: States
    before: str | None
    after: str | None
    faults: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a later stage answers under the first prompt and under the second."""

    stage: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Consequence:
    """What the later stages answer about one entity.

    Args:
        entity_id: Its id under the first prompt, or under the second if only that has it;
            ``None``: an annotated entity that neither has.
        text: Its words.
        effects: The answers of each later stage, whether or not they differ.
        verdicts: How it compares with the gold, under each prompt; ``None`` without gold, and in it
            for a prompt without this entity.
        outcome: ``fixed``, ``broken``, ``still-wrong``, ``both-right``; ``None`` without gold.
    """

    sample_id: str
    entity_id: str | None
    text: str
    effects: tuple[Effect, ...]
    verdicts: tuple[str | None, str | None] | None = None
    outcome: str | None = None

    @property
    def differs(self) -> bool:
        """Whether a later stage gives another answer."""
        return any(effect.before != effect.after for effect in self.effects)


@dataclass(frozen=True, slots=True)
class PromptDebug:
    """Everything there is to show.

    Args:
        schema: Name and version of this document.
        system: The system's name.
        stage: The stage that is looked at.
        backend: Its backend.
        llm: The name by which the system knows the model.
        model: The model's id.
        data: Where the samples are from.
        posts: The samples.
        sides: One prompt, or two.
        compared: Both prompts' answers, changed ones first; ``()`` for one prompt.
        downstream: The later stages that were run on both.
        consequences: What they answer about the entities of samples with all answers.
        judged: Whether there is gold.
        notes: What is missing, and what a reader should know.
    """

    schema: str
    system: str
    stage: str
    backend: str
    llm: str
    model: str
    data: str
    posts: tuple[Post, ...]
    sides: tuple[Side, ...]
    compared: tuple[Compared, ...] = ()
    downstream: tuple[str, ...] = ()
    consequences: tuple[Consequence, ...] = ()
    judged: bool = False
    notes: tuple[str, ...] = ()
