r"""In what a copy of a text may differ from it: ways to smooth both until they read alike.

Quotation marks, dashes, case, accents and blanks; the forms of a letter or digit; what is not seen
(direction marks, joiners, soft hyphens, controls); HTML's names for characters (``AT&amp;T``),
escaped twice as well, and Markdown's escapes (``A\$AP``); the signs of hashtags and handles, and
the full stops of initials (``U.S.A.``).
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html.entities import html5
from typing import NamedTuple

from riveg.text.characters import is_unseen
from riveg.text.letter_forms import rough_letters, same_letters

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`＇ʼʻʽ׳", "'"),
        **dict.fromkeys("“”„‟″«»＂״", '"'),
        **dict.fromkeys("‐‑‒–—―−־֊", "-"),
        **dict.fromkeys("・･•‧∙⋅", "·"),
    }
)
_REFERENCE = re.compile(
    # Data that comes as tokens has blanks within: "AT &amp ; T", "AT & amp ; T".
    r"&\s?(\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31})\s?;"
)
_UNENDED = re.compile(r"&(amp|lt|gt|quot|nbsp)")
"""HTML's oldest names, which are read without their semicolon, too."""
_MAQAF = "\u05be"
_PUNCTUATION = frozenset(string.punctuation)

_MOST_MARKS = 30
"""On one letter; more are no language (Unicode annex 15), and are slow to sort."""


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A smoothed text, and where its characters come from.

    Args:
        text: The characters.
        starts: For each of them, where what it comes from begins in the original; -1 where another
            character before it comes from there as well.
        ends: The same for the ends; -1 where another one after it comes from there as well.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def places(self, words: str) -> Iterator[tuple[int, int, int]]:
        """Where ``words`` begin, and their ranges of the original text, overlapping ones too."""
        found = self.text.find(words)
        while found >= 0:
            start, end = self.starts[found], self.ends[found + len(words) - 1]
            if start >= 0 and end >= 0:
                yield found, start, end
            found = self.text.find(words, found + 1)


class _Cluster(NamedTuple):
    """A letter with the marks on it, or a run of blanks; both ends without what is not seen."""

    text: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        return self.text[0].isalnum()


