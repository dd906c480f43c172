"""Scores of parts of the data: in the picture or not, seen in train or not, crowded posts.

Ungroundable entities by themselves are the N-Pre, N-Rec and N-F1 of MCR; names that train has or
has not, SAKE's; the number of entities, ANCOR's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain

from riveg.evaluation.canonical import AGREEMENTS, Relation, is_shown, matched
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.text.folding import drop_blanks, fold

SHOWN, NOT_SHOWN = "in the picture", "not in the picture"
SEEN, UNSEEN = "mention seen", "mention not seen"
CROWDS = ("no entity", "1 entity", "2 entities", "3 entities", "4 or more")

NAMES = (SHOWN, NOT_SHOWN, SEEN, UNSEEN, *CROWDS)
"""All slices, in the order in which they are shown."""

_WITHOUT = {"mner": {SHOWN, NOT_SHOWN}, "gmner": frozenset[str]()}
"""Metrics, and the slices that say nothing of them: places are no matter of MNER."""


@dataclass(slots=True)
class Slices:
    """Counts by slice and metric, all of one pairing of predicted with gold entities.

    A hit counts in a slice where both of its entities are in it.

    Args:
        seen: Folded mentions of the data that was learnt from; ``None``: not known, and then these
            two slices are missing.
    """

    seen: Set[str] | None = None
    counts: dict[str, dict[str, Count]] = field(default_factory=dict)

    def add(self, case: Case, pairs: Sequence[Relation]) -> None:
        """Counts one more sample.

        Args:
            case: The sample.
            pairs: As :func:`~riveg.evaluation.canonical.related` gives them.
        """
        crowd = CROWDS[min(len(case.gold), len(CROWDS) - 1)]
        predicted = [{crowd, *self._of_predicted(entity)} for entity in case.predicted]
        gold = [{crowd, *self._of_gold(entity)} for entity in case.gold]
        for metric in _WITHOUT:
            agreeing = [pair for pair in pairs if AGREEMENTS[metric](pair)]
            hits = [
                predicted[pair.predicted] & gold[pair.gold]
                for pair in matched(agreeing, len(predicted))
            ]
            for name in {*chain(*predicted, *gold)} - _WITHOUT[metric]:
                found, said, wanted = (
                    sum(name in names for names in side) for side in (hits, predicted, gold)
                )
                counts = self.counts.setdefault(name, {})
                counts[metric] = counts.get(metric, NOTHING) + Count(found, said, wanted)

    def _of_predicted(self, entity: PredictedEntity) -> Iterator[str]:
        if entity.groundable is not None:
            yield SHOWN if entity.groundable else NOT_SHOWN
        yield from self._of_mention(entity.text)

    def _of_gold(self, entity: AnnotatedEntity) -> Iterator[str]:
        if entity.boxes is not None or entity.masks is not None:
            yield SHOWN if is_shown(entity) else NOT_SHOWN
        yield from self._of_mention(entity.text)

    def _of_mention(self, text: str) -> Iterator[str]:
        if self.seen is not None:
            yield SEEN if folded(text) in self.seen else UNSEEN


def folded(mention: str) -> str:
    """A mention as it is compared: without case and blanks.

    >>> folded("Eileen  COLLINS")
    'eileencollins'
    """
    return drop_blanks(fold(mention))
