"""Which gold entities have the words of a predicted one, and which entities are alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.text.folding import fold_blanks
from riveg.types import Span

_MOST_PAIRS = 1_000
"""Of predicted with annotated entities of a sample, for each of its entities."""

_MOST_PAIRS_OF_WORDS = 100
"""Of these, pairs of the same words that differ in type or place: each costs an IoU."""


def require_comparable(case: Case) -> None:
    """Checks that the entities of a sample can be compared in bounded time.

    Where all differ, the most hits of a sample depend on each pair of them, so that time grows with
    the square of what is both predicted and annotated. Samples of posts are far below the bounds:
    they need more than 1000 entities on both sides, or more than 100 of the same words.

    Raises:
        UserError: If they are too many.
    """
    predicted, gold = len(case.predicted), len(case.gold)
    if predicted * gold > _MOST_PAIRS * (predicted + gold):
        raise UserError(
            f"{quoted(case.id)}: {predicted} predicted with {gold} annotated entities are too many "
            "to compare in one post; cut its text into several"
        )
    if predicted * gold <= _MOST_PAIRS_OF_WORDS * (predicted + gold):
        return
    kinds: dict[str, tuple[set[Hashable], set[Hashable]]] = defaultdict(lambda: (set(), set()))
    for said in case.predicted:
        kinds[fold_blanks(said.text)][0].add(_what_counts_of_predicted(said))
    for annotated in case.gold:
        kinds[fold_blanks(annotated.text)][1].add(_what_counts_of_gold(annotated))
    text, (left, right) = max(kinds.items(), key=lambda one: len(one[1][0]) * len(one[1][1]))
    if len(left) * len(right) > _MOST_PAIRS_OF_WORDS * (len(left) + len(right)):
        raise UserError(
            f"{quoted(case.id)}: {quoted(text)} is predicted in {len(left)} ways and annotated in "
            f"{len(right)}, too many to compare in one post; cut its text into several"
        )


class Candidates:
    """The gold entities that may be a predicted entity's, in groups that share them.

    ``predicted_kinds``, ``gold_kinds``: a number for each entity, the same for those that are alike
    in all that scorers compare.
    """

    def __init__(self, case: Case) -> None:
        self._by_span: dict[Span, list[int]] = {}
        self._by_text: dict[str, list[int]] = {}
        self._unplaced: dict[str, list[int]] = {}
        for index, annotated in enumerate(case.gold):
            text = fold_blanks(annotated.text)
            self._by_text.setdefault(text, []).append(index)
            if annotated.span is None:
                self._unplaced.setdefault(text, []).append(index)
            else:
                self._by_span.setdefault(annotated.span, []).append(index)
        self.predicted_kinds = _numbered(map(_what_counts_of_predicted, case.predicted))
        self.gold_kinds = _numbered(map(_what_counts_of_gold, case.gold))
        self._uniform = self._uniform_groups(case)

    def of(self, predicted: PredictedEntity) -> tuple[Hashable, Sequence[int]]:
        """A name of the group, and its gold entities."""
        text = fold_blanks(predicted.text)
        if predicted.span is None:
            return ("text", text), self._by_text.get(text, ())
        placed = self._by_span.get(predicted.span, ())
        unplaced = self._unplaced.get(text, ())
        if not unplaced:
            return ("span", predicted.span), placed
        if not placed:
            return ("unplaced", text), unplaced
        return ("both", predicted.span, text), [*placed, *unplaced]

    def is_uniform(self, group: Hashable) -> bool:
        """Whether all of a group are alike, predicted and gold, and no other shares its gold."""
        return group in self._uniform

    def _uniform_groups(self, case: Case) -> frozenset[Hashable]:
        kinds: dict[Hashable, set[int]] = {}
        members: dict[Hashable, Sequence[int]] = {}
        for index, predicted in enumerate(case.predicted):
            group, found = self.of(predicted)
            kinds.setdefault(group, set()).add(self.predicted_kinds[index])
            members.setdefault(group, found)
        sharing = Counter(gold for found in members.values() for gold in found)
        return frozenset(
            group
            for group, found in members.items()
            if len(kinds[group]) == 1
            and len({self.gold_kinds[gold] for gold in found}) == 1
            and all(sharing[gold] == 1 for gold in found)
        )


def _numbered(values: Iterable[Hashable]) -> list[int]:
    """Equal numbers for equal values."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def _what_counts_of_predicted(predicted: PredictedEntity) -> Hashable:
    best = predicted.regions[0] if predicted.regions else None
    place = predicted.regions is None if best is None else (best.box, best.mask)
    # Average precision looks at the surest first.
    return predicted.label, predicted.fine_label, predicted.groundable, predicted.score, place


def _what_counts_of_gold(gold: AnnotatedEntity) -> Hashable:
    return gold.label, gold.fine_label, gold.boxes, gold.masks
