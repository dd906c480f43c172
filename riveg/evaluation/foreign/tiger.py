"""TIGER's text output: one line for each tweet, one sentence for each entity."""

from __future__ import annotations

from pathlib import Path

from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign.lines import counted
from riveg.evaluation.foreign.predictions import ForeignFile, ForeignPredictions
from riveg.formats.lines import numbered_lines

JOINT = " [SSEP] "
KIND = " is a "
FINE_KIND = " and a "
TAIL = ", which"
PLACES = {"is in the image": True, "is not in the image": False}


def read_tiger(path: Path) -> ForeignFile:
    """Entities with their fine type, or with the coarse type where there is no fine one.

    The file says whether the image shows an entity, but not where. A sentence that cannot be read
    gives no entity, and is counted; an empty line is a sample without an entity.

    Raises:
        UserError: If the file cannot be read.
    """
    samples = []
    unreadable = []
    for number, line in numbered_lines(path):
        sentences = line.strip().split(JOINT) if line.strip() else []
        read = [parse_sentence(sentence) for sentence in sentences]
        found = tuple(predicted for predicted in read if predicted is not None)
        unreadable += [number] * (len(read) - len(found))
        samples.append(ForeignPredictions(None, found, number))
    notes = ["its lines have no ids: they are matched to the samples by order"]
    if unreadable:
        noun = counted(len(unreadable), "sentence cannot", "sentences cannot")
        notes.append(f"{noun} be read and give no entity (first: {path}:{unreadable[0]})")
    return ForeignFile("tiger", tuple(samples), "groundability", by_order=True, notes=tuple(notes))


def parse_sentence(sentence: str) -> PredictedEntity | None:
    """An entity; ``None`` where its words contain a text that separates the parts of a sentence.

    >>> parse_sentence("Rome is a location and a city, which is not in the image").label
    'city'
    """
    head, _, place = sentence.partition(TAIL)
    words = head.split(KIND)
    shown = PLACES.get(place.strip())
    if shown is None or len(words) != 2:
        return None
    kinds = words[1].split(FINE_KIND)
    name, label = words[0].strip(), kinds[-1].strip()
    if len(kinds) > 2 or not name or not label:
        return None
    return PredictedEntity(name, label, groundable=shown, regions=None if shown else ())
