"""The columns ``text`` or ``tokens``, ``image``, ``id``, ``caption``, ``entities`` as a row.

A field that cannot be used does not stop the reading: it becomes an issue of its sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.dataset import Defect, Row, quoted
from riveg.datasets.entities_column import decode_entities
from riveg.datasets.frame_values import is_rounded, present, whole_number
from riveg.images.headers import ImageLimits
from riveg.text.tokenise import Offsets, join_tokens, tokenise
from riveg.types import Gold, ImageRef, Issue, Sample

_MOST_IMAGE_BYTES = ImageLimits().max_bytes

_JSON_COLUMNS = ("tokens", "offsets", "entities")

TEXT_BETWEEN = ("Text:", "")
"""What a post stands between in a prompt, if nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a field, or a whole row, cannot be used."""

    kind: str
    message: str


class ImageStore(Protocol):
    """Where images that come as bytes are stored."""

    def store(self, content: bytes) -> str:
        """Stores an image; its path below the store's folder."""


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """How columns are read.

    Args:
        label_map: Label in the data -> label in riveg; others stay as they are.
        columns: What the user said which column is which.
        images: Stores images that come as bytes; without it, only paths are allowed.
        delimiter: What separates the columns of a CSV file; ``None``: it is recognised.
        called: What the file is called in messages; ``None``: by its name.
        id_start: What the ids of rows that have none of their own begin with, where several files
            are read as one.
        file_names: What the ids of rows of each file go on with, where these are several.
        wished: What the user said of several files: it counts where a file has that column.
        text_between: What a post stands between in the prompts of SAKE's data; nothing behind it:
            it goes on to the end.
    """

    label_map: Mapping[str, str] = field(default_factory=dict)
    columns: ColumnChoice = field(default_factory=dict)
    images: ImageStore | None = None
    delimiter: str | None = None
    called: str | None = None
    id_start: str = ""
    file_names: Mapping[Path, str] = field(default_factory=dict)
    wished: ColumnChoice = field(default_factory=dict)
    text_between: tuple[str, str] = TEXT_BETWEEN

    def row(
        self,
        columns: Mapping[str, object] | Fault,
        path: Path,
        line: int,
        *,
        annotated: bool,
        unit: str = "line",
    ) -> Row:
        """The row in a line of a file (or in a ``row``), as :func:`row_of_columns`."""
        at = f"{line}" if unit == "line" else f" {unit} {line}"
        file = f"{self.file_names[path]}:" if path in self.file_names else ""
        return row_of_columns(
            columns,
            f"{self.called or path.name}:{at}",
            f"{self.id_start}{file}{unit}-{line}",
            self,
            annotated=annotated,
        )


class _Wording(NamedTuple):
    """A text with its tokens and their character ranges."""

    text: str
    tokens: tuple[str, ...] = ()
    offsets: Offsets = ()


def row_of_columns(
    columns: Mapping[str, object] | Fault,
    place: str,
    fallback_id: str,
    rules: ColumnRules,
    *,
    annotated: bool,
) -> Row:
    """The row of one line; its id is ``fallback_id`` where the line has none.

    Args:
        columns: Value by the column's own name; a :class:`Fault` in place of a value, or of all
            of them, that cannot be read.
        place: File and line.
        fallback_id: For example ``line-12``.
        rules: How to read the columns.
        annotated: Whether gold is read.
    """
    if isinstance(columns, Fault):
        return Row(place, Sample(fallback_id, "", (), (), issues=_issues([columns], place)))
    known = _known(tuple(columns), tuple(rules.columns.items()))
    columns = {
        name: _value(columns[own], name)
        for own, name in known.items()
        if annotated or name != "entities"
    }
    identity = _identity(columns)
    wording = _wording(columns)
    image = _image(columns.get("image"), rules.images)
    caption = _string(columns, "caption")
    faults = [part for part in (identity, wording, image, caption) if isinstance(part, Fault)]
    words = _Wording("") if isinstance(wording, Fault) else wording
    if not isinstance(wording, Fault) and not (words.tokens and words.text.strip()):
        faults.append(Fault("empty-text", "the post has no text"))
    sample = Sample(
        id=identity if isinstance(identity, str) else fallback_id,
        text=words.text,
        tokens=words.tokens,
        offsets=words.offsets,
        image=ImageRef(image) if isinstance(image, str) else None,
        caption=caption if isinstance(caption, str) else None,
        issues=_issues(faults, place) if faults else (),
    )
    value = columns.get("entities")
    if value is None or isinstance(wording, Fault):
        return Row(place, sample)
    if isinstance(value, Fault):
        message = f"what is in 'entities' {value.message}"
        return Row(place, sample, defects=(Defect("bad-entities", place, message),))
    return _with_gold(value, sample, place, rules.label_map)


@lru_cache(maxsize=64)
def _known(names: tuple[str, ...], chosen: tuple[tuple[str, str | None], ...]) -> dict[str, str]:
    """As :func:`known_columns`, whose answer is the same for most rows of a file."""
    return known_columns(names, dict(chosen))


def _value(value: object, name: str) -> object:
    """What stands in a column; ``None`` where it is missing.

    A list may be written as JSON; what is not JSON stays a string, which is refused where it is
    used.
    """
    if name not in _JSON_COLUMNS or not isinstance(value, str):
        return present(value)
    try:
        return present(json.loads(value)) if value else None
    except (ValueError, RecursionError):
        return value


