"""Names of images as other systems write them."""

from __future__ import annotations

from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"})


def image_stem(name: str) -> str:
    """An image's id: its file name without folders and without the suffix of an image.

    >>> image_stem("twitter2017_images/17_06_4689.jpg")
    '17_06_4689'
    """
    file = PurePosixPath(name.replace("\\", "/"))
    return file.stem if file.suffix.lower() in IMAGE_SUFFIXES else file.name
