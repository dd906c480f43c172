"""What the small entailer looks at: named features of a mention, its text and its caption.

Training and inference share this file, so a feature cannot mean two things. A feature's name is
``group:detail`` or ``LABEL/group:detail`` where it is crossed with the label; its value is 1 unless
said otherwise.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from riveg.nn.word_shapes import SHAPES, word_shape
from riveg.types import Entity, Sample, Span

LABELS = ("PER", "ORG", "LOC", "OTHER")
"""The labels of Twitter-GMNER; any other label is folded into one of them."""

_ALIASES = {
    "PERSON": "PER",
    "ORGANIZATION": "ORG",
    "ORGANISATION": "ORG",
    "LOCATION": "LOC",
    "GPE": "LOC",
    "BUILDING": "LOC",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SINGULAR = _words(
    "man woman boy girl person guy lady player singer actor actress politician president rapper "
    "soldier officer dancer musician athlete footballer goalkeeper coach wrestler boxer bride "
    "groom child baby kid star model host fighter quarterback pitcher driver"
)
_PLURAL = _words(
    "men women boys girls people persons guys ladies players singers actors actresses politicians "
    "soldiers officers dancers musicians athletes footballers fans children kids stars models "
    "couple group team band crowd members cast wrestlers boxers students"
)
_TWO = frozenset({"two", "couple", "both", "2"})
_WORD = re.compile(r"[\w']+|[^\w\s]")
_STOP = _words("a an the of in on at to is are with and for by his her it its")

_REACH = 64
"""How many tokens on either side of a mention are looked at."""

_PRIOR_USES = 2.0
"""How many uses at the label's own rate are added to what train has seen."""

Counts = Mapping[str, tuple[int, int]]
"""A mention's or word's uses in train: how many, and how many of them groundable."""


@dataclass(frozen=True, slots=True)
class NameCounts:
    """How often train used a mention or one of its words, and how often the image showed it.

    ``rates`` are the groundable rates by label, to which a rare mention falls back.
    """

    mentions: Counts
    words: Counts
    rates: Mapping[str, float]


def known_label(label: str) -> str:
    """The Twitter-GMNER label nearest to ``label``; ``OTHER`` holds whatever has no better place.

    >>> [known_label(name) for name in ("PER", "person", "politician", "MISC")]
    ['PER', 'PER', 'OTHER', 'OTHER']
    """
    upper = label.upper()
    return upper if upper in LABELS else _ALIASES.get(upper, "OTHER")


def caption_words(caption: str) -> list[str]:
    """Lower-case words and signs of a caption."""
    return _WORD.findall(caption.lower())


def count_people(words: Sequence[str]) -> int:
    """How many people a caption speaks of, at most 3 (= three or more).

    >>> [count_people(caption_words(text)) for text in ("a man and a boy", "two men", "a logo")]
    [2, 2, 0]
    """
    singles = sum(word in _SINGULAR for word in words)
    plural = any(word in _PLURAL for word in words)
    if plural:
        return 2 if singles == 0 and _TWO & set(words) else 3
    return min(singles, 3)


def mention_features(
    sample: Sample, entity: Entity, label: str, name_counts: NameCounts, *, captioned: bool
) -> dict[str, float]:
    """All features of one mention taken as a ``label``.

    Args:
        sample: The sample with all its entities.
        entity: One of them.
        label: What it is taken for, one of :data:`LABELS`.
        name_counts: What train says of its name.
        captioned: Whether the caption is looked at; it must then be there.
    """
    values = {"bias:all": 1.0, f"{label}/bias:all": 1.0}
    plain = [
        *_own_words(sample, entity),
        *_company(sample, entity, label),
        *_place(sample, entity),
        *_surroundings(sample, entity),
    ]
    crossed = [*plain, *(f"text:{word}" for word in _text_words(sample, entity))]
    by_name = dict(_name_features(sample, entity, label, name_counts))
    if captioned:
        crossed += _caption(sample, entity, label, uses=_uses(sample, entity, name_counts))
    values |= dict.fromkeys(plain, 1.0) | by_name
    values |= {f"{label}/{name}": 1.0 for name in crossed}
    values |= {f"{label}/{name}": value for name, value in by_name.items()}
    return values


