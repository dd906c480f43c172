"""Refusals of language models, which parse as any other words.

They would become expressions, captions or knowledge. A refusal is known by how it begins; words of
regret in the middle of a phrase ("a man who looks sorry") are none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from riveg.llm.conversation import Refused
from riveg.llm.refusal_sentences import declines, says_no
from riveg.llm.refusal_words import (
    ACTS,
    AFTER_APOLOGIES,
    APOLOGIES,
    BETWEEN,
    MACHINES,
    NOTHING,
    NOTHING_SEEN,
    UNABLE,
)


def _one_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


_FIRST_PERSON = (
    r"(?:i|we)(?: (?:really|still|just|simply|also|currently|unfortunately))?"
    rf"{_one_of(UNABLE)}(?:\W*\Z|[,.;]|{BETWEEN}{_one_of(ACTS)})"
)
_REFUSES = re.compile(
    _one_of(
        (
            _FIRST_PERSON,
            rf"{_one_of(APOLOGIES)}(?={_one_of(AFTER_APOLOGIES)})",
            *MACHINES,
        )
    )
)
_SEES_NOTHING = re.compile(_one_of(NOTHING_SEEN))
_GOES_ON = re.compile(rf"(?:\bbut|\bhowever,?|[.;!]) (?:unfortunately,? )?{_FIRST_PERSON}")
_COURTESY = re.compile(
    r"(?:hm+|oh|well|ok|okay|hi|hello|thank you|thanks)\b(?!-)[^.,!]{0,40}[,.!]+ "
)
_AROUND = " \t\"'`“”‘’«»*_()[]<>.!。、，"
_ONLY_SIGNS = re.compile(r"[\s?.\-–—…_*/\\|#~=+^<>{}\[\]()\"']*\Z")
_APOSTROPHES = re.compile("[’ʼ`´]")

REFUSAL = "{} is a refusal and no answer; say what is asked for from what is given"
"""What is wrong with a refusal, in words for the model."""


def refuses(text: str) -> bool:
    """Whether a text begins as a refusal does: an apology, or "I cannot ...".

    >>> refuses("I'm sorry, I can't identify the person."), refuses("Sorry, a poster by Beyonce")
    (True, False)
    """
    words = _plain(text)
    return _REFUSES.match(words) is not None or declines(words)


def is_no_answer(text: str) -> bool:
    """Whether a text refuses, or says that there is nothing to say: "N/A", "Not visible".

    >>> is_no_answer("N/A"), is_no_answer("a man who is not visible in the mirror")
    (True, False)
    """
    words = _plain(text)
    if words in NOTHING or (text and _ONLY_SIGNS.match(text)):
        return True
    begins = _REFUSES.match(words) or _SEES_NOTHING.match(words)
    return begins is not None or says_no(words)


def goes_on_to_refuse(text: str) -> bool:
    """Whether a phrase ends in a refusal: "a person, but I cannot identify them"."""
    return _GOES_ON.search(_plain(text)) is not None


def require_answer(text: str, what: str, *, whole: bool = False) -> str:
    """The text, if it is an answer.

    Args:
        text: What the model wrote.
        what: What it is, for the message.
        whole: Whether no part of it may refuse.

    Raises:
        Refused: If it is none.
    """
    if is_no_answer(text) or (whole and goes_on_to_refuse(text)):
        raise Refused(REFUSAL.format(what))
    return text


def _plain(text: str) -> str:
    """The text in small letters, with plain apostrophes and single blanks, without courtesies."""
    folded = unicodedata.normalize("NFC", text).casefold()
    words = " ".join(_APOSTROPHES.sub("'", folded).split()).strip(_AROUND)
    return _COURTESY.sub("", words, count=1) if _COURTESY.match(words) else words
