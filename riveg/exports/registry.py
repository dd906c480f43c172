"""Export formats by name: a table of strings, imported on use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import cast

from riveg.errors import UserError, suggest
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, write_atomically, writing
from riveg.formats.run_records import UNFINISHED

FORMATS: Mapping[str, str] = {
    "smner": "riveg.exports.smner:export_smner",
    "coco": "riveg.exports.coco:export_coco",
    "labelstudio": "riveg.exports.labelstudio:export_labelstudio",
    "parquet": "riveg.exports.parquet:export_parquet",
    "png": "riveg.exports.png:export_png",
    "voc": "riveg.exports.voc:export_voc",
    "yolo-seg": "riveg.exports.yolo_seg:export_yolo_seg",
    "jsonl": "riveg.exports.jsonl:export_jsonl",
    "triples": "riveg.exports.triples:export_triples",
}
"""``name -> "module:function"``; a format's options are its function's keyword arguments."""


_UNFINISHED = """\
This export is being written, or was cut off while it was. Where no riveg is at work on it, remove
the folder and export the run again.
"""


def exporter(name: str) -> Callable[..., ExportReport]:
    """The function that writes a format into an empty folder, in memory that does not grow.

    Raises:
        UserError: If there is no such format.
    """
    if name not in FORMATS:
        raise UserError(f"no format {name!r}; {suggest(name, FORMATS)}")
    module, _, function = FORMATS[name].partition(":")
    return cast("Callable[..., ExportReport]", getattr(import_module(module), function))


def options_of(name: str) -> frozenset[str]:
    """Names of the options that a format takes.

    Raises:
        UserError: If there is no such format.
    """
    parameters = signature(exporter(name)).parameters.values()
    return frozenset(item.name for item in parameters if item.kind is Parameter.KEYWORD_ONLY)


def export_run(
    source: ExportSource, name: str, out: Path, options: Mapping[str, object] = {}
) -> ExportReport:
    """Writes a run in a format; what was written is removed again if that fails.

    While it is written, a file in the folder says that it is unfinished (:data:`UNFINISHED`).

    Args:
        source: The run.
        name: The format.
        out: A folder that is empty or not there.
        options: Values of the format's options.

    Raises:
        UserError: If there is no such format or option, the folder holds files, or the run is
            not finished.
    """
    write = exporter(name)
    for option in sorted(options.keys() - options_of(name)):
        raise UserError(f"format {name}: has no option --{option.replace('_', '-')}")
    is_new = not out.exists()
    require_empty(out)
    try:
        make_folder(out)
        write_atomically(out / UNFINISHED, [_UNFINISHED.encode()])
        report = write(source, out, **options)
        with writing(out / UNFINISHED):
            (out / UNFINISHED).unlink()
        return report
    except BaseException:
        _clear(out, remove=is_new)
        raise


def require_empty(out: Path) -> None:
    """Makes sure that a folder can be written to.

    Raises:
        UserError: If it holds files, or is no folder.
    """
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
