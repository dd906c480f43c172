"""Text of a language model made fit for a record: one line, visible characters, bounded length."""

from __future__ import annotations

import unicodedata

from riveg.llm.answer_marks import holds_template_marks, with_single_escapes, without_markup
from riveg.llm.conversation import Unparsable
from riveg.llm.refusals import require_answer

_JOINERS = "\u200c\u200d"
"""Format characters that some scripts and emoji need."""

_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Unicode categories that are invisible: controls, direction marks, surrogates, unassigned."""

_QUOTES = "\"'`“”‘’«»"


def one_line(text: str) -> str:
    r"""The text on one line, without invisible characters.

    >>> one_line("a\u202e  red\n\tball\x00 ")
    'a red ball'
    """
    spaced = " ".join(text.split())
    return " ".join("".join(filter(_is_visible, spaced)).split())


def phrase_of(text: str, what: str, most: int) -> str:
    """A short phrase: one line, without markup, quotation marks around it or a full stop after it.

    Args:
        text: What the model wrote.
        what: What it is, for the message.
        most: Most characters.

    Raises:
        Refused: If it is a refusal, or goes on to one.
        Unparsable: If nothing is left, more than ``most`` characters, or marks of a chat template.
    """
    line, before = one_line(without_markup(with_single_escapes(text))), None
    while line != before:
        before = line
        line = without_markup(line.strip(_QUOTES + " ").removesuffix("."))
    return require_answer(_checked(line, what, most), what, whole=True)


def text_of(text: str, what: str, most: int) -> str:
    """One or more sentences on one line, without markup around them.

    Raises:
        Refused: If they are a refusal.
        Unparsable: If there is nothing, more than ``most`` characters, or marks of a chat template.
    """
    line = one_line(without_markup(with_single_escapes(text)))
    return require_answer(_checked(line, what, most), what)


def _checked(text: str, what: str, most: int) -> str:
    if not text:
        raise Unparsable(f"{what} is empty")
    if len(text) > most:
        raise Unparsable(f"{what} has {len(text)} characters, it may have {most}")
    if holds_template_marks(text):
        raise Unparsable(f"{what} holds marks of a chat template; answer in plain words")
    return text


def _is_visible(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _INVISIBLE
