"""The built-in font: its sizes, the text that it can show, shortening and breaking of text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER = "#fbfbfa"

_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """Pillow's built-in font, ``size`` pixels high; the same on every machine."""
    return ImageFont.load_default(size)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Measures of labels in pixels, in proportion to the image."""

    text: int
    small: int
    line: int
    gap: int

    @classmethod
    def of_image(cls, longer_side: int) -> Sizes:
        """The measures for an image whose longer side has so many pixels."""
        text = max(14, round(longer_side / 42))
        return cls(
            text=text,
            small=max(12, round(text * 0.82)),
            line=max(2, round(text / 6)),
            gap=max(3, text // 3),
        )


def showable(text: str) -> str:
    r"""The text on one line as the built-in font can show it.

    Accents that the font lacks are removed, and so are controls, joiners, lone surrogates and
    pictograms. Letters of other scripts stay and are drawn as empty boxes: they may be a name.

    >>> showable("one\x00 \n two\ud800")
    'one two'
    >>> showable("Beyoncé")
    'Beyonce'
    """
    spaced = "".join(" " if character.isspace() else _shown_form(character) for character in text)
    return " ".join(spaced.split())


_PLAIN = {
    **dict.fromkeys("‚′", "'"),
    **dict.fromkeys("„″", '"'),
    **dict.fromkeys("–—−‐‑", "-"),
    **{"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i"},
    **{"æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "€": "EUR", "£": "GBP", "©": "(c)", "®": "(r)"},
}
"""Replacements for characters that Unicode does not decompose to ASCII."""


@lru_cache(maxsize=8192)
def _shown_form(character: str) -> str:
    if " " <= character < "\x7f":
        return character
    category = unicodedata.category(character)
    if category in _UNSHOWN or "\ufe00" <= character <= "\ufe0f":  # variation selectors
        return ""
    if _has_glyph(character):
        return character
    decomposed = unicodedata.normalize("NFKD", _PLAIN.get(character, character))
    decomposed = decomposed.replace("\u2044", "/")  # the stroke of one half
    plain = "".join(each for each in decomposed if each.isascii())
    return plain or ("" if category in {"So", "Sk", "Mn", "Me"} else character)


def _has_glyph(character: str) -> bool:
    """Whether the font has a glyph of its own for it and does not draw the empty box."""
    blank, drawn = (font(20).getmask(each) for each in ("\uffff", character))
    return (blank.size, bytes(blank)) != (drawn.size, bytes(drawn))


def shorten(text: str, face: Font, width: float) -> str:
    """The text, cut and ended by an ellipsis where it is wider than ``width`` pixels."""
    if face.getlength(text) <= width:
        return text
    longest = _longest_prefix(text, face, width - face.getlength("…"))
    return text[:longest].rstrip() + "…"


def break_word(word: str, face: Font, width: float) -> Iterator[str]:
    """Pieces of a word, each as long as ``width`` pixels allow and at least one character."""
    while word:
        length = max(1, _longest_prefix(word, face, width))
        yield word[:length]
        word = word[length:]


def _longest_prefix(text: str, face: Font, width: float) -> int:
    """How many first characters fit; bisection is exact, since widths only grow."""
    fits, fails = 0, len(text) + 1
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if face.getlength(text[:middle]) <= width:
            fits = middle
        else:
            fails = middle
    return fits
