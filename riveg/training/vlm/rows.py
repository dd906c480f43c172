"""Annotated posts as rows of a vision-language model: what it is asked, and what it should say."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from torch import Tensor

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.formats.reasoning import read_reasoning
from riveg.lessons.questions import Lesson, Question, Unusable, opened
from riveg.llm.images import ImageEncoder
from riveg.protocols import ImageSource
from riveg.runs.progress import Progress
from riveg.stages.extractors.chat import shape_issue
from riveg.training.data import AnnotatedSplit
from riveg.training.vlm.inputs import Prompt, VlmInputs
from riveg.types import Sample

_SHOWN = 3
"""Posts that a remark names."""


@dataclass(frozen=True, slots=True)
class VlmRow:
    """A question with its right answer.

    Args:
        question: Both.
        length: Tokens of both together, where no box is moved.
    """

    question: Question
    length: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Posts with the same fault.

    Args:
        reason: What is wrong with the first of them.
        posts: Their ids; one with several questions may come more than once.
    """

    reason: str
    posts: list[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """What is learnt from, and what of the data is not.

    Args:
        rows: In file order.
        left_out: By the kind of what is wrong with them, posts that nothing is learnt from.
    """

    rows: tuple[VlmRow, ...]
    left_out: Mapping[str, LeftOut]

    def remarks(self) -> Iterator[str]:
        """What a user should know, one line each."""
        longest = max((row.length for row in self.rows), default=0)
        yield f"{len(self.rows)} questions to learn from, the longest with {longest} tokens"
        for kind, found in self.left_out.items():
            named = ", ".join(map(quoted, found.posts[:_SHOWN]))
            more = ", ..." if len(found.posts) > _SHOWN else ""
            yield f"{kind}: {len(found.posts)} left out ({named}{more}): {found.reason}"


class RowMaker:
    """Makes rows of annotated posts.

    Args:
        lesson: What is asked.
        inputs: Counts tokens.
        encoder: Makes images as they are sent.
        max_length: Of a row, in tokens.
    """

    def __init__(
        self, lesson: Lesson, inputs: VlmInputs, encoder: ImageEncoder, *, max_length: int
    ) -> None:
        self._lesson = lesson
        self._inputs = inputs
        self._encoder = encoder
        self._max_length = max_length

    def rows(self, split: AnnotatedSplit, images: ImageSource, progress: Progress) -> Rows:
        """The rows of a split; what cannot be learnt is named.

        Raises:
            UserError: If a type is none of the labels.
        """
        started = time.monotonic()
        found: list[VlmRow] = []
        left_out: dict[str, LeftOut] = {}
        progress.begin("rows", len(split.pairs))
        for sample, gold in split.pairs:
            with _leaving_out(sample, left_out):
                seen = opened(sample, images, needs_image=self._lesson.needs_image)
                for question in self._lesson.questions(seen, gold):
                    with _leaving_out(sample, left_out):
                        if isinstance(question, Unusable):
                            raise question
                        found.append(self._row(question))
            progress.advance(1, 0)
        progress.end(time.monotonic() - started)
        return Rows(tuple(found), left_out)

    def batch(self, rows: Sequence[VlmRow], visit: str | None) -> dict[str, Tensor]:
        """The tensors of some rows; ``visit``: as in :class:`Question`."""
        answers = [self._inputs.answer(row.question.answer(visit)) for row in rows]
        return self._inputs.batch([self._prompt(row.question) for row in rows], answers)

    def _prompt(self, question: Question) -> Prompt:
        sent = self._encoder.encode(question.request.images)
        images = [sent[image] for image in question.request.images]
        return self._inputs.prompt(question.request.messages, images)

    def _row(self, question: Question) -> VlmRow:
        answer = len(self._inputs.answer(question.answer(None)))
        request = question.request
        sizes = [self._encoder.size(image) for image in request.images]
        for image, sent in zip(request.images, sizes, strict=True):
            whole = image.image.size
            if (issue := shape_issue(whole or sent, sent)) is not None:
                raise Unusable(issue.kind, issue.message)
        length = len(self._inputs.tokens(request.messages, sizes)) + answer
        if length > self._max_length:
            raise Unusable(
                "too-long", f"{length} tokens, more than max_length ({self._max_length})"
            )
        if answer > (most := request.max_tokens):
            raise Unusable("long-answer", f"{answer} tokens, more than max_tokens ({most})")
        return VlmRow(question, length)


@contextmanager
def _leaving_out(sample: Sample, left_out: dict[str, LeftOut]) -> Iterator[None]:
    """Notes the post where nothing can be learnt from what the block makes."""
    try:
        yield
    except Unusable as fault:
        left_out.setdefault(fault.kind, LeftOut(str(fault), [])).posts.append(sample.id)


def thoughts_of(split: AnnotatedSplit, files: Sequence[Path]) -> tuple[dict[str, str], list[str]]:
    """The thoughts about the posts of a split, by their ids, and what to know of them.

    Posts are joined by id, or by the name of their image, as E2E-GMNER's files have it.

    Raises:
        UserError: If a file cannot be read, or two lines have different thoughts about one post.
    """
    if not files:
        return {}, []
    ids = {sample.id for sample, _ in split.pairs}
    by_image: dict[str, list[str]] = {}
    for sample, _ in split.pairs:
        if sample.image is not None:
            by_image.setdefault(PurePosixPath(sample.image.path).stem, []).append(sample.id)
    found: dict[str, str] = {}
    unknown = 0
    for path in files:
        for line in read_reasoning(path):
            posts = (
                [line.sample_id] if line.sample_id in ids else by_image.get(line.image_stem or "")
            )
            unknown += not posts
            for post in posts or ():
                assert post is not None
                if line.thoughts and found.setdefault(post, line.thoughts) != line.thoughts:
                    raise UserError(
                        f"{line.place}: other reasoning about {quoted(post)} than before; give one "
                        "thought a post"
                    )
    lacking = len(split.pairs) - len(found)
    remarks = [f"{split.name}: {len(found)} posts have reasoning, {lacking} learn an empty thought"]
    if unknown:
        remarks.append(f"{unknown} lines of reasoning are about no post of {split.name}")
    if not found:
        raise UserError(
            f"reasoning: no line of {', '.join(map(str, files))} is about a post of {split.name}; "
            "lines are joined by id, or by the name of the picture"
        )
    return found, remarks
