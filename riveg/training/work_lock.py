"""One training at a time in a work folder: two would remove and overwrite each other's files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riveg.errors import UserError
from riveg.files import make_folder, try_lock, writing


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Keeps every other training out of a folder until the block ends, however it ends.

    The lock is on the folder itself, so that no file of it is left.

    Args:
        work: The folder; made if it is not there.

    Raises:
        UserError: If another training is at work in it, or it cannot be made.
    """
    make_folder(work)
    with writing(work):
        descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if try_lock(descriptor) is False:
            raise UserError(
                f"{work}: another training is at work in it; wait for it, or name another `out`"
            )
        yield
    finally:
        os.close(descriptor)
