"""Rewards for reinforcement learning (GRPO): plain functions of an answer and its gold.

Each gives a number in [0, 1]. Answers and gold are texts in the form of E2E-GMNER, of riveg's
``extract/json.v1`` or of SAKE, both in one frame. Nothing here needs torch.

>>> gmner("<think></think><answer>NASA|ORG|[1,2,30,40]</answer>", "NASA|ORG|[1,2,30,39]")
1.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isfinite
from types import MappingProxyType
from typing import Any, TypeAlias

from riveg.errors import UserError, suggest
from riveg.rewards.completions import text_of
from riveg.rewards.parts import Parts, mark, weighted
from riveg.rewards.reading import Gold

Reward: TypeAlias = Callable[[str, Gold], float]

SAKE: Mapping[str, float] = MappingProxyType(
    {"type": 0.9 * 0.25, "hit": 0.9 * 0.25, "gmner": 0.9 * 0.5, "format": 0.1}
)
"""SAKE's weights: 0.9 of (0.25 MNER, 0.25 EEG, 0.5 GMNER) and 0.1 of the form."""

MCR: Mapping[str, float] = MappingProxyType(
    dict.fromkeys(("count", "span", "type", "location", "entailment"), 0.2)
)
"""MCR's five parts, alike: its own weights are not known."""

GOLD_COLUMN = "ground_truth"
"""The column of the gold in what ``riveg data convert`` writes."""

PARTS = tuple(field.name for field in fields(Parts))
"""The names of all parts."""


def parts(answer: str, gold: Gold) -> Parts:
    """All parts at once.

    Args:
        answer: What the model wrote, thought and all. One of which nothing can be read gets 0 in
            every part, also where there is nothing to find.
        gold: What is annotated, in the frame of the answer.

    Raises:
        UserError: If the gold cannot be read.
    """
    return mark(answer, gold).parts


def format(answer: str, gold: Gold) -> float:
    """1 for an answer that is written as asked; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).format


def count(answer: str, gold: Gold) -> float:
    """How well the number of entities fits; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).count


def span(answer: str, gold: Gold) -> float:
    """F1 of words; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).span


def type(answer: str, gold: Gold) -> float:
    """F1 of words and type, MNER; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).type


def location(answer: str, gold: Gold) -> float:
    """F1 of words, weighed by IoU; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).location


def hit(answer: str, gold: Gold) -> float:
    """F1 of words and place, EEG; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).hit


def entailment(answer: str, gold: Gold) -> float:
    """F1 of words and whether the image shows them; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).entailment


def gmner(answer: str, gold: Gold) -> float:
    """F1 of words, type and place; as :class:`Parts` and :func:`parts`."""
    return parts(answer, gold).gmner


def sake(answer: str, gold: Gold) -> float:
    """The parts in the weights :data:`SAKE`."""
    return weighted(parts(answer, gold), SAKE)


def mcr(answer: str, gold: Gold) -> float:
    """The parts in the weights :data:`MCR`."""
    return weighted(parts(answer, gold), MCR)


def for_trl(reward: Reward, column: str = GOLD_COLUMN) -> Callable[..., list[float]]:
    """A reward of a batch, as TRL's ``GRPOTrainer`` calls its ``reward_funcs``.

    Args:
        reward: A function of an answer and its gold.
        column: The data's column with the gold.
    """

    def batch(completions: Sequence[Any], **columns: Any) -> list[float]:
        if column not in columns:
            raise UserError(
                f"the data have no column {column!r} with the gold; "
                f"{suggest(column, tuple(columns))}"
            )
        both = zip(completions, columns[column], strict=True)
        return [reward(text_of(completion), gold) for completion, gold in both]

    batch.__name__ = getattr(reward, "__name__", "reward")  # TRL logs it under this name
    return batch


def compute_score(
    data_source: str,  # noqa: ARG001
    solution_str: str,
    ground_truth: Gold,
    extra_info: Mapping[str, Any] | None = None,  # noqa: ARG001
    weights: Mapping[str, float] = SAKE,
    **_: Any,
) -> dict[str, float]:
    """The reward of one answer, as verl calls its ``custom_reward_function``.

    Args:
        data_source: Not read.
        solution_str: The answer.
        ground_truth: The gold.
        extra_info: Not read.
        weights: Of the parts, by name (``reward_kwargs`` of verl's configuration).

    Returns:
        The reward as ``score``, and every part by its name, which verl logs.

    Raises:
        UserError: If the gold cannot be read, or a weight is of no part or no finite number.
    """
    for name, weight in weights.items():
        if name not in PARTS:
            raise UserError(f"weights: no part {name!r}; {suggest(name, PARTS)}")
        if not isinstance(weight, int | float) or not isfinite(weight):
            raise UserError(f"weights: {name}: expected a number, found {weight!r:.40}")
    found = parts(solution_str, ground_truth)
    return {"score": weighted(found, weights), **asdict(found)}
