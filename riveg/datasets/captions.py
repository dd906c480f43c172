"""Caption files beside the Twitter sets, in the two forms that RiVEG released."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from riveg.errors import UserError

_SHORT = re.compile(r"(?P<id>\S+?)\.(?:jpe?g|png|gif|webp|bmp) ?:(?P<caption>.*)", re.IGNORECASE)
_LONG = re.compile(r"imgid:(?P<id>[^#]+)###(?P<caption>.*)")


def read_captions(paths: Iterable[Path]) -> dict[str, str]:
    """Caption by image id: ``<id>.jpg :caption`` or ``imgid:<id>###caption`` over many lines.

    The first caption of an id counts, empty ones do not. Files that are not there are left out.

    Raises:
        UserError: If a line is in neither form and continues none, or a file is no UTF-8.
    """
    captions: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            continue
        try:
            with path.open(encoding="utf-8-sig") as handle:
                for image_id, caption in _captions(handle, path):
                    if caption:
                        captions.setdefault(image_id, caption)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    return captions


def _captions(lines: Iterable[str], path: Path) -> Iterator[tuple[str, str]]:
    image_id, said, is_open = "", [""], False
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        match = _LONG.fullmatch(line) or _SHORT.fullmatch(line)
        if match:
            if image_id:
                yield image_id, "\n".join(said).strip()
            image_id, said, is_open = match["id"], [match["caption"]], match.re is _LONG
        elif is_open:
            said.append(line)
        elif line.strip():
            raise UserError(
                f"{path}:{number}: expected '<id>.jpg :caption' or 'imgid:<id>###caption'"
            )
    if image_id:
        yield image_id, "\n".join(said).strip()
