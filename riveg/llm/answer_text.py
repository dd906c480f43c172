"""Text of a language model made fit for a record: one line, visible characters, bounded length."""

from __future__ import annotations

import unicodedata

from riveg.llm.conversation import Unparsable

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
    """A short phrase: one line, without quotation marks around it or a full stop after it.

    Args:
        text: What the model wrote.
        what: What it is, for the message.
        most: Most characters.

    Raises:
        Unparsable: If nothing is left, or more than ``most`` characters.
    """
    line = one_line(text).strip(_QUOTES + " ").removesuffix(".").strip(_QUOTES + " ")
    return _bounded(line, what, most)


def text_of(text: str, what: str, most: int) -> str:
    """One or more sentences on one line.

    Raises:
        Unparsable: If there is nothing, or more than ``most`` characters.
    """
    return _bounded(one_line(text), what, most)


def _bounded(text: str, what: str, most: int) -> str:
    if not text:
        raise Unparsable(f"{what} is empty")
    if len(text) > most:
        raise Unparsable(f"{what} has {len(text)} characters, it may have {most}")
    return text


def _is_visible(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _INVISIBLE
