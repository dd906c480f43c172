"""Predicted tags in CoNLL files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign.lines import counted
from riveg.evaluation.foreign.predictions import ForeignFile, ForeignPredictions
from riveg.formats.conll import ConllSentence, column_schemes
from riveg.formats.knowledge import KNOWLEDGE_MARK
from riveg.formats.predicted_tags import read_predicted_tags
from riveg.text.spans import joined_tokens
from riveg.text.tag_schemes import TagScheme, scheme_named
from riveg.types import Span


def read_predicted_conll(path: Path, scheme: str | None = None) -> ForeignFile:
    """Entities by their tokens from the last column; other columns are not read.

    Samples are matched by order, unless every sentence has an ``IMGID:`` line.

    Args:
        path: The file.
        scheme: The name of its tag scheme; ``None``: the one that all of its tags have.

    Raises:
        UserError: If a line is malformed, the last column is no tag, its tags are of two schemes or
            not of the named one, or only some sentences have an id.
    """
    sentences = tuple(read_predicted_tags(path))
    _require_one_way(sentences, path)
    named = None if scheme is None else scheme_named(scheme)
    (found,) = column_schemes(sentences, path, (0,), named=named)
    by_order = any(sentence.image_id is None for sentence in sentences)
    samples = []
    behind = irregular = 0
    has_b = False
    for sentence in sentences:
        end = _end(sentence.tokens)
        (tags,) = sentence.columns
        samples.append(_predictions(sentence, found.spans(tags[:end]), end))
        behind += len(found.spans(tags[end:]))
        irregular += sum(1 for _ in found.irregular(tags[:end]))
        has_b |= any(tag.startswith("B-") for tag in tags)
    notes = [
        *_irregular_notes(found, irregular, has_b=has_b),
        *_notes(by_order=by_order, behind=behind),
    ]
    return ForeignFile("conll", tuple(samples), "tags", by_order, notes=tuple(notes))


def _end(tokens: Sequence[str]) -> int:
    """How many of the tokens are the post's."""
    return tokens.index(KNOWLEDGE_MARK) if KNOWLEDGE_MARK in tokens else len(tokens)


def _predictions(
    sentence: ConllSentence, spans: Sequence[tuple[Span, str]], end: int
) -> ForeignPredictions:
    entities = tuple(
        PredictedEntity(joined_tokens(sentence.tokens, span), label, span) for span, label in spans
    )
    return ForeignPredictions(sentence.image_id, entities, sentence.line, end)


def _irregular_notes(scheme: TagScheme, irregular: int, *, has_b: bool) -> Iterator[str]:
    if scheme.name != "bio":
        yield f"its tags are read as {scheme.name.upper()}"
    if irregular:
        noun = counted(irregular, "tag is", "tags are")
        hint = "" if has_b else " (if they are IOB1: --scheme iob1)"
        yield f"{noun} not where {scheme.name.upper()} has them; each opens or ends an entity{hint}"


def _notes(*, by_order: bool, behind: int) -> Iterator[str]:
    if by_order:
        yield "its sentences have no ids: they are matched to the samples by order"
    if behind:
        noun = counted(behind, "entity was", "entities were")
        yield f"{noun} predicted behind {KNOWLEDGE_MARK}, outside of the post: left out"


def _require_one_way(sentences: Sequence[ConllSentence], path: Path) -> None:
    places: dict[str, int] = {}
    for sentence in sentences:
        if (sentence.image_id is None) != (sentences[0].image_id is None):
            raise UserError(
                f"{path}:{sentence.line}: either every sentence has an IMGID: line or none"
            )
        if sentence.image_id is None:
            continue
        first = places.setdefault(sentence.image_id, sentence.line)
        if first != sentence.line:
            raise UserError(
                f"{path}:{sentence.line}: the id {quoted(sentence.image_id)} stands in line "
                f"{first} too"
            )
