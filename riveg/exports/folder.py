"""A folder that is written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riveg.errors import UserError
from riveg.files import make_folder, write_atomically, writing
from riveg.formats.run_records import UNFINISHED

_UNFINISHED = """\
This export is being written, or was cut off while it was. Where no riveg is at work on it, remove
the folder and export the run again.
"""


@contextmanager
def filling(out: Path) -> Iterator[None]:
    """A block that fills a folder; what it wrote is removed again if it fails.

    While it works, a file in the folder says that it is unfinished (:data:`UNFINISHED`).

    Args:
        out: A folder that is empty or not there.

    Raises:
        UserError: If it holds files, is no folder, or cannot be written.
    """
    is_new = not out.exists()
    _require_empty(out)
    try:
        make_folder(out)
        write_atomically(out / UNFINISHED, [_UNFINISHED.encode()])
        yield
        with writing(out / UNFINISHED):
            (out / UNFINISHED).unlink()
    except BaseException:
        _clear(out, remove=is_new)
        raise


def _require_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "holds files" if out.is_dir() else "is no folder"
        if (out / UNFINISHED).is_file():
            what = "holds an export that did not come to its end, remove it"
        raise UserError(f"{out}: {what}; give --out a new or an empty folder")


def _clear(out: Path, *, remove: bool) -> None:
    """Empties the folder, which held nothing before."""
    for path in out.iterdir() if out.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if remove and out.is_dir():
        out.rmdir()
