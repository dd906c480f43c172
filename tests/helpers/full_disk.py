"""What writers say on a disk that is really full: a program for a namespace of its own.

``python full_disk.py FOLDER``: writes the run in ``FOLDER/run`` in every way, each on a file system
that cannot be written, then on those of 1, 2, 3 ... pages. It prints a JSON line for each: the way,
the pages (0: none can be written) and what riveg said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

from riveg.datasets.convert import Kind, convert
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.exports.registry import FORMATS, export_run
from riveg.exports.source import ExportSource
from riveg.images.fonts import Fonts
from riveg.report.builder import write_page
from riveg.runs.overlays import write_overlay

_SAMPLE = "ünï/ ../:1"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def writers(run: Path, disk: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that writes the answers of a run, by its name."""
    options: dict[str, dict[str, object]] = {
        "voc": {"copy_images": True},
        "yolo-seg": {"copy_images": True},
        "png": {"per_entity": True},
    }
    for name in FORMATS:
        given = options.get(name, {})
        source = ExportSource.of_run(run)
        yield name, partial(export_run, source, name, disk / "out", given)
    yield "report", lambda: write_page(run, disk / "out.html")
    yield "overlay", lambda: write_overlay(run, _SAMPLE, disk / "out.png", Fonts())
    rows = run.parent / "rows.jsonl"
    for kind in get_args(Kind):
        yield (
            f"convert {kind}",
            partial(convert, open_dataset(str(rows)), disk / "out", kind),
        )


def what_came(write: Callable[[], Any], disk: Path, pages: int) -> str | None:
    """The error on a disk of so many pages, 0 for none; ``None`` where there is room."""
    options = f"size={pages * _PAGE}" if pages else "ro"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)
    try:
        write()
    except UserError as error:
        return str(error)
    finally:
        subprocess.run(["umount", disk], check=True)
    return None


def main(folder: Path) -> None:
    """Prints a line for each writer and size."""
    disk = folder / "disk"
    disk.mkdir()
    for name, write in writers(folder / "run", disk):
        for pages in (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 4096):
            found = what_came(write, disk, pages)
            sys.stdout.write(json.dumps([name, pages, found]) + "\n")
            if found is None:
                break


if __name__ == "__main__":
    main(Path(sys.argv[1]))
