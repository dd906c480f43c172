"""Export formats by name: a table of strings, imported on use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import cast

from riveg.errors import UserError, suggest
from riveg.exports.folder import filling
from riveg.exports.source import ExportReport, ExportSource

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
    with filling(out):
        return write(source, out, **options)