class NearbyContext:
    """One sample as each of its mentions sees it: in a long text only what is near counts.

    Samples of train have 40 tokens at most, and a mention must not cost as much as the whole text.
    """

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._entities = sorted(sample.entities or (), key=lambda one: one.span.start)
        self._starts = [one.span.start for one in self._entities]

    def of(self, entity: Entity) -> tuple[Sample, Entity]:
        """The tokens and entities near a mention as a sample of their own, with the mention."""
        sample = self._sample
        if len(sample.tokens) <= 2 * _REACH:
            return sample, entity
        first = max(entity.span.start - _REACH, 0)
        last = min(entity.span.end + _REACH, len(sample.tokens))
        inside = self._entities[bisect_left(self._starts, first) : bisect_left(self._starts, last)]
        near = tuple(_moved(one, first) for one in inside if one.span.end <= last)
        return replace(sample, tokens=sample.tokens[first:last], entities=near), _moved(
            entity, first
        )


def _moved(entity: Entity, first: int) -> Entity:
    return replace(entity, span=Span(entity.span.start - first, entity.span.end - first))


def _lower(tokens: Sequence[str]) -> list[str]:
    return [token.lower() for token in tokens]


def mention_words(sample: Sample, entity: Entity) -> list[str]:
    """The entity's tokens in lower case."""
    return _lower(sample.tokens[entity.span.start : entity.span.end])


def _own_words(sample: Sample, entity: Entity) -> Iterator[str]:
    words = sample.tokens[entity.span.start : entity.span.end]
    yield f"length:{min(len(words), 4)}"
    yield "shape:" + "-".join(SHAPES[word_shape(word)] for word in words[:3])
    yield f"mention:{' '.join(_lower(words))}"
    yield from (f"own:{word}" for word in dict.fromkeys(_lower(words)))


def _company(sample: Sample, entity: Entity, label: str) -> Iterator[str]:
    entities = sorted(sample.entities or (entity,), key=lambda one: one.span.start)
    labels = [known_label(one.label) for one in entities]
    order = next((i for i, one in enumerate(entities) if one.id == entity.id), 0)
    same = labels.count(label)
    rank = labels[:order].count(label)
    yield f"order:{min(order, 4)}"
    yield f"count:{min(len(labels), 6)}"
    yield f"same:{min(same, 5)}"
    yield f"rank-same:{min(rank, 3)}-{min(same, 4)}"
    for other, number in Counter(labels[:order] + labels[order + 1 :]).items():
        yield f"other:{other}"
        yield f"other:{other}-{min(number, 3)}"
    if order:
        yield f"previous:{labels[order - 1]}"
    if order + 1 < len(labels):
        yield f"next:{labels[order + 1]}"
    own = mention_words(sample, entity)
    if sum(mention_words(sample, one) == own for one in entities) > 1:
        yield "repeated:yes"


def _place(sample: Sample, entity: Entity) -> Iterator[str]:
    tokens = sample.tokens
    yield f"start:{min(entity.span.start, 12) // 2}"
    yield f"from-end:{min(len(tokens) - entity.span.end, 12) // 2}"
    yield f"tokens:{min(len(tokens), 40) // 5}"
    yield f"hashtags:{min(sum(token == '#' for token in tokens), 4)}"
    yield f"handles:{min(sum(token == '@' for token in tokens), 4)}"
    if tokens and tokens[0] == "RT":
        yield "retweet:yes"
    if any(token.startswith(("http", "t.co", "co/")) for token in tokens):
        yield "link:yes"
    if "?" in tokens:
        yield "question:yes"
    if "!" in tokens:
        yield "exclamation:yes"
    if any(token in {'"', "“", "”"} for token in tokens):
        yield "quotes:yes"


