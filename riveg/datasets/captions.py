"""Caption files beside the Twitter sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from riveg.errors import UserError
from riveg.formats.captions import read_captions


def captions_by_image(paths: Iterable[Path]) -> dict[str, str]:
    """Caption by image id, from files that may mix both published forms.

    The first caption of an id counts, empty captions do not. Files that do not exist are left out.

    Raises:
        UserError: If a line is in neither form and continues no caption, or a file is no UTF-8.
    """
    captions: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            continue
        for found in read_captions(path, is_mixed=True):
            if found.image_id is None:
                raise UserError(
                    f"{path}:{found.line}: expected '<id>.jpg :caption' or 'imgid:<id>###caption'"
                )
            if found.text:
                captions.setdefault(found.image_id, found.text)
    return captions
