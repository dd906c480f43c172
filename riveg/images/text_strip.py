"""The strip below an overlay: the sample with its entities marked, and those without a place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest

from PIL import Image, ImageDraw

from riveg.images.directions import runs_right_to_left, seen_order
from riveg.images.fonts import PAPER, Fonts, Sizes
from riveg.images.lettering import Lettering
from riveg.images.palette import INK
from riveg.text.characters import UNSPACED
from riveg.text.label_text import label_text
from riveg.text.spans import character_range
from riveg.types import Entity, Sample

_GREY = "#6f757c"
_LONGEST_TEXT = 1200
_MOST_LINES = 10
_STOPS = frozenset(",.!?:;…")
_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the sample, or an entity of a list, with the colour of its entity."""

    text: str
    entity_id: str | None = None
    colour: str | None = None
    joined: bool = False


def draw_strip(
    sample: Sample,
    colours: Mapping[str, str],
    width: int,
    sizes: Sizes,
    fonts: Fonts,
    unnamed: Sequence[Entity] = (),
) -> Image.Image:
    """The sample's text with its entities marked, then those that have no place in the image.

    Args:
        sample: The sample.
        colours: The colour of each label; entities without a place in the image are grey.
        width: Of the strip, in pixels.
        sizes: Measures of its text.
        fonts: What it is written with.
        unnamed: Entities with a place in the image that has no room for their names.
    """
    margin = 2 * sizes.gap
    face = Lettering(fonts, sizes.text)
    words = list(_sample_words(sample, colours, fonts))
    right_to_left = bool(runs_right_to_left("".join(word.text for word in words)))
    lines = _wrap(words, face, width - 2 * margin, right_to_left=right_to_left)
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], [(0.0, _Word("…"))]]
    note_face = Lettering(fonts, sizes.small)
    groups = [*_unplaced(sample), *([("No room for the names of:", unnamed)] if unnamed else [])]
    notes = [
        line
        for heading, entities in groups
        for line in _wrap(
            _list_words(heading, entities, note_face, width), note_face, width - 2 * margin
        )
    ]
    text_step, note_step = round(sizes.text * 1.6), round(sizes.small * 1.8)
    split = margin + text_step * len(lines)
    height = split + note_step * len(notes) + margin
    strip = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(strip)
    for row, line in enumerate(lines):
        _paint_line(pen, line, (margin, margin + row * text_step), text_step, face)
    for row, line in enumerate(notes):
        _paint_line(pen, line, (margin, split + row * note_step), note_step, note_face, ink=_GREY)
    return strip


def entity_note(entity: Entity, fonts: Fonts) -> str:
    """An entity's labels, and the probability that the image shows it where that is known."""
    probability = None if entity.entailment is None else entity.entailment.probability
    label = fonts.showable(label_text(entity.label, entity.fine_label)) or "…"
    return label if probability is None else f"{label} shown {probability:.2f}"


def _sample_words(sample: Sample, colours: Mapping[str, str], fonts: Fonts) -> Iterator[_Word]:
    """The text's words in order; those of entities have a colour, grey without a region."""
    text = sample.text[:_LONGEST_TEXT]
    done = 0
    for entity in sorted(sample.entities or (), key=lambda entity: entity.span.start):
        place = character_range(sample.offsets, entity.span)
        if place is None or place[0] < done or place[1] > len(text):
            continue
        start, end = place
        yield from _words(text, (done, start), fonts)
        colour = colours[entity.label] if entity.regions else _GREY
        if fonts.showable(text[start:end]) is None:
            yield _Word(entity.id, entity.id, colour, _follows(text, start))
        else:
            yield from _words(text, (start, end), fonts, entity.id, colour)
        done = end
    yield from _words(text, (done, len(text)), fonts)
    if len(text) < len(sample.text):
        yield _Word("…")


def _words(
    text: str,
    part: tuple[int, int],
    fonts: Fonts,
    entity_id: str | None = None,
    colour: str | None = None,
) -> Iterator[_Word]:
    """Words of a part of the text; one ellipsis for those in a row that cannot be shown."""
    unshown = False
    for found in re.finditer(r"\S+", text[part[0] : part[1]]):
        follows = _follows(text, part[0] + found.start())
        word = fonts.showable(found[0])
        if word:
            # Tokenised data has blanks before punctuation, which is hard to read.
            yield _Word(word, entity_id, colour, follows or word in _STOPS)
        elif word is None and not unshown:
            yield _Word("…", entity_id, colour, follows)
        unshown = word is None


def _follows(text: str, position: int) -> bool:
    return position > 0 and not text[position - 1].isspace()


_ABSENT = "Not in the picture:"
_UNSEEN = "Nothing seen of:"
_NOT_FOUND = "In the picture, place not found:"
_UNANSWERED = "Not grounded:"
_REASONS = (_ABSENT, _UNSEEN, _NOT_FOUND, _UNANSWERED)


