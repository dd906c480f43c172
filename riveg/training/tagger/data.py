"""What the tagger learns from: tagged sentences of the task and of other corpora."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riveg.errors import UserError
from riveg.text.bio import OUTSIDE, bio_to_spans, spans_to_bio
from riveg.text.tokenise import tokenise
from riveg.training.data import AnnotatedSplit, apart
from riveg.types import Gold, Sample, Span

if TYPE_CHECKING:
    from riveg.training.tagger.settings import Corpus

UNKNOWN = "?"
"""The tag of a word that says nothing about its corpus's task."""


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Tokens with BIO tags and, where the set has them, one fine label per token (no BIO)."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    fine_types: tuple[str, ...] = ()


class MentionSwapper:
    """Replaces mentions by others of the same fine label, so that context has to be learnt too.

    Args:
        sentences: The sentences whose mentions may be inserted.
        rate: Probability for each mention to be replaced, in [0, 1].
    """

    def __init__(self, sentences: Sequence[TaggedSentence], rate: float) -> None:
        self._rate = rate
        pool: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
        for sentence in sentences:
            for span, label in bio_to_spans(sentence.tags):
                key = (label, sentence.fine_types[span.start])
                pool[key].add(sentence.tokens[span.start : span.end])
        self._pool = {key: sorted(mentions) for key, mentions in pool.items()}

    def __call__(self, sentence: TaggedSentence, chance: random.Random) -> TaggedSentence:
        """The sentence, with some mentions replaced by chance."""
        tokens: list[str] = []
        fine_types: list[str] = []
        spans: list[tuple[Span, str]] = []
        position = 0
        for span, label in bio_to_spans(sentence.tags):
            tokens += sentence.tokens[position : span.start]
            fine_types += sentence.fine_types[position : span.start]
            fine_type = sentence.fine_types[span.start]
            mention = sentence.tokens[span.start : span.end]
            if chance.random() < self._rate:
                mention = chance.choice(self._pool[label, fine_type])
            spans.append((Span(len(tokens), len(tokens) + len(mention)), label))
            tokens += mention
            fine_types += [fine_type] * len(mention)
            position = span.end
        tokens += sentence.tokens[position:]
        fine_types += sentence.fine_types[position:]
        return TaggedSentence(tuple(tokens), spans_to_bio(spans, len(tokens)), tuple(fine_types))


def tagged_sentences(split: AnnotatedSplit, labels: Sequence[str]) -> list[TaggedSentence]:
    """The sentences of the task.

    Raises:
        UserError: If a label is not among ``labels``.
    """
    return [_tagged(sample, gold, split, labels) for sample, gold in split.pairs]


def _tagged(
    sample: Sample, gold: Gold, split: AnnotatedSplit, labels: Sequence[str]
) -> TaggedSentence:
    fine = [OUTSIDE] * len(sample.tokens)
    entities = apart(gold.entities)
    for entity in entities:
        if entity.label not in labels:
            raise UserError(f"{split.name}: label {entity.label!r} is not among `labels`")
        span = entity.span
        fine[span.start : span.end] = [entity.fine_label or entity.label] * (span.end - span.start)
    spans = [(entity.span, entity.label) for entity in entities]
    return TaggedSentence(sample.tokens, spans_to_bio(spans, len(sample.tokens)), tuple(fine))


@dataclass(frozen=True, slots=True)
class TaggedCorpus:
    """Sentences of another corpus, with its own labels.

    Args:
        name: The dataset's.
        labels: Its labels.
        sentences: Those to learn from.
        sources: What a card says of its splits.
        credit: What a card says of its makers and its licence.
    """

    name: str
    labels: tuple[str, ...]
    sentences: tuple[TaggedSentence, ...]
    sources: tuple[str, ...]
    credit: str


def tagged_corpus(
    corpus: Corpus, splits: Sequence[AnnotatedSplit], chance: random.Random
) -> TaggedCorpus:
    """The sentences of another corpus, cut into words as posts are.

    Args:
        corpus: What is asked for.
        splits: Its splits.
        chance: Chooses the sentences without an entity.

    Raises:
        UserError: If they have no entity.
    """
    pairs = [pair for split in splits for pair in split.pairs]
    labels = sorted({entity.label for _, gold in pairs for entity in gold.entities})
    if not labels:
        raise UserError(f"corpora: {corpus.data} has no entity in {', '.join(corpus.splits)}")
    return TaggedCorpus(
        splits[0].dataset.name,
        tuple(labels),
        tuple(
            recut(sample.tokens, [(entity.span, entity.label) for entity in apart(gold.entities)])
            for sample, gold in pairs
            if sample.tokens and (gold.entities or chance.random() < corpus.plain_share)
        ),
        tuple(split.described() for split in splits),
        corpus.credit,
    )


def recut(tokens: Sequence[str], spans: Sequence[tuple[Span, str]]) -> TaggedSentence:
    """A sentence cut as :func:`tokenise` does; the tags of names behind ``@`` are unknown.

    (Corpora differ in whether such a name is an entity: some tag all of them, others none.)
    Marks that were cut off an entity's first or last word, such as ``#``, are outside it.

    >>> sentence = recut(["@ann_b", "in", "#Rome!"], [(Span(0, 1), "PER"), (Span(2, 3), "LOC")])
    >>> " ".join(sentence.tokens)
    '@ ann _ b in # Rome !'
    >>> " ".join(sentence.tags)
    '? ? ? ? O O B-LOC O'
    """
    parts = [tokenise(token)[0] for token in tokens]
    words = tuple(word for part in parts for word in part)
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    moved = (
        (_trimmed(words, starts[span.start], starts[span.end]), label) for span, label in spans
    )
    tags = list(spans_to_bio([(span, label) for span, label in moved if span], len(words)))
    for number, part in enumerate(parts):
        if part[:1] == ("@",) or (number and parts[number - 1] == ("@",)):
            tags[starts[number] : starts[number + 1]] = [UNKNOWN] * len(part)
    return TaggedSentence(words, tuple(tags))


def _trimmed(words: Sequence[str], start: int, end: int) -> Span | None:
    lettered = [at for at in range(start, end) if any(map(str.isalnum, words[at]))]
    return Span(lettered[0], lettered[-1] + 1) if lettered else None


def fine_types_of(sentences: Sequence[TaggedSentence]) -> tuple[str, ...]:
    """All fine labels, sorted, "no entity" first; empty where the set has only one column."""
    names = {name for sentence in sentences for name in sentence.fine_types} - {OUTSIDE}
    return (OUTSIDE, *sorted(names)) if names else ()
