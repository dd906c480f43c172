"""The text that a network reads of an entity, and the warning where it reads only a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from riveg.models.query_text import Cut, cut_to_fit, query_text
from riveg.types import WARNING, Entity, Issue


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
        """Each entity's text, or as much of it as is read; a text is cut once."""
        texts = [query_text(self._template, entity) for entity in entities]
        found = {text: self._cut(text) for text in dict.fromkeys(texts)}
        return [found[text] for text in texts]

    def warnings(self, stage: str, entity: Entity, cut: Cut) -> tuple[Issue, ...]:
        """One where the text was cut."""
        if not cut.was_cut:
            return ()
        message = (
            f"{self._what} has more than the {self._most_tokens} tokens that are read; "
            f"cut to {cut.text!r}"
        )
        return (Issue(stage, entity.id, WARNING, message),)

    def _cut(self, text: str) -> Cut:
        return cut_to_fit(self._clean(text), self._most_tokens, self._count)
