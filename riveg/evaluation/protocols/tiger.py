"""TIGER's counting, in its training loop and afterwards: one answer for a string."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from riveg.evaluation.cases import Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.candidates import Candidates
from riveg.evaluation.protocols.protocol import Protocol
from riveg.formats.tiger_text import Statement, read_sentence, sentences, write_sentence

MOST_CANDIDATES = 32
TRUE, FALSE = " True", " False"
"""How a key ends: the image shows the entity, or does not."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """Words, whether the image shows them, and the candidates that gold accepts or that is said."""

    words: str
    shown: bool
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
    placeholder = not predicted
    hits = _hits(predicted, gold)
    return {"gmner": Count(hits, len(predicted) + placeholder, len(gold) - placeholder)}


def _answers(case: Case) -> tuple[Answers, Answers]:
    candidates = Candidates.of(case, MOST_CANDIDATES)
    predicted: Answers = {}
    for entity in case.predicted:
        index = candidates.index_of(entity)
        chosen = frozenset[int]() if index is None else frozenset({index})
        for said in _statements(entity):
            predicted[_key(said)] = _Answer(said.words, said.shown, chosen)
    gold: Answers = {}
    for annotated in case.gold:
        known = Statement(annotated.text, annotated.label, bool(annotated.boxes))
        gold[_key(known)] = _Answer(known.words, known.shown, candidates.accepted(annotated))
    return predicted, gold


def _statements(predicted: PredictedEntity) -> Iterator[Statement]:
    """What can be read from the entity's sentence; nothing where its place was not answered."""
    shown = predicted.groundable if predicted.regions is None else bool(predicted.regions)
    if shown is None:
        return
    written = write_sentence(Statement(predicted.text, predicted.label, shown))
    yield from filter(None, map(read_sentence, sentences(written)))


def _key(said: Statement) -> str:
    return f"{said.words} {said.label}{TRUE if said.shown else FALSE}"


def _hits(predicted: Answers, gold: Answers) -> int:
    # The word is looked for anywhere: a name that ends in it needs no region.
    return sum(
        key in gold and (FALSE in key or bool(answer.regions & gold[key].regions))
        for key, answer in predicted.items()
    )


def _mner(predicted: Answers, gold: Answers) -> Count:
    found, wanted = ({_without_place(key) for key in answers} for answers in (predicted, gold))
    return Count(len(found & wanted), len(found), len(wanted))


def _without_place(key: str) -> str:
    """The key without both words, wherever they stand."""
    return key.replace(TRUE, "").replace(FALSE, "")


def _eeg_hits(predicted: Answers, gold: Answers) -> int:
    return sum(
        any(_is_eeg_hit(answer, *wanted) for wanted in gold.items())
        for answer in predicted.values()
    )


def _is_eeg_hit(answer: _Answer, gold_key: str, gold: _Answer) -> bool:
    # The word is looked for anywhere in the gold's key, in its name too.
    if answer.words != gold.words or str(answer.shown) not in gold_key:
        return False
    return not answer.shown or bool(answer.regions & gold.regions)


_SHARED_NOTES = (
    "a repeated entity with the same type counts once, in gold and in predictions",
    "a gold box that no detector box covers is a miss whatever is predicted",
    "a gold box covered by exactly one half accepts every detector box",
)

TIGER = Protocol(
    name="tiger",
    summary="strings, once each, detector boxes, IoU > 0.5",
    metrics=("mner", "eeg", "gmner"),
    build=lambda: score,
    swapped=True,
    least_detail="groundability",
    by_candidate=True,
    notes=(
        *_SHARED_NOTES,
        "precision and recall are printed under each other's name",
        "EEG is not one to one: a gold entity may satisfy several predictions",
        "the words True and False are looked for in names too",
        "what cannot be read as one of its sentences is not counted as predicted",
    ),
)

TIGER_IN_LOOP = Protocol(
    name="tiger-inloop",
    summary="as tiger, an unreadable answer is taken from the gold",
    metrics=("gmner",),
    build=lambda: score_in_loop,
    least_detail="groundability",
    by_candidate=True,
    notes=(
        *_SHARED_NOTES,
        "an answer of which nothing can be read adds one to predicted and takes one from gold",
    ),
)
