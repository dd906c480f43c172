"""The case shape of a word as a small number: an uncased encoder does not see case."""

from __future__ import annotations

SHAPES = (
    "none",
    "lower",
    "upper",
    "title",
    "mixed",
    "initial",
    "digits",
    "alphanumeric",
    "punctuation",
    "other",
)
"""Shape names; a word's shape is its index here, 0 stands for special tokens."""


def word_shape(word: str) -> int:
    """Index into :data:`SHAPES`.

    >>> [SHAPES[word_shape(word)] for word in ("Disney", "NASA", "iPhone", "5SOS", "!")]
    ['title', 'upper', 'mixed', 'alphanumeric', 'punctuation']
    """
    return SHAPES.index(_name(word))


def _name(word: str) -> str:
    letters = [character for character in word if character.isalpha()]
    if not letters:
        if any(character.isdigit() for character in word):
            return "digits"
        return "punctuation" if word.isascii() else "other"
    if any(character.isdigit() for character in word):
        return "alphanumeric"
    return _case(letters)


def _case(letters: list[str]) -> str:
    uppers = [letter.isupper() for letter in letters]
    if not any(uppers):
        return "lower"
    if all(uppers):
        return "initial" if len(letters) == 1 else "upper"
    return "title" if uppers[0] and not any(uppers[1:]) else "mixed"
