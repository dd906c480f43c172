"""Words of a language model made fit for a record: pure, and strict about what was asked for."""

from __future__ import annotations

import unicodedata

from riveg.llm.conversation import Unparsable

_JOINERS = "\u200c\u200d"
"""Format characters that words of some scripts, and emoji, are written with."""

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Unicode categories without a shape: controls, direction marks, surrogates, the unassigned."""

_QUOTES = "\"'`“”‘’«»"


def one_line(text: str) -> str:
    r"""The text on one line, without characters that have no shape.

    >>> one_line("a\u202e  red\n\tball\x00 ")
    'a red ball'
    """
    spaced = " ".join(text.split())
    return " ".join("".join(filter(_is_shown, spaced)).split())


def phrase_of(text: str, what: str, most: int) -> str:
    """A short phrase: one line, without quotation marks around it or a full stop after it.

    Args:
        text: What the model wrote.
        what: What it is, for the message.
        most: Most characters.

    Raises:
        Unparsable: If nothing is left, or more than ``most``.
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


def _is_shown(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _HIDDEN