def _unplaced(sample: Sample) -> list[tuple[str, list[Entity]]]:
    """Headings with the entities that have no region for that reason."""
    if sample.entities is None:
        return [("Not tagged", [])]
    if not sample.entities:
        return [("No entities in this post", [])]
    groups: dict[str, list[Entity]] = {reason: [] for reason in _REASONS}
    for entity in sample.entities:
        if not entity.regions:
            groups[_reason(entity)].append(entity)
    return [(heading, entities) for heading, entities in groups.items() if entities]


def _reason(entity: Entity) -> str:
    """Why an entity has no region: the gate's no, and of what kind; no place; nobody looked."""
    if entity.entailment is not None and entity.entailment.is_unseen:
        return _UNSEEN
    shown = None if entity.entailment is None else entity.entailment.groundable
    if entity.regions is None:
        return _ABSENT if shown is False else _UNANSWERED
    return _NOT_FOUND if shown else _ABSENT


def _list_words(
    heading: str, entities: Sequence[Entity], face: Lettering, width: int
) -> Iterator[_Word]:
    yield from (_Word(word) for word in heading.split())
    for entity in entities:
        name = face.shorten(face.fonts.showable(entity.text) or entity.id, width * 0.55)
        note = f"· {entity_note(entity, face.fonts)}"
        if runs_right_to_left(name):  # in a line of its own, the note would come before the name
            yield from (_Word(part, entity.id, _GREY) for part in (name, note))
        else:
            yield _Word(f"{name} {note}", entity.id, _GREY)


def _wrap(
    words: Iterable[_Word], face: Lettering, width: float, *, right_to_left: bool = False
) -> list[list[tuple[float, _Word]]]:
    """Lines of words with their left edges; a word wider than a line is broken.

    Punctuation may stand in the margin at the end of a line rather than on a new line.
    """
    space = face.length(" ") + 2
    lines: list[list[tuple[float, _Word]]] = [[]]
    edge = 0.0
    for word in words:
        start = edge if word.joined or not lines[-1] else edge + space
        room = width - start if _UNSPACED.search(word.text) else None
        for index, piece in enumerate(face.break_word(word.text, width, room)):
            length = face.length(piece)
            joined = word.joined or index > 0
            left = edge if joined or not lines[-1] else edge + space
            if left + length > width and lines[-1] and piece not in _STOPS:
                lines.append([])
                left = 0.0
            lines[-1].append((left, replace(word, text=piece)))
            edge = left + length
    return [_as_seen(line, face, width, right_to_left=right_to_left) for line in lines if line]


def _as_seen(
    line: list[tuple[float, _Word]], face: Lettering, width: float, *, right_to_left: bool
) -> list[tuple[float, _Word]]:
    """The line's words from left to right; a line of a text from the right ends at the right."""
    order = seen_order([word.text for _, word in line], right_to_left=right_to_left)
    if order == list(range(len(line))) and not right_to_left:
        return line
    lengths = [face.length(word.text) for _, word in line]
    gaps = [
        left - before for (left, _), before in zip(line[1:], _ends(line, lengths), strict=False)
    ]
    seen: list[tuple[float, _Word]] = []
    edge = 0.0
    for place, after in zip_longest(order, order[1:]):
        seen.append((edge, line[place][1]))
        edge += lengths[place]
        if after is not None:
            edge += gaps[max(place, after) - 1] if abs(place - after) == 1 else face.length(" ") + 2
    shift = max(0.0, width - edge) if right_to_left else 0.0
    return [(left + shift, word) for left, word in seen]


def _ends(line: Sequence[tuple[float, _Word]], lengths: Sequence[float]) -> list[float]:
    return [left + length for (left, _), length in zip(line, lengths, strict=True)]


def _paint_line(
    pen: ImageDraw.ImageDraw,
    line: Sequence[tuple[float, _Word]],
    corner: tuple[int, int],
    step: int,
    face: Lettering,
    *,
    ink: str = INK,
) -> None:
    """One line; an entity's words stand on a tint of its colour, underlined with the colour."""
    x, y = corner
    groups = [list(group) for _, group in groupby(line, key=lambda placed: placed[1].entity_id)]
    for words, after in zip_longest(groups, groups[1:]):
        colour = words[0][1].colour
        if words[0][1].entity_id is None or colour is None:
            continue
        end = words[-1][0] + face.length(words[-1][1].text)
        # One pixel wider on each side, but not over a character that touches the name.
        left = x + words[0][0] - (not words[0][1].joined)
        right = x + end + 1 - 2 * bool(after and after[0][1].joined)
        ground = (round(left), y + 1, round(right), y + step - 3)
        pen.rectangle(ground, fill=_tint(colour))
        pen.rectangle((ground[0], ground[3] - 1, ground[2], ground[3]), fill=colour)
    for left, word in line:
        face.draw(pen, (x + left, y + step / 2 - 1), word.text, ink)


def _tint(colour: str) -> tuple[int, int, int]:
    red, green, blue = (255 - (255 - int(colour[at : at + 2], 16)) // 4 for at in (1, 3, 5))
    return red, green, blue
