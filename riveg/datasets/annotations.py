"""What an image's own annotation file holds, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.dataset import Defect
from riveg.types import Box, ImageSize, Mask

_LONGEST_NAME = 200
"""Bytes; file systems allow 255, and the suffix is added."""


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object of the image; ``name`` is the entity's text, not a class."""

    name: str
    box: Box
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class ImageAnnotation:
    """Objects in file order; ``defects`` are those that could not be read.

    ``size`` is the declared one, ``None`` where none is declared. ``forms`` says of each object
    how it is written, for sets whose format is not published.
    """

    file: str
    size: ImageSize | None = None
    objects: tuple[NamedObject, ...] = ()
    defects: tuple[Defect, ...] = ()
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnnotationFolder:
    """A folder with one annotation file for each image, ``<id><suffix>``.

    Args:
        folder: Where the files lie.
        suffix: Their ending, with the dot.
        has_masks: Whether objects come with masks.
        read_file: Reads one file; what cannot be read is among the defects.
    """

    folder: Path
    suffix: str
    has_masks: bool
    read_file: Callable[[Path], ImageAnnotation]

    def read(self, image_id: str) -> ImageAnnotation | None:
        """The image's annotation; ``None`` where it has no file."""
        # An id that is a path could lead out of the folder.
        if "\0" in image_id or image_id != Path(image_id).name:
            return None
        if len(os.fsencode(image_id)) > _LONGEST_NAME:
            return None
        path = self.folder / f"{image_id}{self.suffix}"
        return self.read_file(path) if path.is_file() else None
