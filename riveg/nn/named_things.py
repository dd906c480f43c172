"""Which things that were seen an entity's name can mean: an object class whose word stands with it.

A class *fits* a name where the sample says so; the first of these that gives a class counts.

1. A word for it stands beside the name: "my dog Rex", "Rex the dog", "Rex, our dog". (For names of
   people, places and organizations this must be an animal: taggers take pets for them.) Or it
   follows the name of a thing or of an organization straight, and the name says which one it is:
   "my Honda motorcycle", "an Amtrak train". (For organizations this must be no animal. Words that
   may be verbs, as in "Liverpool train again", need an article, and a "Chelsea coach" is a person.
   "Paris cat" and "Ann cat" say nothing of what Paris and Ann are.)
2. A word for it is in the label ("animal", "vehicle", "dog").
3. The name ends in a word for it, written small ("Orient Express train"). With a capital it is part
   of a title or a brand: "War Horse" is a film, "Black Sheep Ale" a beer.
4. A word for it is anywhere in the caption, or in the text outside of names, if no other name of
   the sample could be meant. This is the weakest sign: it says where to look, not that the name is
   meant.

Names of people, places and organizations have the first only: a club called Bears is no bear. The
words below are those of the network's classes that things with names of their own belong to; for
most things (a guitar, a rocket, a bridge) the network has no class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from riveg.nn.entailment_features import known_label
from riveg.text.folding import fold
from riveg.types import Entity, Observation, Sample

ANIMALS = frozenset({
    "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
})  # fmt: skip
_VEHICLES = frozenset({
    "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
})  # fmt: skip

_WORDS = {
    "bird": "bird birds parrot owl eagle pigeon duck swan",
    "cat": "cat cats kitty kitten kittens tabby",
    "dog": "dog dogs doggo puppy puppies pup terrier retriever labrador bulldog poodle",
    "horse": "horse horses pony stallion mare foal",
    "sheep": "sheep lamb lambs ewe",
    "cow": "cow cows cattle calf bull",
    "elephant": "elephant elephants",
    "bear": "bear bears",
    "zebra": "zebra zebras",
    "giraffe": "giraffe giraffes",
    "bicycle": "bicycle bicycles bike bikes",
    "car": "car cars taxi cab convertible sedan",
    "motorcycle": "motorcycle motorcycles motorbike motorbikes scooter",
    "airplane": "airplane airplanes aeroplane plane planes aircraft airliner jet",
    "bus": "bus buses coach",
    "train": "train trains locomotive tram",
    "truck": "truck trucks lorry pickup",
    "boat": "boat boats ship ships yacht ferry sailboat",
    "laptop": "laptop laptops notebook macbook",
    "cell phone": "phone phones smartphone iphone",
    "book": "book books novel paperback",
    "clock": "clock clocks",
    "teddy bear": "teddy",
}
CLASSES = frozenset(_WORDS)
"""The classes that a name can mean."""
_CLASS_OF = {word: name for name, words in _WORDS.items() for word in words.split()}
_CLASSES_OF_LABELS = {"animal": ANIMALS, "pet": ANIMALS, "vehicle": _VEHICLES}

_BEFORE = frozenset({"named", "called", ":"})
"""What may stand between a word for a thing and the name that follows."""
_AFTER = frozenset({",", "-", "–", "is"})
_ARTICLES = frozenset({"the", "a", "an", "my", "our"})
"""A word for a thing that follows a name has one of these before it, and perhaps one of the signs
above before that: "Rex, our dog" (but not: "Rex, dogs and cats")."""
_DETERMINERS = frozenset({
    "a", "an", "my", "our", "your", "his", "her", "their", "its", "this", "that",
})  # fmt: skip
"""Before "Amtrak train", perhaps with a word between, these say that a train is meant. Not "the",
which also stands before "Bulls train"."""
_VERBS = frozenset({
    "bear", "bears", "book", "books", "duck", "ducks", "ship", "ships", "train", "trains",
})  # fmt: skip
"""Words for things that follow a name as its verb, too."""
_PERSONS = frozenset({"coach"})
"""Words for things that are a person after the name of a club."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class FittingThings:
    """Objects that a name can mean, best first; none where no class fits or none was seen.

    ``is_meant``: rules 1 to 3 say that the name is such a thing's, seen or not.
    """

    objects: tuple[Observation, ...]
    is_meant: bool


