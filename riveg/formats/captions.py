"""Text files of captions, in the two forms that were published beside the Twitter sets.

In the first form each line is a caption: ``ID.jpg :CAPTION``. In the second form a caption begins
with ``imgid:ID###`` and goes on over the lines that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from riveg.errors import UserError
from riveg.files import open_regular

_ONE_LINE = re.compile(r"(?P<id>.+?)\.(?:jpe?g|png|gif|webp|bmp) ?:(?P<caption>.*)", re.IGNORECASE)
_SEVERAL_LINES = re.compile(r"imgid:(?P<id>.+?)###(?P<caption>.*)")


@dataclass(frozen=True, slots=True)
class PublishedCaption:
    """A caption without outer blanks, and the number of the line that it begins in.

    ``image_id`` is ``None`` for a line that is in neither form; ``text`` is then that line.
    """

    line: int
    image_id: str | None
    text: str


def read_captions(path: Path, *, is_mixed: bool) -> Iterator[PublishedCaption]:
    """Captions in file order, empty ones and repeated ids too.

    Args:
        path: The text file, with or without a byte order mark.
        is_mixed: Whether a line of the first form ends a caption of the second form (if its id has
            no blank, since a sentence may look like that); otherwise the line belongs to it.

    Raises:
        UserError: If the file cannot be read or is no UTF-8.
    """
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8-sig") as handle:
            yield from _captions(handle, is_mixed=is_mixed)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error


def _captions(lines: Iterable[str], *, is_mixed: bool) -> Iterator[PublishedCaption]:
    first, image_id, parts = 0, "", list[str]()
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        opening = _SEVERAL_LINES.fullmatch(line)
        whole = None if opening else _ONE_LINE.fullmatch(line)
        if image_id and not opening and not (is_mixed and whole and " " not in whole["id"]):
            parts.append(line)
            continue
        if image_id:
            yield PublishedCaption(first, image_id, "\n".join(parts).strip())
            image_id = ""
        if opening:
            first, image_id, parts = number, opening["id"], [opening["caption"]]
        elif whole:
            yield PublishedCaption(number, whole["id"], whole["caption"].strip())
        elif line.strip():
            yield PublishedCaption(number, None, line)
    if image_id:
        yield PublishedCaption(first, image_id, "\n".join(parts).strip())