class Reading:
    """A text and its clusters, which all ways to smooth it begin with."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def clusters(self) -> tuple[_Cluster, ...]:
        """Its letters with the marks on them, its runs of blanks, its signs."""
        return tuple(_clusters(self.text))


Smoothing = Callable[[Reading], Smoothed]


def exactly(reading: Reading) -> Smoothed:
    """The text as it stands."""
    count = len(reading.text)
    return Smoothed(reading.text, tuple(range(count)), tuple(range(1, count + 1)))


def plainly(reading: Reading) -> Smoothed:
    """Without regard to case, signs of one kind, runs of blanks, HTML and what is not seen."""
    return _collect(reading.clusters, _plain)


def without_accents(reading: Reading) -> Smoothed:
    """And without accents."""
    return _collect(reading.clusters, _bare)


def without_blanks(reading: Reading) -> Smoothed:
    """And without blanks."""
    return _collect(reading.clusters, _unspaced)


def without_signs(reading: Reading) -> Smoothed:
    """And without the signs of hashtags, handles and initials."""
    return _collect(reading.clusters, _unspaced, left_out=_signs(reading.clusters))


SMOOTHINGS: tuple[Smoothing, ...] = (
    exactly,
    plainly,
    without_accents,
    without_blanks,
    without_signs,
)
"""From strict to loose."""


def _collect(
    clusters: Sequence[_Cluster],
    smooth: Callable[[str], str],
    left_out: frozenset[int] = frozenset(),
) -> Smoothed:
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for number, cluster in enumerate(clusters):
        smoothed = "" if number in left_out else smooth(cluster.text)
        if smoothed:
            characters.append(smoothed)
            rest = [-1] * (len(smoothed) - 1)
            starts += [cluster.start, *rest]
            ends += [*rest, cluster.end]
    return Smoothed("".join(characters), tuple(starts), tuple(ends))


def _clusters(text: str) -> Iterator[_Cluster]:
    # A letter and the accents after it stay together (accents come in any order), blanks too.
    held: _Cluster | None = None
    for unit in _units(text):
        if held and held.text.isspace() and unit.text.isspace():
            held = _Cluster(held.text, held.start, unit.end)
        elif held and unicodedata.combining(unit.text[0]) and len(held.text) <= _MOST_MARKS:
            held = _Cluster(held.text + unit.text, held.start, unit.end)
        else:
            if held:
                yield held
            held = unit
    if held:
        yield held


def _units(text: str) -> Iterator[_Cluster]:
    """Characters that are seen, one by one, and what escapes of HTML and Markdown stand for."""
    position = 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1 : position + 2] in _PUNCTUATION:
            position += 1
        character, end = text[position], position + 1
        if character == "&":
            character, end = _referred(text, position)
        if not _is_unseen(character):
            yield _Cluster(character, position, end)
        position = end


@lru_cache(maxsize=4096)
def _is_unseen(characters: str) -> bool:
    return all(map(is_unseen, characters))


def _referred(text: str, start: int) -> tuple[str, int]:
    """The character that is named at an ampersand, and where its name ends."""
    characters, end = "&", start + 1
    name = _REFERENCE.match(text, start)
    while name and (meant := _meaning(name[1])):
        characters, end = meant, name.end()
        # Escaped twice, the ampersand is itself escaped: "&amp;lt;".
        name = _ESCAPED.match(text, end) if meant == "&" else None
    if characters == "&" and end == start + 1 and (name := _UNENDED.match(text, start)):
        return html.unescape(name[0]), name.end()
    return characters, end


_ESCAPED = re.compile(_REFERENCE.pattern.removeprefix("&"))


def _meaning(name: str) -> str | None:
    if not name.startswith("#") and f"{name};" not in html5:
        return None
    return html.unescape(f"&{name};")


@lru_cache(maxsize=4096)
def _plain(cluster: str) -> str:
    if cluster.isspace():
        return " "
    decomposed = unicodedata.normalize("NFKD", cluster.translate(_PLAIN))
    return same_letters(unicodedata.normalize("NFKD", decomposed.casefold()))


@lru_cache(maxsize=4096)
def _bare(cluster: str) -> str:
    plain = _plain(cluster)
    return rough_letters("".join(mark for mark in plain if not _is_accent(mark)) or plain)


def _unspaced(cluster: str) -> str:
    return _bare(cluster).strip()


def _is_accent(mark: str) -> bool:
    """Accents, points of Arabic and Hebrew, Hindi's nukta; others change the word they are in."""
    kind = unicodedata.combining(mark)
    return mark == "\u093c" or kind == 1 or 10 <= kind <= 36 or kind >= 200


def _signs(clusters: Sequence[_Cluster]) -> frozenset[int]:
    """Places of signs that join words: those of hashtags and handles, initials, joined names."""
    return frozenset(
        number
        for number, cluster in enumerate(clusters)
        if not cluster.is_word and _is_sign(cluster.text, number, clusters)
    )


def _is_tag(place: int, clusters: Sequence[_Cluster]) -> bool:
    return 0 <= place < len(clusters) and clusters[place].text in {"#", "@"}


def _follows_tag(place: int, clusters: Sequence[_Cluster]) -> bool:
    """Whether the word before a place is that of a hashtag or handle."""
    start = place
    while start > 0 and clusters[start - 1].is_word:
        start -= 1
    return start < place and _is_tag(start - 1, clusters)


def _is_sign(sign: str, number: int, clusters: Sequence[_Cluster]) -> bool:
    """Whether a sign joins words.

    ``#`` and ``@`` before a word, a comma between two hashtags, a full stop behind one letter;
    ``_``, a middle dot and the Hebrew hyphen within a word.
    """

    def is_word(place: int) -> bool:
        return 0 <= place < len(clusters) and clusters[place].is_word

    def after_blank(place: int) -> int:
        blank = place < len(clusters) and clusters[place].text.isspace()
        return place + blank

    plain = _plain(sign)
    if plain in {"#", "@"}:
        return not is_word(number - 1) and is_word(after_blank(number + 1))
    if plain in {"_", "·"} or sign == _MAQAF:
        return is_word(number - 1) and is_word(number + 1)
    if plain == ",":
        return _is_tag(after_blank(number + 1), clusters) and _follows_tag(number, clusters)
    return plain == "." and is_word(number - 1) and not is_word(number - 2)
