"""The text that a network gets for an entity: a filled template, cut at a word if too long."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from riveg.errors import suggest
from riveg.types import WARNING, Entity, Issue

_FIELDS = ("mention", "label", "fine_label", "expression", "description")


def query_fields(template: str) -> frozenset[str]:
    """What a template asks of an entity.

    >>> sorted(query_fields("{mention} ({label})"))
    ['label', 'mention']
    """
    return frozenset(field for _, field, _, _ in Formatter().parse(template) if field is not None)


def _known_fields(template: str) -> str:
    for _, field, form, conversion in Formatter().parse(template):
        if field is None:
            continue
        if field not in _FIELDS:
            raise ValueError(f"no field {field!r}; {suggest(field, _FIELDS)}")
        if form or conversion:
            raise ValueError(f"write {{{field}}}, with nothing behind the name")
    if not query_fields(template):
        raise ValueError("it has to hold {expression}, {mention}, {description} or {label}")
    return template


def _unquoted(value: Any) -> Any:
    """``{mention}`` alone, which YAML reads as a mapping if it is not in quotes."""
    if isinstance(value, Mapping) and len(value) == 1 and None in value.values():
        return f"{{{next(iter(value))}}}"
    return value


QueryTemplate = Annotated[str, BeforeValidator(_unquoted), AfterValidator(_known_fields)]
"""A text with ``{mention}``, ``{label}``, ``{fine_label}``, ``{expression}``, ``{description}``."""


def query_text(template: str, entity: Entity) -> str:
    """A template filled for an entity, in single blanks.

    A missing expression is replaced by the mention, a missing description by the expression, a
    missing fine label by the label.

    >>> from riveg.types import Span
    >>> query_text("{expression} ({label})", Entity("e0", "Ada", "PER", Span(0, 1)))
    'Ada (PER)'
    """
    expression = entity.expression or entity.text
    filled = template.format(
        mention=entity.text,
        label=entity.label,
        fine_label=entity.fine_label or entity.label,
        expression=expression,
        description=entity.description or expression,
    )
    return " ".join(filled.split())


@dataclass(frozen=True, slots=True)
class CutText:
    """A text that fits, and whether it lost words to fit."""

    text: str
    was_cut: bool


def cut_to_fit(text: str, most: int, count: Callable[[str], int]) -> CutText:
    """The longest beginning that fits and ends at a word, or inside a first word that is too long.

    >>> cut_to_fit("one two three", 8, len)
    CutText(text='one two', was_cut=True)

    Args:
        text: In single blanks.
        most: Highest number of tokens that a network reads.
        count: Tokens of a text, special ones included.
    """
    if count(text) <= most:
        return CutText(text, False)
    words = text.split(" ")
    kept = _longest(words, " ", most, count) or _longest(words[0], "", most, count)
    return CutText(kept, True)


def _longest(parts: Sequence[str], joint: str, most: int, count: Callable[[str], int]) -> str:
    lengths = range(1, len(parts) + 1)
    kept = bisect_right(lengths, most, key=lambda length: count(joint.join(parts[:length])))
    return joint.join(parts[:kept])


class TextReader:
    """Fills a template for entities and cuts texts that are too long for a network.

    Args:
        template: Of the text.
        most_tokens: Highest number of tokens that the network reads.
        count: Tokens of a text, special ones included.
        clean: Removes from a filled template what the network would misread.
        what: Name of the text in a warning.
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

    def read(self, entities: Sequence[Entity]) -> Sequence[CutText]:
        """Each entity's text, cut if it is too long; equal texts are cut once."""
        texts = [query_text(self._template, entity) for entity in entities]
        found = {text: self._cut(text) for text in dict.fromkeys(texts)}
        return [found[text] for text in texts]

    def warnings(self, stage: str, entity: Entity, cut: CutText) -> tuple[Issue, ...]:
        """A warning about a text that was cut, else none."""
        if not cut.was_cut:
            return ()
        message = (
            f"{self._what} has more than the {self._most_tokens} tokens that are read; "
            f"cut to {cut.text!r}"
        )
        return (Issue(stage, entity.id, WARNING, message),)

    def _cut(self, text: str) -> CutText:
        return cut_to_fit(self._clean(text), self._most_tokens, self._count)
