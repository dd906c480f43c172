"""Entities from a file: CoNLL predictions, or the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.formats.conll import ConllSentence, column_schemes
from riveg.formats.predicted_tags import read_predicted_tags
from riveg.protocols import AnswerOrIssue, Tagger
from riveg.stages.recordings import (
    add_once,
    not_recorded,
    read_recorded,
    recorded_digest,
    recorded_file,
    token_mismatch,
)
from riveg.text.spans import joined_tokens
from riveg.text.tag_schemes import TagScheme
from riveg.types import Entity, Sample


@dataclass(frozen=True, slots=True)
class Tagging:
    """Tokens and their entities; ``None`` where the run has no answer."""

    tokens: tuple[str, ...]
    entities: tuple[Entity, ...] | None


class RecordedTaggerConfig(BackendConfig[Tagger]):
    """``file``: records (``.jsonl`` or a run folder), else CoNLL with an ``IMGID:`` line each.

    ``column``: which column of tags, counted from 0 behind the tokens; -1 is the last, where most
    taggers write their predictions. Their scheme, such as BIO, IOB1, BIOES or BILOU, is recognised.
    """

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "entities from CoNLL predictions or the records of another run"

    file: Path
    column: int = -1

    def build(self, context: BuildContext) -> RecordedTagger:
        """Reads the file.

        Raises:
            UserError: If it is missing or malformed, a sentence has no id, an id comes twice, or
                its tags are of two schemes.
        """
        path = recorded_file(self.file, context.base)
        if path.suffix == ".jsonl":
            taggings = read_recorded(path, _from_record)
        else:
            taggings = _read_conll(path, self.column)
        return RecordedTagger(taggings)

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedTagger:
    """Looks entities up by sample id; the tokens must be the sample's."""

    def __init__(self, taggings: Mapping[str, Tagging]) -> None:
        self._taggings = taggings

    def tag(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """The recorded entities."""
        return [self._tag(sample) for sample in samples]

    def _tag(self, sample: Sample) -> AnswerOrIssue[tuple[Entity, ...]]:
        tagging = self._taggings.get(sample.id)
        if tagging is None or tagging.entities is None:
            return not_recorded("tag", None, f"no entities for sample {sample.id!r}")
        if tagging.tokens != sample.tokens:
            return token_mismatch("tag", sample, tagging.tokens)
        return tagging.entities


def _from_record(sample: Sample) -> Tagging:
    if sample.entities is None:
        return Tagging(sample.tokens, None)
    entities = tuple(
        Entity(
            one.id,
            one.text,
            one.label,
            one.span,
            one.score,
            one.label_scores,
            one.fine_label,
            one.fine_label_scores,
        )
        for one in sample.entities
    )
    return Tagging(sample.tokens, entities)


def _read_conll(path: Path, column: int) -> dict[str, Tagging]:
    taggings: dict[str, Tagging] = {}
    sentences = [*read_predicted_tags(path, column)]
    (scheme,) = column_schemes(sentences, path, (0,))
    for sentence in sentences:
        if sentence.image_id is None:
            raise UserError(
                f"{path}:{sentence.line}: a sentence without its `IMGID:` line; predictions are "
                "joined by id, never by position"
            )
        where = f"{path}:{sentence.line}"
        add_once(taggings, sentence.image_id, _from_sentence(sentence, scheme), where)
    return taggings


def _from_sentence(sentence: ConllSentence, scheme: TagScheme) -> Tagging:
    entities = tuple(
        Entity(f"e{number}", joined_tokens(sentence.tokens, span), label, span)
        for number, (span, label) in enumerate(scheme.spans(sentence.columns[0]))
    )
    return Tagging(sentence.tokens, entities)
