"""What an image's own annotation file holds, whatever its format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from riveg.datasets.dataset import Defect
from riveg.types import Box, Mask

_LONGEST_NAME = 200
"""Bytes; file systems end at 255, and a suffix is still to come."""


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object of the image; ``name`` is the entity's text, not a class."""

    name: str
    box: Box
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class ImageAnnotation:
    """Objects in file order; ``defects`` are those that could not be read.

    ``size`` is the declared width and height, ``None`` where none is declared.
    """

    file: str
    size: tuple[int, int] | None = None
    objects: tuple[NamedObject, ...] = ()
    defects: tuple[Defect, ...] = ()
    forms: tuple[str, ...] = ()


class AnnotationFolder(Protocol):
    """A folder with one annotation file an image."""

    @property
    def folder(self) -> Path:
        """Where the files lie."""

    @property
    def suffix(self) -> str:
        """Their ending, with the dot."""

    @property
    def has_masks(self) -> bool:
        """Whether objects come with masks."""

    def read(self, image_id: str) -> ImageAnnotation | None:
        """The image's annotation; ``None`` where it has no file."""


def annotation_file(folder: Path, image_id: str, suffix: str) -> Path | None:
    """The file of an image, ``None`` where there is none; ids that are paths have none."""
    if "\0" in image_id or image_id != Path(image_id).name:
        return None
    if len(os.fsencode(image_id)) > _LONGEST_NAME:
        return None
    path = folder / f"{image_id}{suffix}"
    return path if path.is_file() else None