def _surroundings(sample: Sample, entity: Entity) -> Iterator[str]:
    tokens = ["<start>", "<start>", *_lower(sample.tokens), "<end>", "<end>"]
    start, end = entity.span.start + 2, entity.span.end + 2
    yield f"left:{tokens[start - 1]}"
    yield f"right:{tokens[end]}"
    yield f"left2:{tokens[start - 2]} {tokens[start - 1]}"
    yield f"right2:{tokens[end]} {tokens[end + 1]}"
    yield f"near:{tokens[start - 2]}"
    yield f"near:{tokens[end + 1]}"
    yield f"around:{tokens[start - 1]} {tokens[end]}"
    yield f"left-shape:{_shape(sample, entity.span.start - 1)}"
    yield f"right-shape:{_shape(sample, entity.span.end)}"


def _shape(sample: Sample, position: int) -> str:
    inside = 0 <= position < len(sample.tokens)
    return SHAPES[word_shape(sample.tokens[position])] if inside else "edge"


def _text_words(sample: Sample, entity: Entity) -> Iterator[str]:
    span = entity.span
    yield from dict.fromkeys(_lower([*sample.tokens[: span.start], *sample.tokens[span.end :]]))


def _caption(sample: Sample, entity: Entity, label: str, *, uses: str) -> Iterator[str]:
    words = caption_words(sample.caption or "")
    seen = set(words)
    people = count_people(words)
    yield from (f"caption:{word}" for word in dict.fromkeys(words))
    yield from (f"caption2:{a} {b}" for a, b in pairwise(words))
    yield f"caption-length:{min(len(words), 24) // 3}"
    yield f"people:{people}"
    yield f"people-fame:{people}-{uses}"
    yield from _caption_company(sample, entity, label, people)
    yield from _caption_names(sample, entity, seen, people)


def _caption_company(sample: Sample, entity: Entity, label: str, people: int) -> Iterator[str]:
    entities = sample.entities or (entity,)
    same = [one for one in entities if known_label(one.label) == label]
    rank = sum(one.span.start < entity.span.start for one in same)
    persons = sum(known_label(one.label) == "PER" for one in entities)
    yield f"people-persons:{people}-{min(persons, 4)}"
    yield f"people-rank:{people}-{min(rank, 3)}-{min(len(same), 4)}"


def _caption_names(sample: Sample, entity: Entity, seen: set[str], people: int) -> Iterator[str]:
    own = set(mention_words(sample, entity))
    others = {word for one in sample.entities or () for word in mention_words(sample, one)} - own
    named = len(own & seen - _STOP)
    others_named = len(others & seen - _STOP)
    yield f"named:{min(named, 2)}"
    yield f"named-others:{min(named, 1)}-{min(others_named, 1)}"
    yield f"people-named:{people}-{min(named, 1)}"
    if own <= seen:
        yield "named-whole:yes"
    yield f"shared:{min(len(set(_lower(sample.tokens)) & seen - _STOP), 4)}"


def _name_features(
    sample: Sample, entity: Entity, label: str, name_counts: NameCounts
) -> Iterator[tuple[str, float]]:
    rate = name_counts.rates[label]
    words = mention_words(sample, entity)
    by_word = [_excess(name_counts.words, word, rate) for word in words]
    yield f"uses:{_uses(sample, entity, name_counts)}", 1.0
    yield "fame:mention", _excess(name_counts.mentions, " ".join(words), rate)
    yield "fame:mean", sum(by_word) / len(by_word)
    yield "fame:least", min(by_word)
    yield "fame:most", max(by_word)


def _excess(counts: Counts, key: str, rate: float) -> float:
    uses, shown = counts.get(key, (0, 0))
    return (shown + _PRIOR_USES * rate) / (uses + _PRIOR_USES) - rate


def _uses(sample: Sample, entity: Entity, name_counts: NameCounts) -> str:
    uses, _ = name_counts.mentions.get(" ".join(mention_words(sample, entity)), (0, 0))
    return next((str(bound) for bound in (0, 3, 8, 20) if uses <= bound), "many")
