"""Gold for the ``gold`` backends: the annotation of a mention, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from riveg.pipeline import Answer
from riveg.protocols import AnswerOrIssue, Mention
from riveg.types import Box, Gold, Issue

SOURCE = "gold"

_NO_GOLD = "no-gold"


def answer_by_boxes(
    gold: Mapping[str, Gold],
    mentions: Sequence[Mention],
    stage: str,
    answer: Callable[[tuple[Box, ...]], Answer],
) -> list[AnswerOrIssue[Answer]]:
    """What ``answer`` makes of the annotated boxes of each mention.

    These are the boxes of the gold entity with the mention's span; ``()`` where gold has none.

    Args:
        gold: By sample id.
        mentions: Of any samples.
        stage: The stage's name, for its issues.
        answer: Makes the stage's answer of boxes.
    """
    found = [_boxes(gold, mention, stage) for mention in mentions]
    return [boxes if isinstance(boxes, Issue) else answer(boxes) for boxes in found]


def no_gold(stage: str, entity_id: str | None, sample_id: str) -> Issue:
    """The Issue for a sample without an annotation."""
    return Issue(stage, entity_id, _NO_GOLD, f"no gold for sample {sample_id!r}")


def no_boxes(gold: Gold, stage: str, entity_id: str | None) -> Issue | None:
    """The Issue for a sample of which nobody has annotated what is in its image, if it is one."""
    if all(entity.boxes is not None for entity in gold.entities):
        return None
    return Issue(
        stage, entity_id, _NO_GOLD, f"the gold of {gold.sample_id!r} says nothing of boxes"
    )


def _boxes(gold: Mapping[str, Gold], mention: Mention, stage: str) -> tuple[Box, ...] | Issue:
    annotation = gold.get(mention.sample.id)
    if annotation is None:
        return no_gold(stage, mention.entity.id, mention.sample.id)
    if (issue := no_boxes(annotation, stage, mention.entity.id)) is not None:
        return issue
    for entity in annotation.entities:
        if entity.span == mention.entity.span:
            return entity.boxes or ()
    return ()
