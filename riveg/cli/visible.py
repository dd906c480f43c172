"""Text for a terminal: control characters made visible, numbers with their nouns."""

from __future__ import annotations

_JOINERS = "\u200c\u200d"


def visible(text: str, keep: str = "") -> str:
    r"""The text with control characters, but for those in ``keep``, as ``\x1b`` and the like.

    Joiners, which only shape the letters and emoji beside them, stay.

    >>> visible("\x1b[31mred")
    '\\x1b[31mred'
    """
    return "".join(
        character
        if character.isprintable() or character in keep or character in _JOINERS
        else f"\\x{ord(character):02x}"
        for character in text
    )


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "entity", "entities"), counted(2, "sample")
    ('1 entity', '2 samples')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
