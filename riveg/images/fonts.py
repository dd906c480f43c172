"""Text in images: the built-in font, and fonts for the letters that it lacks.

The built-in font is the same on every machine and has the letters of English. Others are drawn with
a font that the user names or with one of this machine; accents that no font has are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from PIL import ImageFont, features

from riveg.images.font_files import FontFile, machine_fonts, open_font

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER = "#fbfbfa"

_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = frozenset("\u200c\u200d")
_MOST_MARKS = 3
"""On one letter; more would reach into the lines above and below."""


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


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """Pillow's built-in font, ``size`` pixels high."""
    return ImageFont.load_default(size)


class Fonts:
    """The fonts that texts are drawn with, and the texts that none of them can show.

    Args:
        first: Fonts for what the built-in one lacks, before the others.
        others: More of them; ``None`` for those of this machine, which are searched when they are
            first needed.
        shaping: Whether letters can be put into the forms and the order that Arabic, Hindi and
            others need; ``None`` for what this Pillow can.

    Attributes:
        missing: Texts that could not be shown so far.
    """

    def __init__(
        self,
        first: Sequence[FontFile] = (),
        others: Sequence[FontFile] | None = None,
        *,
        shaping: bool | None = None,
    ) -> None:
        self._first = first
        self._others = others
        self._shaping = features.check("raqm") if shaping is None else shaping
        self._words: dict[str, str | None] = {}
        self._found: dict[frozenset[str], FontFile | None] = {}
        self.missing: list[str] = []

    @classmethod
    def named(cls, path: Path | None) -> Fonts:
        """The font that a user names before those of this machine; ``None`` for these alone.

        Raises:
            UserError: If the file is not there or is no font.
        """
        return cls() if path is None else cls((open_font(path),))

    def showable(self, text: str) -> str | None:
        r"""The text on one line as it can be drawn; ``None`` where letters cannot, which is noted.

        Controls, lone surrogates and pictograms are left out, so the line may be empty.

        >>> Fonts(others=()).showable("one\x00 \n two\ud800"), Fonts(others=()).showable("Beyoncé")
        ('one two', 'Beyonce')
        """
        words = [self._word(word) for word in unicodedata.normalize("NFC", text).split()]
        if None in words:
            if text not in self.missing:
                self.missing.append(text)
            return None
        return " ".join(word for word in words if word)

    def note(self) -> str | None:
        """What to tell the user when all is drawn; ``None`` where every text could be shown."""
        if not self.missing:
            return None
        first = ", ".join(text[:20] for text in self.missing[:3])
        more = ", ..." if len(self.missing) > 3 else ""
        return (
            f"no font here has all letters of {first}{more}: ids and ellipses stand for such texts "
            "in the pictures; name a font that has them with --font FILE"
        )

    def runs(self, text: str, size: int) -> list[tuple[Font, str]]:
        """What :meth:`showable` gave, cut where the font changes; as few fonts as can be."""
        if all(map(_is_built_in, text)):
            return [(font(size), text)]
        file = self._file_for(text)
        if file is not None:
            return [(_face(file, size) or font(size), text)]
        parts = re.findall(r"[^ ]+ *| +", text)
        if len(parts) < 2:
            parts = list(clusters(text))
        if len(parts) < 2:
            return [(font(size), text)]
        found = [run for part in parts for run in self.runs(part, size)]
        return [
            (face, "".join(part for _, part in run))
            for face, run in groupby(found, key=lambda run: run[0])
        ]

    def _word(self, word: str) -> str | None:
        if word not in self._words:
            self._words[word] = self._drawable(word)
        return self._words[word]

    def _drawable(self, word: str) -> str | None:
        if not any(map(_needs_font, word)):
            return "".join(filter(_is_built_in, word))
        kept = _without_stacks(
            "".join(one for one in word if one in _JOINERS or not _is_left_out(one))
        )
        if self._file_for(kept) is not None:
            return kept
        shown = [self._character(one) for one in kept if one not in _JOINERS]
        return None if None in shown else "".join(one for one in shown if one)

    def _character(self, character: str) -> str | None:
        if _is_built_in(character) or self._file_for(character) is not None:
            return character
        return _plain_form(character)

    def _file_for(self, text: str) -> FontFile | None:
        """The first font that has every character of the text and can put it into shape."""
        needed = frozenset(text) - _JOINERS - {" "}
        if needed not in self._found:
            self._found[needed] = self._search(needed)
        return self._found[needed]

    def _search(self, needed: frozenset[str]) -> FontFile | None:
        if not self._shaping and any(map(_needs_shaping, needed)):
            return None
        having = (one for one in self._files() if all(map(one.has, needed)))
        return next((one for one in having if _face(one, 20) is not None), None)

    def _files(self) -> Iterator[FontFile]:
        yield from self._first
        yield from machine_fonts() if self._others is None else self._others


