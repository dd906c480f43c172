"""Text that others wrote, made fit for a terminal."""

from __future__ import annotations


def visible(text: str, keep: str = "") -> str:
    r"""The text with control characters, but for those in ``keep``, as ``\x1b`` and the like.

    >>> visible("\x1b[31mred")
    '\\x1b[31mred'
    """
    return "".join(
        character if character.isprintable() or character in keep else f"\\x{ord(character):02x}"
        for character in text
    )
