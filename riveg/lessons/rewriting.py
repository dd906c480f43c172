"""``rewrite: chat``: a request about a post's names, the expressions of another run the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.lessons.questions import (
    Question,
    Unusable,
    annotated_entities,
    require_label,
    same_answer,
)
from riveg.llm.answer_text import one_line
from riveg.protocols import Mention
from riveg.stages.recordings import read_entities
from riveg.stages.rewriters.answers import Appearance, write_appearances
from riveg.stages.rewriters.chat import NOT_VISIBLE, ChatRewriter, ChatRewriterConfig
from riveg.types import Entity, Gold, Sample, Span


class Rewriting:
    """The lesson.

    Args:
        backend: The stage's.
        looks: The entities of the other run by sample and span.
        form: How the other run's expressions were made of phrases (``rewrite.form``).
        labels: Names of the types.
    """

    boxes = None
    needs_image = None

    def __init__(
        self,
        backend: ChatRewriter,
        looks: Mapping[str, Mapping[Span, Entity]],
        *,
        form: str,
        labels: Sequence[str],
    ) -> None:
        self.backend = backend
        self._looks = looks
        self._form = form
        self._labels = labels

    @classmethod
    def of(
        cls, config: ChatRewriterConfig, context: BuildContext, expressions: Sequence[Path]
    ) -> Rewriting:
        """From what a system says of the stage, and runs with expressions.

        Raises:
            UserError: If the stage cannot be built or asks in no turns, a run is not there, or two
                have one post.
        """
        if config.prompt_form == "completion":
            raise UserError(
                "rewrite.prompt_form: completion sends a text to be continued, and what is learnt "
                "are turns; say chat or turns"
            )
        looks: dict[str, dict[Span, Entity]] = {}
        for file in expressions:
            for sample_id, entities in read_entities(file, Path()).items():
                if sample_id in looks:
                    raise UserError(f"expressions: {file} has {sample_id!r:.80} a second time")
                looks[sample_id] = {one.span: one for one in entities.values()}
        names = tuple(label.name for label in context.labels)
        return cls(config.build(context), looks, form=config.form, labels=names)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        found = self.asked(sample, gold)
        for annotated in gold.entities:
            require_label(sample, annotated, self._labels)
        by_id = {entity.id: entity for entity in found.entities or ()}
        for prepared in self.backend.prepare([Mention(found, one) for one in by_id.values()]):
            try:
                text = self._text(sample, [by_id[name] for name in prepared.subject[1]])
            except Unusable as fault:
                yield fault
            else:
                yield Question(prepared.request, partial(same_answer, text), prepared.subject[1])

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        return replace(sample, entities=tuple(annotated_entities(sample, gold)))

    def recorded(self, sample: Sample, entity: Entity) -> Entity | None:
        """The same entity of the other run, which may have an expression for it."""
        return self._looks.get(sample.id, {}).get(entity.span)

    def remarks(self) -> Sequence[str]:
        return ()

    def _text(self, sample: Sample, entities: Sequence[Entity]) -> str:
        looks = {entity.id: self._look(sample, entity) for entity in entities}
        try:
            return write_appearances(looks, self.backend.answer_form, is_bare=self.backend.is_bare)
        except ValueError as error:
            raise Unusable("not-visible", str(error)) from error

    def _look(self, sample: Sample, entity: Entity) -> Appearance:
        recorded = self.recorded(sample, entity)
        if recorded is None or recorded.expression is None:
            raise Unusable("no-expression", "the runs of expressions have none of one of its names")
        if recorded.description == NOT_VISIBLE:
            return Appearance(None)
        return Appearance(self._phrase(recorded.expression, entity), recorded.description)

    def _phrase(self, expression: str, entity: Entity) -> str:
        """The model's own words in an expression."""
        mark = "\0"
        filled = self._form.format(
            expression=mark, mention=one_line(entity.text), label=entity.label
        )
        before, _, after = filled.partition(mark)
        return expression.removeprefix(before).removesuffix(after)
