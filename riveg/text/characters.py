"""Kinds of characters that decide where a text is cut: scripts without blanks, marks, emoji.

Each is the inside of a regular expression's brackets. The ranges are those of Unicode's blocks and
of its annexes 29 (text segmentation) and 51 (emoji).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai, without its digits
    "\u0e81-\u0ecf\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
    "\u1950-\u19cf\u1a20-\u1a7f\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b4f\ua980-\ua9cf"  # Balinese, Javanese
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul: particles are written onto names
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3038-\u303c\u3400-\u4dbf\u4e00-\u9fff"  # Han
    "\uf900-\ufaff\U00016fe0-\U00018d0f\U0001b170-\U0001b2ff\U00020000-\U0003ffff"
    "\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\uff66-\uff9f\U0001aff0-\U0001b16f"  # kana, bopomofo
    "\ua000-\ua4cf"  # Yi
)
"""Letters of scripts that put no blank between words, or none between a word and its particles."""

LEADING_JAMO = "\u1100-\u115f\ua960-\ua97c"
FOLLOWING_JAMO = "\u1160-\u11ff\ud7b0-\ud7ff"
"""Hangul syllables in their parts: consonants that begin one, and what follows these."""

STACKING = "\u1039\u17d2\u1a60\u1b44\ua9c0"
STACKED = "\u1000-\u109f\u1780-\u17d3\u1a20-\u1a7f\u1b00-\u1b4f\ua980-\uaa7f"
"""Marks that put the next letter below the one before it, and letters of their scripts (Myanmar,
Khmer, Tai Tham, Balinese, Javanese)."""

FOLLOWERS = "\u200c\u200d\U000e0020-\U000e007f\u0e33\u0eb3\uff9e\uff9f"
"""What belongs to the character before it and is no mark: joiners, the tags of emoji flags, AM of
Thai and Lao, voicing marks of half width."""

SELECTORS = "\ufe00-\ufe0f"

PICTOGRAMS = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf"
    "\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001fbff"
)
"""What an emoji can begin with; Unicode names fewer, the others never have anything after them."""

SKIN_TONES = "\U0001f3fb-\U0001f3ff"
FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"


@lru_cache(maxsize=1)
def marks() -> str:
    """Combining marks of every script."""
    return _ranges(
        point
        for points in (range(0x300, 0x1F000), range(0xE0100, 0xE01F0))
        for point in points
        if unicodedata.category(chr(point))[0] == "M"
    )


@lru_cache(maxsize=1)
def unseen_within() -> str:
    """Format characters that show nothing and end no word: soft hyphen, direction marks, and so on.

    The zero width space is none of them: it ends a word (annex 29).
    """
    joiners = {0x200B, 0x200C, 0x200D}
    return _ranges(
        point
        for point in range(0xAD, 0x1F000)
        if unicodedata.category(chr(point)) == "Cf" and point not in joiners
    )


def is_unseen(character: str) -> bool:
    r"""Whether it leaves no trace on paper: controls, format characters, selectors, tatweel.

    >>> [is_unseen(character) for character in "\u200e\u00ad\x07 a"]
    [True, True, True, False, False]
    """
    if character.isascii():
        return not character.isprintable() and not character.isspace()
    return (
        unicodedata.category(character) in {"Cf", "Cc"} and not character.isspace()
    ) or _is_selector(character)


def _is_selector(character: str) -> bool:
    # The tatweel only makes an Arabic word longer; the grapheme joiner changes how words sort.
    return (
        "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or character in "\u0640\u034f"
    )


def _ranges(points: Iterable[int]) -> str:
    """Ascending code points as ranges of a regular expression."""
    return "".join(
        f"{chr(first)}-{chr(last)}" if last > first else chr(first) for first, last in _runs(points)
    )


def _runs(points: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = -2
    for point in points:
        if point != last + 1:
            if first >= 0:
                yield first, last
            first = point
        last = point
    if first >= 0:
        yield first, last