def find_things(sample: Sample, entity: Entity) -> FittingThings:
    """The objects of the image whose class fits an entity's name."""
    meant = find_meant_things(sample, entity)
    if meant.is_meant:
        return meant
    return FittingThings(_objects(sample, _mentioned_classes(sample, entity)), is_meant=False)


def find_meant_things(sample: Sample, entity: Entity) -> FittingThings:
    """The same by rules 1 to 3 alone, which look at no other name."""
    classes = _meant_classes(sample, entity)
    return FittingThings(_objects(sample, classes), is_meant=bool(classes))


def _objects(sample: Sample, classes: frozenset[str]) -> tuple[Observation, ...]:
    seen = sample.observations or ()
    fitting = [one for one in seen if one.kind == "object" and one.label in classes]
    return tuple(sorted(fitting, key=lambda one: -(one.score or 0.0)))


def _meant_classes(sample: Sample, entity: Entity) -> frozenset[str]:
    """The classes of the first of rules 1 to 3 that gives any."""
    beside = frozenset(_classes_beside(sample, entity))
    after = frozenset(_classes_straight_after(sample, entity))
    if known_label(entity.label) == "ORG":
        return beside & ANIMALS or after - ANIMALS
    if not _is_thing(entity):
        return beside & ANIMALS
    return beside | after or _label_classes(entity.label) or _last_word_class(entity.text)


def _last_word_class(name: str) -> frozenset[str]:
    return frozenset(_class_of(_WORD.findall(name)[-1:]))


def _is_thing(entity: Entity) -> bool:
    return known_label(entity.label) == "OTHER"


def _label_classes(label: str) -> frozenset[str]:
    named = frozenset(_classes_in(label))
    return named.union(*(_CLASSES_OF_LABELS.get(word, ()) for word in _words(label)))


def _mentioned_classes(sample: Sample, entity: Entity) -> frozenset[str]:
    """The classes of rule 4."""
    if not _is_thing(entity):
        return frozenset()
    names = {fold(one.text) for one in sample.entities or () if _is_thing(one)}
    if len(names) > 1:
        return frozenset()
    spans = [one.span for one in sample.entities or ()]
    of_names = {place for span in spans for place in range(span.start, span.end)}
    others = (word for place, word in enumerate(sample.tokens) if place not in of_names)
    return frozenset(_classes_in(" ".join([*others, sample.caption or ""])))


def _classes_beside(sample: Sample, entity: Entity) -> Iterator[str]:
    before = _lower(sample.tokens[max(0, entity.span.start - 2) : entity.span.start])
    if before and before[-1] in _BEFORE:
        before.pop()
    yield from _class_of(before[-1:])
    after = _lower(sample.tokens[entity.span.end : entity.span.end + 3])
    if after and after[0] in _AFTER:
        after.pop(0)
    if after and after[0] in _ARTICLES:
        yield from _class_of(after[1:2])


def _classes_straight_after(sample: Sample, entity: Entity) -> Iterator[str]:
    span = entity.span
    (word,) = _lower(sample.tokens[span.end : span.end + 1]) or [""]
    before = _lower(sample.tokens[max(0, span.start - 2) : span.start])
    if word not in _PERSONS and (word not in _VERBS or _DETERMINERS.intersection(before)):
        yield from _class_of([word])


def _lower(tokens: Sequence[str]) -> list[str]:
    return [token.lower() for token in tokens]


def _class_of(words: Sequence[str]) -> Iterator[str]:
    return (_CLASS_OF[word] for word in words if word in _CLASS_OF)


def _classes_in(text: str) -> Iterator[str]:
    return _class_of(_words(text))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
