"""SAKE's data: Parquet files with a post in a prompt, its image as bytes, and gold by words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from riveg.datasets.arrow import ArrowReader
from riveg.datasets.arrow_files import column_batches, parquet_schema
from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.columns import ColumnRules, Fault
from riveg.datasets.dataset import quoted
from riveg.datasets.standard_input import shown
from riveg.errors import UserError
from riveg.formats.e2e_answer import Corners
from riveg.formats.sake import SakeEntity, parse_entities
from riveg.text.alignment import TokenAligner, Unaligned
from riveg.text.tokenise import tokenise
from riveg.types import Span

IMAGES, PROMPT, GOLD = "images", "prompt", "ground_truth"
_OWN: Mapping[str, str] = {"image": IMAGES, "text": PROMPT, "entities": GOLD}
"""riveg's column -> SAKE's, which is read where the file has none of riveg's name."""

_KEPT = frozenset({"id", "text", "image", "caption"})
"""Usual columns that are read beside them."""


def sake_reader(files: Mapping[str, Path], rules: ColumnRules) -> ArrowReader:
    """Reads ``.parquet`` files with the columns ``images``, ``prompt`` and ``ground_truth``.

    The post is what stands in the prompt's last turn between ``rules.text_between``. Entries of
    ``ground_truth`` with the same words and type are one entity with several boxes, until a box
    comes again: that is the next mention of these words in the text.
    """
    return ArrowReader(
        files,
        rules,
        partial(_schema, chosen=rules.columns),
        partial(_batches, between=rules.text_between),
    )


def _schema(path: Path, *, chosen: ColumnChoice) -> Any:
    """The schema of the rows that are made; images are structs of bytes and path."""
    import pyarrow as pa

    raw = parquet_schema(path)
    if PROMPT not in raw.names and "text" not in known_columns(raw.names, chosen).values():
        raise UserError(
            f"{shown(path)}: has no column {PROMPT!r}; the format sake reads {IMAGES}, {PROMPT} "
            f"and {GOLD}, found {', '.join(map(repr, raw.names))}"
        )
    kinds = {"image": pa.struct([("bytes", pa.binary())]), "text": pa.string()}
    made = {meant: own for meant, own in _OWN.items() if own in raw.names}
    fields = [raw.field(name) for name in raw.names if name not in _OWN.values()]
    taken = {field.name for field in fields}
    fields += [pa.field(one, kinds.get(one, pa.string())) for one in made if one not in taken]
    return pa.schema(fields)


def _batches(
    path: Path, chosen: ColumnChoice, *, between: tuple[str, str]
) -> Iterator[list[dict[str, Any]]]:
    def kept(names: Sequence[str]) -> dict[str, str]:
        known = known_columns(names, chosen)
        return {own: meant for own, meant in known.items() if meant in _KEPT}

    def choose(names: Sequence[str]) -> list[str]:
        return [*kept(names), *(own for own in _OWN.values() if own in names)]

    for batch in column_batches(path, choose):
        yield [_row(raw, kept([*raw]), between) for raw in batch]


def _row(
    raw: Mapping[str, Any], kept: Mapping[str, str], between: tuple[str, str]
) -> dict[str, Any]:
    """A row with riveg's columns."""
    row = {own: raw[own] for own in kept}
    own_of = {meant: own for own, meant in kept.items()}
    if "text" not in own_of:
        row["text"] = _post(raw.get(PROMPT), between)
    if "image" not in own_of and IMAGES in raw:
        row["image"] = _image(raw[IMAGES])
    if GOLD in raw:
        row["entities"] = _gold(raw[GOLD], row[own_of.get("text", "text")])
    return row


def _post(prompt: object, between: tuple[str, str]) -> str | Fault | None:
    """The post in a prompt, which is a text or a list of messages."""
    words = _last_text(prompt)
    if words is None:
        return None
    start, end = between
    places = [*re.finditer(rf"^{re.escape(start)}", words, re.MULTILINE if start else 0)]
    if len(places) != 1:
        return Fault(
            "bad-text",
            f"is not to be found: {len(places)} lines of the prompt {quoted(words)} begin with "
            f"{start!r}; say in the YAML what the post stands between (text_between)",
        )
    post = words[places[0].end() :]
    return (post.split(end, 1)[0] if end else post).strip()


def _last_text(prompt: object) -> str | None:
    """The text of a prompt, or of its last turn."""
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], Mapping):
        prompt = prompt[-1].get("content")
    if isinstance(prompt, list):
        texts = (part.get("text") for part in prompt if isinstance(part, Mapping))
        prompt = "\n".join(text for text in texts if isinstance(text, str))
    return prompt if isinstance(prompt, str) else None


def _image(images: object) -> object:
    if not isinstance(images, list):
        return images
    if len(images) > 1:
        return Fault("bad-image", f"is {len(images)} pictures; a post has one")
    return images[0] if images else None


def _gold(value: object, text: object) -> object:
    """Entities for the column ``entities``, or why there are none."""
    if value is None or not isinstance(text, str):
        return None
    try:
        return _placed(parse_entities(value), text)
    except (ValueError, Unaligned) as error:
        return Fault("bad-entities", f"cannot be read: {error}")


def _placed(entries: Sequence[SakeEntity], text: str) -> list[dict[str, Any]]:
    """The entities at their tokens.

    Raises:
        Unaligned: If the text does not have the words, or not so often.
    """
    find = _finder(text)
    boxes: dict[tuple[str, str, int], list[Corners]] = {}
    latest: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        kind = entry.words, entry.label
        own = boxes.get((*kind, latest[kind]))
        if own is None or not entry.boxes or not own or own[0] in entry.boxes:
            latest[kind] += 1
            own = boxes.setdefault((*kind, latest[kind]), [])
        own += entry.boxes
    return [
        {"label": label, **find(words), "boxes": [list(box) for box in own]}
        for (words, label, _), own in boxes.items()
    ]


def _finder(text: str) -> Callable[[str], dict[str, int]]:
    """Finds the next place of words each time it is asked for them."""
    _, offsets = tokenise(text)
    aligner = TokenAligner(text, offsets)
    seen: defaultdict[str, set[Span]] = defaultdict(set)

    def find(words: str) -> dict[str, int]:
        span = aligner.find(words, len(seen[words]) + 1)
        if span in seen[words]:  # where there is only one place, its number is not looked at
            raise Unaligned(f"the text has {quoted(words)} less often than the list")
        seen[words].add(span)
        return {"start": span.start, "end": span.end}

    return find
