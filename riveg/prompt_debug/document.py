"""What ``riveg prompt-debug`` finds out, as plain values: for the terminal, a page, and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCHEMA = "riveg-prompt-debug-1"

CHANGED: Final = "changed"
SAME: Final = "same"
UNASKED: Final = "unasked"
States = Literal["changed", "same", "unasked"]
"""What the second prompt does to an answer; ``unasked``: one of the two is not on file."""


@dataclass(frozen=True, slots=True)
class PromptUsed:
    """A prompt file: its name, where it lies, and the digest of its text."""

    name: str
    path: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Said:
    """A rendered message; ``images`` are paths, with the part shown where it is not all."""

    role: str
    text: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that a prompt was given, and where it came from; ``used``: the prompt names it."""

    name: str
    value: str
    source: str
    used: bool = True


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the model said.

    Args:
        text: Its words.
        finish_reason: Why it stopped.
        path: How the answer came about; ``None`` where it could not be read.
        on_file: Whether it was there before and nobody was asked now.
        fault: Why it could not be used, as an Issue's kind; ``None`` where it could.
        message: What was wrong.
        prompt_tokens: As the server counted them.
        answer_tokens: As the server counted them.
        latency_s: Seconds until it was there, when it was asked for.
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


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the stage made of an answer for one entity, or for the post where there is no id.

    ``text`` is ``None`` where it made an Issue of it; ``source`` says who answered.
    """

    entity_id: str | None
    text: str | None
    source: str | None = None
    issue: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One question.

    Args:
        sample_id: The post asked about.
        entity_ids: Its entities asked about; ``()`` where it is the whole post.
        messages: What is sent for this question alone, after what all share.
        variables: Values that made it, and that are not the same for all questions.
        tokens: Tokens of the question.
        exact: Whether the model's own tokenizer counted them.
        answer: ``None`` where none is on file and none was asked for.
        parsed: What became of the answer; ``()`` without one.
    """

    sample_id: str
    entity_ids: tuple[str, ...]
    messages: tuple[Said, ...]
    variables: tuple[Variable, ...]
    tokens: int
    exact: bool
    answer: ModelAnswer | None
    parsed: tuple[Parsed, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One prompt over the posts.

    Args:
        prompt: The prompt.
        shared: The first messages, the same for all questions.
        constants: The values that are the same for all questions.
        rows: The questions.
    """

    prompt: PromptUsed
    shared: tuple[Said, ...]
    constants: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def unanswered(self) -> int:
        """Questions without an answer on file."""
        return sum(row.answer is None for row in self.rows)


@dataclass(frozen=True, slots=True)
class Named:
    """An entity: its id, words and type."""

    id: str
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Post:
    """A post that is asked about."""

    id: str
    text: str
    image: str | None
    entities: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """The answers about one entity, or one post where there is no id, under both prompts.

    Args:
        before: Under the first; ``None`` where there is none, and ``fault`` says why.
        after: Under the second.
        faults: Why there is none, of the first and of the second.
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
    """What becomes of one entity downstream.

    Args:
        entity_id: Its id under the first prompt, or under the second where only that has it;
            ``None``: an annotated entity that neither has.
        text: Its words.
        effects: What each later stage says, whether or not it differs.
        verdicts: What it is beside the gold, under each prompt; ``None`` without gold, and within
            it where that prompt has no such entity.
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
        """Whether a later stage answers otherwise."""
        return any(effect.before != effect.after for effect in self.effects)


@dataclass(frozen=True, slots=True)
class PromptDebug:
    """Everything there is to show.

    Args:
        schema: Name and version of this document.
        system: The system's name.
        stage: The stage looked at.
        backend: Its backend.
        llm: The name by which the system knows the model.
        model: The model's id.
        data: Where the posts are from.
        posts: The posts.
        sides: One prompt, or two.
        compared: Both prompts' answers, changed ones first; ``()`` for one prompt.
        downstream: The later stages that were run on both.
        consequences: What became of the entities there; only of posts with all answers on file.
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