def clusters(text: str) -> Iterator[str]:
    """Letters, each with the marks and joiners behind it."""
    start = 0
    for place in range(1, len(text)):
        if not _is_attached(text[place]):
            yield text[start:place]
            start = place
    if text:
        yield text[start:]


def is_cluster_edge(text: str, place: int) -> bool:
    """Whether a text can be cut there without taking marks from their letter."""
    return not 0 < place < len(text) or not _is_attached(text[place])


def _is_attached(character: str) -> bool:
    return character in _JOINERS or (
        character > "\u02ff" and unicodedata.category(character)[0] == "M"
    )


@lru_cache(maxsize=64)
def _face(file: FontFile, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(file.path, size)
    except (OSError, ValueError):
        return None


_PLAIN = {
    **dict.fromkeys("‚′", "'"),
    **dict.fromkeys("„″", '"'),
    **dict.fromkeys("–—−‐‑", "-"),
    **{"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i"},
    **{"æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "€": "EUR", "£": "GBP", "©": "(c)", "®": "(r)"},
}
"""Replacements for characters that Unicode does not decompose to ASCII."""


def _plain_form(character: str) -> str | None:
    """Letters of English for a character; ``None`` where a letter or digit has none."""
    decomposed = unicodedata.normalize("NFKD", _PLAIN.get(character, character))
    decomposed = decomposed.replace("\u2044", "/")  # the stroke of one half
    plain = "".join(each for each in decomposed if each.isascii())
    return plain or (None if unicodedata.category(character)[0] in "LN" else "")


@lru_cache(maxsize=8192)
def _is_built_in(character: str) -> bool:
    if " " <= character < "\x7f":
        return True
    return not _is_unshown(character) and _has_glyph(character)


def _needs_font(character: str) -> bool:
    """Whether it is to be drawn and the built-in font lacks it."""
    attached = unicodedata.category(character)[0] == "M"
    return not (_is_built_in(character) or _is_left_out(character) or attached)


def _is_left_out(character: str) -> bool:
    """Whether it is never drawn: controls and formats, pictograms that the built-in font lacks."""
    if _is_unshown(character):
        return True
    return unicodedata.category(character) in {"So", "Sk"} and not _is_built_in(character)


def _is_unshown(character: str) -> bool:
    return unicodedata.category(character) in _UNSHOWN or "\ufe00" <= character <= "\ufe0f"


def _needs_shaping(character: str) -> bool:
    """Whether its form depends on its neighbours, or the line runs from right to left."""
    if unicodedata.bidirectional(character) in {"R", "AL", "AN"}:
        return True
    brahmic = "\u0900" <= character <= "\u109f" and not "\u0e00" <= character <= "\u0eff"
    return brahmic or "\u1780" <= character <= "\u1aaf" or "\ua800" <= character <= "\uaaff"


def _without_stacks(word: str) -> str:
    """A word with at most a few marks on each letter."""
    return "".join(cluster[: 1 + _MOST_MARKS] for cluster in clusters(word))


def _has_glyph(character: str) -> bool:
    """Whether the built-in font has a glyph of its own for it and does not draw the empty box."""
    blank, drawn = (font(20).getmask(each) for each in ("\uffff", character))
    return (blank.size, bytes(blank)) != (drawn.size, bytes(drawn))