def _with_gold(value: object, sample: Sample, place: str, label_map: Mapping[str, str]) -> Row:
    if not isinstance(value, list | tuple):
        message = f"expected a JSON list of entities in 'entities', found {_no_list(value)}"
        return Row(place, sample, defects=(Defect("bad-entities", place, message),))
    try:
        entities = decode_entities(value, sample.text, sample.offsets, label_map)
    except ValueError as error:
        return Row(place, sample, defects=(Defect("bad-entities", place, str(error)),))
    return Row(place, sample, Gold(sample.id, entities))


def _issues(faults: Sequence[Fault], place: str) -> tuple[Issue, ...]:
    return tuple(Issue("input", None, fault.kind, f"{place}: {fault.message}") for fault in faults)


def _identity(columns: Mapping[str, object]) -> str | Fault | None:
    value = whole_number(columns.get("id"))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        shown = f"the number {value:g}, which is too large to be exact"
        return Fault("bad-id", f"found {shown} in 'id'; write ids as strings")
    if isinstance(value, str) and is_rounded(value):
        message = f"found {quoted(value)} in 'id', a number without its last digits"
        return Fault("bad-id", f"{message} (a spreadsheet has rounded it: import ids as text)")
    return _string(columns, "id")


def _string(columns: Mapping[str, object], name: str) -> str | Fault | None:
    """The string in a column, ``None`` where it is absent or empty."""
    value = columns.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, Fault):
        return Fault(f"bad-{name}", f"what is in {name!r} {value.message}")
    if not isinstance(value, str):
        return Fault(f"bad-{name}", f"expected a string in {name!r}, found {_shown(value)}")
    if not _is_unicode(value):
        return Fault(f"bad-{name}", f"what is in {name!r} is not valid Unicode")
    return value


def _wording(columns: Mapping[str, object]) -> _Wording | Fault:
    text = columns.get("text")
    tokens = columns.get("tokens")
    for name, value in (("text", text), ("tokens", tokens)):
        if isinstance(value, Fault):
            return Fault(f"bad-{name}", f"what is in {name!r} {value.message}")
    if text is None and tokens is None:
        return Fault("missing-text", "neither 'text' nor 'tokens' is given")
    if text is not None and not isinstance(text, str):
        return Fault("bad-text", f"expected a string in 'text', found {_shown(text)}")
    if text is not None and not _is_unicode(text):
        return Fault("bad-text", "what is in 'text' is not valid Unicode")
    if tokens is None:
        return _Wording(str(text), *tokenise(str(text)))
    if not isinstance(tokens, list | tuple) or not all(map(_is_token, tokens)):
        message = f"expected a JSON list of strings in 'tokens', found {_no_list(tokens)}"
        return Fault("bad-tokens", message)
    if text is None:
        joined, ranges = join_tokens(tokens)
        return _Wording(joined, tuple(tokens), ranges)
    return _aligned(str(text), tuple(tokens), columns.get("offsets"))


def _aligned(text: str, tokens: tuple[str, ...], offsets: object) -> _Wording | Fault:
    """Tokens with the given ranges, or with those where each of them comes next in the text."""
    if offsets is None:
        ranges = _ranges_in(text, tokens)
        if ranges is None:
            return Fault("bad-tokens", "the tokens do not stand in the text in this order")
        return _Wording(text, tokens, ranges)
    if not isinstance(offsets, list | tuple) or not all(map(_is_range, offsets)):
        return Fault("bad-offsets", f"expected [start, end] pairs, found {_shown(offsets)}")
    ranges = tuple((int(start), int(end)) for start, end in offsets)
    edges = [edge for pair in ranges for edge in pair]
    in_order = edges == sorted(edges) and (not edges or edges[0] >= 0)
    if not in_order or [text[start:end] for start, end in ranges] != list(tokens):
        return Fault("bad-offsets", "the offsets do not cut the tokens out of the text")
    return _Wording(text, tokens, ranges)


def _ranges_in(text: str, tokens: Sequence[str]) -> Offsets | None:
    ranges: list[tuple[int, int]] = []
    position = 0
    for token in tokens:
        start = text.find(token, position)
        if start < 0:
            return None
        position = start + len(token)
        ranges.append((start, position))
    return tuple(ranges)


def _image(value: object, images: ImageStore | None) -> str | Fault | None:
    """The image's path; the store gives one to an image that comes as bytes."""
    if isinstance(value, Mapping) and images is not None:
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and images is not None:
        if len(value) > _MOST_IMAGE_BYTES:
            message = f"'image' holds {len(value)} bytes, the limit is {_MOST_IMAGE_BYTES}"
            return Fault("too-large", message)
        return images.store(value)
    return _string({"image": value}, "image")


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _is_unicode(value)


def _is_range(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return type(value[0]) is int and type(value[1]) is int


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON may hold halves of surrogate pairs."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _no_list(value: object) -> str:
    """What stands where a list should."""
    is_python = isinstance(value, str) and value.lstrip().startswith("[")
    return f"{_shown(value)}{'; JSON has double quotes and commas' if is_python else ''}"


def _shown(value: object) -> str:
    return f"{type(value).__name__} {quoted(str(value)[:100])}"
