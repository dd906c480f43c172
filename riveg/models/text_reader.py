"""The text that a network reads of an entity, and the warning where it reads only a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from riveg.models.query_text import Cut, cut_texts, cut_to_fit, cut_warning
from riveg.types import Entity, Issue


class TextReader:
    """Fills a template for entities and cuts what a network would not read.

    Args:
        template: Of the text.
        most_tokens: That the network reads.
        count: Tokens of a text, special ones included.
        clean: Takes out of a filled template what a network would misread.
        what: The text's name in a warning.
    """

    def __init__(
        self,
        template: str,
        most_tokens: int,
        count: Callable[[str], int],
        *,
        clean: Callable[[str], str] = str,
        what: str = "the text",
    ) -> None:
        self._template = template
        self._most_tokens = most_tokens
        self._count = count
        self._clean = clean
        self._what = what

    def read(self, entities: Sequence[Entity]) -> Sequence[Cut]:
        """Each entity's text, or as much of it as is read."""
        return cut_texts(self._template, entities, self._cut)

    def warnings(self, stage: str, entity: Entity, cut: Cut) -> tuple[Issue, ...]:
        """One where the text was cut."""
        if not cut.was_cut:
            return ()
        return (cut_warning(stage, entity.id, cut, self._most_tokens, what=self._what),)

    def _cut(self, text: str) -> Cut:
        return cut_to_fit(self._clean(text), self._most_tokens, self._count)
