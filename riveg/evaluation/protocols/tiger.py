"""TIGER's counting, in its training loop and afterwards: one answer for a string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.candidates import Candidates
from riveg.evaluation.protocols.protocol import Protocol

MOST_CANDIDATES = 32
SEPARATORS = (" is a ", " and a ", ", which", " [SSEP] ")
"""Texts that separate the parts of its sentences; words that contain one make a sentence
unreadable."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """Words, and the candidates that gold accepts, or the predicted candidate."""

    words: str
    regions: frozenset[int]


Answers = dict[str, _Answer]
"""Keyed by words, type, and ``True`` or ``False`` for being in the image."""


def score(case: Case) -> Mapping[str, Count]:
    """Counts as ``more_eval.py`` does from the dumped sentences."""
    predicted, gold = _answers(case)
    hits = {"eeg": _eeg_hits(predicted, gold), "gmner": _hits(predicted, gold)}
    counts = {name: Count(found, len(predicted), len(gold)) for name, found in hits.items()}
    return {"mner": _mner(predicted, gold), **counts}


def score_in_loop(case: Case) -> Mapping[str, Count]:
    """Counts as ``compute_f1_scores_quad`` does, which takes its placeholder from the wrong side.

    The gold count of one sample may be -1.
    """
    predicted, gold = _answers(case)
    placeholder = not case.predicted or not all(map(_is_readable, case.predicted))
    hits = _hits(predicted, gold)
    return {"gmner": Count(hits, len(predicted) + placeholder, len(gold) - placeholder)}


def _answers(case: Case) -> tuple[Answers, Answers]:
    candidates = Candidates.of(case, MOST_CANDIDATES)
    predicted: Answers = {}
    for entity in filter(_is_readable, case.predicted):
        index = candidates.index_of(entity)
        chosen = frozenset[int]() if index is None else frozenset({index})
        predicted[_key(entity, entity.regions != ())] = _Answer(entity.text, chosen)
    gold = {
        _key(entity, bool(entity.boxes)): _Answer(entity.text, candidates.covering(entity))
        for entity in case.gold
    }
    return predicted, gold


def _is_readable(predicted: PredictedEntity) -> bool:
    """Whether the entity's sentence can be written and read again."""
    answered = predicted.regions is not None or predicted.groundable is True
    words = f"{predicted.text}\n{predicted.label}"
    return answered and not any(mark in words for mark in SEPARATORS)


def _key(entity: PredictedEntity | AnnotatedEntity, shown: bool) -> str:
    return f"{entity.text} {entity.label} {shown}"


def _says_shown(key: str) -> bool:
    return "True" in key  # Anywhere: a name that contains this word always counts as shown.


def _hits(predicted: Answers, gold: Answers) -> int:
    return sum(
        key in gold and (key.endswith("False") or bool(answer.regions & gold[key].regions))
        for key, answer in predicted.items()
    )


def _mner(predicted: Answers, gold: Answers) -> Count:
    found, wanted = ({key.rpartition(" ")[0] for key in answers} for answers in (predicted, gold))
    return Count(len(found & wanted), len(found), len(wanted))


def _eeg_hits(predicted: Answers, gold: Answers) -> int:
    return sum(
        any(_is_eeg_hit(key, answer, *wanted) for wanted in gold.items())
        for key, answer in predicted.items()
    )


def _is_eeg_hit(key: str, answer: _Answer, gold_key: str, gold: _Answer) -> bool:
    if answer.words != gold.words:
        return False
    if _says_shown(key):
        return bool(answer.regions & gold.regions)
    return not _says_shown(gold_key)


_SHARED_NOTES = (
    "a repeated entity with the same type counts once, in gold and in predictions",
    "a gold box that no detector box covers is a miss whatever is predicted",
)

TIGER = Protocol(
    name="tiger",
    summary="strings, repeats counted once, regions by detector box, IoU > 0.5",
    metrics=("mner", "eeg", "gmner"),
    build=lambda: score,
    swapped=True,
    notes=(
        *_SHARED_NOTES,
        "precision and recall are printed under each other's name",
        "EEG is not one to one: a gold entity may satisfy several predictions",
        "what cannot be read as one of its sentences is not counted as predicted",
    ),
)

TIGER_IN_LOOP = Protocol(
    name="tiger-inloop",
    summary="as tiger, with an unreadable answer taken from the gold count",
    metrics=("gmner",),
    build=lambda: score_in_loop,
    notes=(
        *_SHARED_NOTES,
        "an empty or unreadable answer adds one to predicted and takes one from gold",
    ),
)
