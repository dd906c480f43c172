"""Lines of text files, with errors that name the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from riveg.errors import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"})


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line without its end, with its number from 1; a byte order mark is left out.

    Raises:
        UserError: If the file cannot be read, or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, start=1):
                yield number, line.removesuffix("\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error})") from error


def image_stem(name: str) -> str:
    """An image's id: its file name without folders and without the suffix of an image.

    >>> image_stem("twitter2017_images/17_06_4689.jpg")
    '17_06_4689'
    """
    file = PurePosixPath(name.replace("\\", "/"))
    return file.stem if file.suffix.lower() in IMAGE_SUFFIXES else file.name


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "line is", "lines are"), counted(2, "line is", "lines are")
    ('1 line is', '2 lines are')
    """
    return f"{number} {one if number == 1 else many}"
