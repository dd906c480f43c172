"""Expressions for training: what the rewriter of a run has called the mentions of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.runs.reading import read_records
from riveg.training.data import AnnotatedSplit
from riveg.types import Expression, Sample, Span


@dataclass(frozen=True, slots=True)
class _Rewritten:
    """The words of a post as a run has read them, and the expression of each span."""

    tokens: tuple[str, ...]
    by_span: Mapping[Span, Expression]


@dataclass(frozen=True, slots=True)
class Expressions:
    """The expressions of runs, by post and span.

    Args:
        folders: The runs.
        posts: Their posts by id.
    """

    folders: tuple[Path, ...]
    posts: Mapping[str, _Rewritten]

    def of(self, sample_id: str, span: Span) -> str | None:
        """The expression of a mention; ``None`` where no run has one."""
        found = self.whole(sample_id, span)
        return None if found is None else found.text

    def whole(self, sample_id: str, span: Span) -> Expression | None:
        """The same with its description."""
        post = self.posts.get(sample_id)
        return None if post is None else post.by_span.get(span)

    def remark(self, source: AnnotatedSplit) -> str:
        """How many gold mentions of a split have an expression, and what the others have.

        Raises:
            UserError: If none has one, or a run is about other words under the id of a post.
        """
        runs = ", ".join(map(str, self.folders))
        lacking: list[str] = []
        mentions = 0
        for sample, gold in source.pairs:
            post = self.posts.get(sample.id)
            if post is not None and post.tokens != sample.tokens:
                raise UserError(
                    f"expressions: {runs}: {quoted(sample.id)} has other words than in "
                    f"{source.name}; name runs over this dataset"
                )
            mentions += len(gold.entities)
            lacking += [
                f"{quoted(one.text)} of {quoted(sample.id)}"
                for one in gold.entities
                if self.of(sample.id, one.span) is None
            ]
        if mentions and len(lacking) == mentions:
            raise UserError(
                f"expressions: {runs}: no mention of {source.name} has an expression in it; "
                f"`riveg run riveg --set tag=gold --until "
                f"rewrite --split {source.dataset.split}` makes them"
            )
        told = f"{source.name}: {mentions - len(lacking)} of {mentions} mentions have an expression"
        if not lacking:
            return told
        return f"{told}; of the others, for example {lacking[0]}, the mention stands for it"


def read_expressions(folders: Sequence[Path]) -> Expressions:
    """The expressions that runs have found.

    ``riveg run riveg --set tag=gold --until rewrite --split train`` makes those of all gold
    mentions: they are joined by post and span, and a tagger finds other spans.

    Raises:
        UserError: If a folder holds no finished run, a run has no expression, or two runs are
            about one post.
    """
    posts: dict[str, _Rewritten] = {}
    for folder in folders:
        count = 0
        for sample in read_records(folder):
            if sample.id in posts:
                raise UserError(
                    f"expressions: {folder} is about {quoted(sample.id)}, as another run before it"
                )
            found = _by_span(sample)
            count += len(found)
            posts[sample.id] = _Rewritten(sample.tokens, found)
        if not count:
            raise UserError(
                f"expressions: {folder}: its run has no expression; `riveg run riveg --set "
                "tag=gold --until rewrite` makes them"
            )
    return Expressions(tuple(folders), posts)


def _by_span(sample: Sample) -> dict[Span, Expression]:
    found: dict[Span, Expression] = {}
    for entity in sample.entities or ():
        if entity.expression:
            written = Expression(entity.expression, entity.description, entity.expression_source)
            found.setdefault(entity.span, written)
    return found
