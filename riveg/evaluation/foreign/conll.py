"""Predicted tags in CoNLL files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign.lines import counted
from riveg.evaluation.foreign.predictions import ForeignFile, ForeignPredictions
from riveg.formats.conll import ConllSentence, read_conll
from riveg.text.bio import OUTSIDE, bio_to_spans
from riveg.text.spans import joined_tokens

TAG = re.compile(r"O|X|[BIES]-.+")
KNOWLEDGE_MARK = "<EOS>"
"""RiVEG's tagger reads the knowledge of a language model behind this token."""

_AS_BIO = {"S": "B", "E": "I"}


def read_predicted_conll(path: Path) -> ForeignFile:
    """Entities by their tokens from the last column (BIO or BIOES); other columns are not read.

    Samples are matched by order, unless every sentence has an ``IMGID:`` line.

    Raises:
        UserError: If a line is malformed, its last column is no tag, or only some sentences have an
            id.
    """
    sentences = tuple(read_conll(path))
    _require_one_way(sentences, path)
    by_order = any(sentence.image_id is None for sentence in sentences)
    samples = []
    behind = 0
    for sentence in sentences:
        found = _entities(sentence, path)
        own = tuple(entity for entity in found if entity is not None)
        behind += len(found) - len(own)
        samples.append(ForeignPredictions(sentence.image_id, own, sentence.line))
    notes = ["it holds tags only: nothing can be right in EEG and GMNER"]
    if by_order:
        notes.append("its sentences have no ids: they are matched to the samples by order")
    if behind:
        noun = counted(behind, "entity was", "entities were")
        notes.append(f"{noun} predicted behind {KNOWLEDGE_MARK}, outside of the post: left out")
    return ForeignFile("conll", tuple(samples), "tags", by_order, notes=tuple(notes))


def _entities(sentence: ConllSentence, path: Path) -> list[PredictedEntity | None]:
    """The predicted entities; ``None`` for one that is not within the sample."""
    tokens = sentence.tokens
    tags = sentence.columns[-1] if sentence.columns else ()
    first = sentence.line + (sentence.image_id is not None)
    for number, tag in enumerate(tags, start=first):
        if not TAG.fullmatch(tag):
            raise UserError(
                f"{path}:{number}: expected a tag such as O, B-PER, I-PER, E-PER or S-PER in the "
                f"last column, found {quoted(tag)}"
            )
    end = tokens.index(KNOWLEDGE_MARK) if KNOWLEDGE_MARK in tokens else len(tokens)
    inside = bio_to_spans(as_bio(tags[:end]))
    outside = bio_to_spans(as_bio(tags[end:]))
    return [
        *(PredictedEntity(joined_tokens(tokens, span), label, span) for span, label in inside),
        *(None for _ in outside),
    ]


def as_bio(tags: Sequence[str]) -> list[str]:
    """BIOES tags as BIO; what is BIO already stays, and ``X`` is outside.

    >>> as_bio(["S-LOC", "B-PER", "E-PER", "X"])
    ['B-LOC', 'B-PER', 'I-PER', 'O']
    """
    return [
        OUTSIDE if tag in {OUTSIDE, "X"} else _AS_BIO.get(tag[0], tag[0]) + tag[1:] for tag in tags
    ]


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
