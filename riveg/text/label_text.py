"""A label in words: the coarse one, and the fine one where there is one."""

from __future__ import annotations


def label_text(label: str, fine_label: str | None) -> str:
    """Both labels of an entity, as tables and messages show them.

    >>> label_text("PER", "musician")
    'PER/musician'
    >>> label_text("PER", None)
    'PER'
    """
    return label if fine_label is None else f"{label}/{fine_label}"
