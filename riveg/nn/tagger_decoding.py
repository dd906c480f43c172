"""From a tagger's emissions to entities, with probabilities and label distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from riveg.nn.crf import LinearChainCrf
from riveg.nn.sequence_tagger import Emissions, SequenceTagger
from riveg.text.bio import OUTSIDE, bio_to_spans
from riveg.text.tag_schemes import as_bio
from riveg.types import Span


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity of a text.

    Args:
        span: Its words.
        label: Its label.
        probability: Of exactly this span with this label, in [0, 1], not calibrated.
        label_scores: The label distribution of the span.
        fine_label: The label below ``label``, ``None`` in label sets of one level.
        fine_label_scores: The distribution of fine labels.
    """

    span: Span
    label: str
    probability: float
    label_scores: Mapping[str, float]
    fine_label: str | None = None
    fine_label_scores: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class _Level:
    """The spans of one head in each text, and what they were read from."""

    crf: LinearChainCrf
    logits: Tensor
    spans: list[list[tuple[Span, str]]]

    @classmethod
    def decoded(cls, crf: LinearChainCrf, logits: Tensor, words: Tensor) -> _Level:
        paths = crf.decode(logits, words)
        spans = [bio_to_spans(as_bio([crf.tags[tag] for tag in path])) for path in paths]
        return cls(crf, logits, [list(found) for found in spans])

    def scores(self, text: int, span: Span) -> dict[str, float]:
        return label_distribution(self.logits[text, span.start : span.end], self.crf.tags)


def found_entities(
    network: SequenceTagger,
    emissions: Emissions,
    words: Tensor,
    coarse_of: Mapping[str, str],
) -> list[tuple[FoundEntity, ...]]:
    """The entities of each text.

    Where there are two levels, the coarse one says which spans are entities and of which label; of
    the fine labels below it, the one whose span is likeliest is taken.

    Args:
        network: The tagger, for its transitions.
        emissions: What it made of the texts.
        words: Which of them are words, *shape* ``(texts, words)``.
        coarse_of: Fine label -> coarse label; empty where there are no fine labels.
    """
    if emissions.fine_tags is not None and network.fine_crf is not None:
        level = _Level.decoded(network.crf, emissions.tags, words)
        fine = _Level(network.fine_crf, emissions.fine_tags, [])
        return list(_of_two_levels(level, fine, words, coarse_of))
    level = _Level.decoded(network.crf, emissions.tags, words)
    return list(_of_one_level(level, words, coarse_of))


def fine_spans(
    network: SequenceTagger, emissions: Emissions, words: Tensor
) -> list[list[tuple[Span, str]]]:
    """What the fine head of two says by itself: spans with fine labels; ``[]`` with one level."""
    if emissions.fine_tags is None or network.fine_crf is None:
        return []
    return _Level.decoded(network.fine_crf, emissions.fine_tags, words).spans


def _of_one_level(
    level: _Level, words: Tensor, coarse_of: Mapping[str, str]
) -> Iterator[tuple[FoundEntity, ...]]:
    probabilities = level.crf.span_probabilities(level.logits, words, level.spans)
    for text, spans in enumerate(level.spans):
        found = []
        for (span, label), probability in zip(spans, probabilities[text], strict=True):
            scores = level.scores(text, span)
            if not coarse_of:
                found.append(FoundEntity(span, label, probability, scores))
                continue
            found.append(
                FoundEntity(
                    span, coarse_of[label], probability, _summed(scores, coarse_of), label, scores
                )
            )
        yield tuple(found)


def _of_two_levels(
    level: _Level, fine: _Level, words: Tensor, coarse_of: Mapping[str, str]
) -> Iterator[tuple[FoundEntity, ...]]:
    below: dict[str, list[str]] = {}
    for name, coarse in coarse_of.items():
        below.setdefault(coarse, []).append(name)
    asked = [[(span, name) for span, label in one for name in below[label]] for one in level.spans]
    probabilities = level.crf.span_probabilities(level.logits, words, level.spans)
    answers = fine.crf.span_probabilities(fine.logits, words, asked)
    for text, spans in enumerate(level.spans):
        by_name = dict(zip(asked[text], answers[text], strict=True))
        found = []
        for (span, label), probability in zip(spans, probabilities[text], strict=True):
            scores = fine.scores(text, span)
            name = max(below[label], key=lambda one: (by_name[span, one], scores[one]))
            coarse_scores = level.scores(text, span)
            found.append(FoundEntity(span, label, probability, coarse_scores, name, scores))
        yield tuple(found)


def label_distribution(logits: Tensor, tags: Sequence[str]) -> dict[str, float]:
    """GEM's distribution over the labels of an entity.

    The logits of its words are averaged, those of all tags of a label added up; then softmax.

    *Shape:* ``logits (words of the entity, tags)``.
    """
    pooled = logits.detach().float().mean(dim=0).tolist()
    sums: dict[str, float] = {}
    for tag, logit in zip(tags, pooled, strict=True):
        if tag != OUTSIDE:
            sums[tag[2:]] = sums.get(tag[2:], 0.0) + logit
    shares = torch.tensor([*sums.values()], dtype=torch.float64).softmax(dim=0).tolist()
    return dict(zip(sums, shares, strict=True))


def _summed(scores: Mapping[str, float], coarse_of: Mapping[str, str]) -> dict[str, float]:
    sums: dict[str, float] = dict.fromkeys(sorted(set(coarse_of.values())), 0.0)
    for name, score in scores.items():
        sums[coarse_of[name]] += score
    return sums
