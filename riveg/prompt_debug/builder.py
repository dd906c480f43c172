"""The document as one HTML page in the style of the report, which loads nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from riveg.files import make_folder, write_atomically
from riveg.images.palette import ink_on, type_colours
from riveg.prompt_debug.counts import (
    change_line,
    downstream_lines,
    how_it_came,
    question_line,
    token_line,
)
from riveg.prompt_debug.document import Compared, Consequence, Named, Post, PromptDebug, Row
from riveg.prompt_debug.message_diff import message_diff
from riveg.prompt_debug.word_diff import Piece, word_diff
from riveg.report.builder import page_style, policy
from riveg.report.images import SmallCopies
from riveg.types import ImageRef

_FOLDER = Path(__file__).with_name("page")

Values = dict[str, Any]


def write_page(found: PromptDebug, out: Path, image_roots: Sequence[Path]) -> None:
    """Writes the page.

    Args:
        found: What the page shows.
        out: The page's file.
        image_roots: Image folders; the page holds small copies of the images.

    Raises:
        UserError: If the page cannot be written.
    """
    make_folder(out.parent)
    # A sample may hold half a surrogate pair, which UTF-8 cannot encode.
    write_atomically(out, [page_of(found, image_roots).encode("utf-8", "replace")])


def page_of(found: PromptDebug, image_roots: Sequence[Path]) -> str:
    """The page's text; values are escaped, so that no text of a sample is markup."""
    from jinja2 import Environment, StrictUndefined

    colours = type_colours({one.label for sample in found.posts for one in sample.entities})
    style, script = page_style() + _read("prompt-debug.css") + _hues(colours), _script()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_read("prompt-debug.html.jinja"))
    return template.render(
        found=found,
        style=style,
        script=script,
        policy=policy(style, script),
        head=[(side, question_line(side), token_line(side)) for side in found.sides],
        lines=[change_line(found), *downstream_lines(found)] if found.compared else [],
        chips=_chips(found),
        diff=message_diff(*found.sides) if len(found.sides) == 2 else None,
        posts=list(_samples(found, image_roots)),
        hue_of={label: f"hue-{number}" for number, label in enumerate(colours)},
        how_it_came=how_it_came,
    )


def _hues(colours: dict[str, str]) -> str:
    """One rule a label: the page's own policy refuses style attributes."""
    return "".join(
        f".hue-{number} {{ --hue: {hue}; --hue-ink: {ink_on(hue)}; }}\n"
        for number, hue in enumerate(colours.values())
    )


def _chips(found: PromptDebug) -> list[tuple[str, str, int]]:
    """Filters: attribute, value, and how many cards have it."""
    if found.compared:
        states = Counter(one.state for one in found.compared)
        outcomes = Counter(
            one.outcome for one in found.consequences if one.outcome in {"fixed", "broken"}
        )
        chips = [("state", name, states[name]) for name in ("changed", "unasked", "same")]
        chips += [("outcome", name, outcomes[name]) for name in ("fixed", "broken")]
    else:
        kinds = Counter(_state(row) for row in found.sides[0].rows)
        chips = [("state", name, kinds[name]) for name in ("answered", "fault", "unasked")]
    return [chip for chip in chips if chip[2]]


def _state(row: Row) -> str:
    if row.answer is None:
        return "unasked"
    return "fault" if row.answer.fault else "answered"


def _samples(found: PromptDebug, image_roots: Sequence[Path]) -> Iterator[Values]:
    """Samples with their cards, those with changed answers first."""
    cards = _compared_cards(found) if found.compared else _request_cards(found)
    by_id = {sample.id: sample for sample in found.posts}
    samples = [by_id[sample_id] for sample_id in dict.fromkeys([*cards, *by_id])]
    images = [ImageRef(sample.image) if sample.image else None for sample in samples]
    for sample, image in zip(samples, SmallCopies(image_roots).of(images), strict=True):
        yield {"post": sample, "picture": image, "cards": cards.get(sample.id, [])}


def _request_cards(found: PromptDebug) -> dict[str, list[Values]]:
    cards: dict[str, list[Values]] = defaultdict(list)
    samples = {sample.id: sample for sample in found.posts}
    for row in found.sides[0].rows:
        names = [_name_of(samples[row.sample_id], entity_id) for entity_id in row.entity_ids]
        cards[row.sample_id].append({"names": names, "state": _state(row), "rows": [row]})
    return cards


def _compared_cards(found: PromptDebug) -> dict[str, list[Values]]:
    cards: dict[str, list[Values]] = defaultdict(list)
    samples = {sample.id: sample for sample in found.posts}
    consequences: dict[str, list[Consequence]] = defaultdict(list)
    for consequence in found.consequences:
        consequences[consequence.sample_id].append(consequence)
    for one in found.compared:
        own = [
            each
            for each in consequences[one.sample_id]
            if one.entity_id is None or each.entity_id == one.entity_id
        ]
        name = [_name_of(samples[one.sample_id], one.entity_id)] if one.entity_id else []
        cards[one.sample_id].append(
            {
                "names": name,
                "state": one.state,
                "outcomes": [each.outcome for each in own if each.outcome],
                "texts": _texts(one),
                "consequences": own,
                "rows": [_row_of(side.rows, one) for side in found.sides],
            }
        )
    return cards


def _name_of(sample: Post, entity_id: str | None) -> Named:
    known = (one for one in sample.entities if one.id == entity_id)
    return next(known, Named(entity_id or "", "", ""))


def _row_of(rows: Sequence[Row], one: Compared) -> Row | None:
    own = (
        row
        for row in rows
        if row.sample_id == one.sample_id
        and (one.entity_id in row.entity_ids or (one.entity_id is None and not row.entity_ids))
    )
    return next(own, None)


def _texts(one: Compared) -> list[Values]:
    """Both answers in pieces, or why there is no answer."""
    pieces: Sequence[Sequence[Piece]]
    if one.before is None or one.after is None:
        pieces = [[Piece(text, own=False)] if text else [] for text in (one.before, one.after)]
    else:
        pieces = word_diff(one.before, one.after)
    return [{"pieces": own, "fault": fault} for own, fault in zip(pieces, one.faults, strict=True)]


@cache
def _script() -> str:
    return _read("prompt-debug.js")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
