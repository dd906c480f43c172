"""Where OCR text in an image spells a name: in whole words, with a few misread letters.

A name and a line of OCR text are cut into words at blanks and punctuation, and their case is
folded. A run of whole words spells the name if at most one letter in five differs when both are
written without blanks (so none in a name of up to four letters). Without blanks,
``#RioDeJaneiro``, ``RIO DE JANEIRO`` and an OCR text that lost a blank are the same; whole words
keep ``CITY`` from being found in ``CITYSTADIUM``. A run may go on in the line to the right or
below. Of several places the one most like the name is best, and of equal ones the one with the
largest letters: a headline comes before a caption.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from riveg.geometry.boxes import box_around, common_area
from riveg.types import Box, Observation

_WORD = re.compile(r"[^\W_]+")
_SHORTEST_SURNAME = 4
_SURNAME_WEIGHT = 0.8
"""A surname alone says less than the full name."""

_Follows = Callable[[Box, Box], bool]
"""Whether the second box of OCR text goes on where the first ends."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """A place that spells the name.

    Args:
        box: Of the words.
        likeness: To the name, in [0, 1]; lower where only the surname is there.
        score: Likeness times the reading score, in [0, 1].
        fills_lines: Whether its lines hold nothing else.
        line_words: How many words its lines have.
    """

    box: Box
    likeness: float
    score: float
    fills_lines: bool
    line_words: int


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    box: Box
    line: int
    score: float


def find_spellings(
    name: str, observations: Sequence[Observation], *, surname: bool = False
) -> tuple[Spelling, ...]:
    """Places that spell the name, best first, no two of them overlapping.

    Args:
        name: As the text has it; ``#`` and ``@`` do not count, and a leading "the" may be missing.
        observations: Of the image; only those of kind ``text`` count.
        surname: Whether the last word alone is enough, as on a jersey (for people).
    """
    words = [word for word, _, _ in _split_words(name)]
    lines = _lines(observations)
    found = _find_runs("".join(words), lines, 1.0)
    if len(words) > 1 and words[0] == "the":
        found += _find_runs("".join(words[1:]), lines, 1.0)
    if surname and len(words) > 1 and len(words[-1]) >= _SHORTEST_SURNAME:
        found += _find_runs(words[-1], lines, _SURNAME_WEIGHT)
    return _without_overlaps(found)


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance.

    >>> edit_distance("durant", "dvrantt")
    2
    """
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, start=1):
        previous, row[0] = row[0], i
        for j, right in enumerate(second, start=1):
            cost = min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
            previous, row[j] = row[j], cost
    return row[-1]


def likeness(first: str, second: str) -> float:
    """1 - edit distance / longer length; 0 where more than one letter in five differs.

    The shorter word counts for this share: ``nasa`` is not ``nasal``.
    """
    shortest, longest = sorted((len(first), len(second)))
    allowed = _allowance(shortest)
    if not shortest or longest - shortest > allowed:
        return 0.0
    distance = edit_distance(first, second)
    return 1 - distance / longest if distance <= allowed else 0.0


def _allowance(letters: int) -> int:
    return letters // 5


def _split_words(text: str) -> list[tuple[str, int, int]]:
    """Case-folded words with their character ranges in ``text``."""
    return [
        (unicodedata.normalize("NFKC", match.group()).casefold(), match.start(), match.end())
        for match in _WORD.finditer(text)
    ]


def _lines(observations: Sequence[Observation]) -> list[list[_Word]]:
    lines: list[list[_Word]] = []
    for observation in observations:
        if observation.kind != "text" or not observation.text:
            continue
        score = 1.0 if observation.score is None else observation.score
        words = [
            _Word(word, _word_box(observation.box, observation.text, start, end), len(lines), score)
            for word, start, end in _split_words(observation.text)
        ]
        if words:
            lines.append(words)
    return lines


def _word_box(box: Box, text: str, start: int, end: int) -> Box:
    """The part of a line's box that some of its characters take; the whole of a vertical line."""
    if box.height > box.width:
        return box
    step = box.width / _text_width(text)
    x_min = box.x_min + _text_width(text[:start]) * step
    return Box(x_min, box.y_min, x_min + _text_width(text[start:end]) * step, box.y_max)


def _text_width(text: str) -> float:
    """Width of a text, in widths of a small letter of common typefaces."""
    narrow, wide = sum(text.count(one) for one in " iIjl.,:;'|!1"), sum(map(str.isupper, text))
    return len(text) + 0.25 * (wide - text.count("I")) - 0.5 * narrow


def _find_runs(key: str, lines: list[list[_Word]], weight: float) -> list[Spelling]:
    if len(key) < 2:
        return []
    found: list[Spelling] = []
    for words in _sequences(lines):
        for start in range(len(words)):
            run = ""
            for end in range(start, len(words)):
                run += words[end].text
                if len(run) > len(key) + _allowance(len(key)):
                    break
                like = weight * likeness(key, run)
                if like:
                    used = words[start : end + 1]
                    score = like * min(word.score for word in used)
                    fills = len(used) == len(words)
                    found.append(Spelling(_hull(used), like, score, fills, len(words)))
    return found


def _sequences(lines: list[list[_Word]]) -> Iterator[list[_Word]]:
    """Each line alone, and each line with one or two lines in which it goes on."""
    for index, line in enumerate(lines):
        yield line
        for follows in (_right_of, _below):
            words, last = list(line), index
            for _ in range(2):
                after = _next(lines, last, follows)
                if after is None:
                    break
                words, last = words + lines[after], after
                yield words


def _next(lines: list[list[_Word]], index: int, follows: _Follows) -> int | None:
    here = _hull(lines[index])
    boxes = {i: _hull(words) for i, words in enumerate(lines) if i != index}
    after = [i for i, box in boxes.items() if follows(here, box)]
    return min(after, key=lambda i: (boxes[i].y_min, boxes[i].x_min), default=None)


def _right_of(here: Box, there: Box) -> bool:
    overlap = min(here.y_max, there.y_max) - max(here.y_min, there.y_min)
    gap = there.x_min - here.x_max
    lower = min(here.height, there.height)
    return overlap > 0.5 * lower and -0.5 * lower < gap < 1.5 * lower


def _below(here: Box, there: Box) -> bool:
    overlap = min(here.x_max, there.x_max) - max(here.x_min, there.x_min)
    gap = there.y_min - here.y_max
    lower = min(here.height, there.height)
    return overlap > 0 and -0.5 * lower < gap < lower


def _hull(words: Sequence[_Word]) -> Box:
    return box_around([word.box for word in words])


def _without_overlaps(found: Sequence[Spelling]) -> tuple[Spelling, ...]:
    """Best first: most alike, then with the largest letters; none that overlaps a better one.

    Of the same words the shortest line counts: a line is also found with those that go on.
    """
    kept: list[Spelling] = []
    for one in sorted(found, key=_rank):
        if not any(_overlap(one.box, other.box) for other in kept):
            kept.append(one)
    return tuple(kept)


def _rank(spelling: Spelling) -> tuple[float, ...]:
    # Differences of reading scores are chance: they come after the size of the letters.
    box = spelling.box
    return -spelling.likeness, -box.area, -spelling.score, box.x_min, box.y_min, spelling.line_words


def _overlap(first: Box, second: Box) -> bool:
    return common_area(first, second) > 0.2 * min(first.area, second.area)
