"""Files with columns as datasets: JSON, CSV, Parquet and saved folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from riveg.datasets.arrow import ArrowReader, parquet_reader, saved_reader
from riveg.datasets.column_names import (
    columns_there,
    header_problem,
    known_columns,
    missing_image_note,
)
from riveg.datasets.columns import ColumnRules
from riveg.datasets.dataset import Dataset
from riveg.datasets.delimited import CsvReader, csv_reader
from riveg.datasets.image_cache import ImageCache, cache_folder
from riveg.datasets.jsonl import JsonlReader
from riveg.datasets.sake import sake_reader
from riveg.datasets.standard_input import shown
from riveg.errors import UserError

_TabularReader = JsonlReader | CsvReader | ArrowReader

_READERS: Mapping[str, Callable[[Mapping[str, Path], ColumnRules], _TabularReader]] = {
    "jsonl": JsonlReader,
    "json": JsonlReader,
    "csv": csv_reader,
    "tsv": csv_reader,
    "parquet": parquet_reader,
    "hugging-face": saved_reader,
    "sake": sake_reader,
}

TABLE_FORMATS = frozenset(_READERS)
"""Names of the formats with columns."""

_FIRST_ROWS = 100
"""Rows in which absolute image paths are looked for."""


def open_table(
    name: str,
    kind: str,
    files: Mapping[str, Path],
    image_roots: tuple[Path, ...],
    rules: ColumnRules,
) -> Dataset:
    """A dataset of files with columns.

    Args:
        name: What it is called.
        kind: One of :data:`TABLE_FORMATS`.
        files: The file of each split.
        image_roots: Image folders, looked up in order.
        rules: How columns are read.

    Raises:
        UserError: If a file cannot be read, or no sample can be made of its columns.
        MissingExtra: If the format needs packages that are not installed.
    """
    reader = _READERS[kind](files, rules)
    if rules.wished:
        found = [name for split in files for name in reader.columns(split)]
        there = columns_there(found, rules.wished)
        rules = replace(rules, columns={**rules.columns, **there})
        reader = _READERS[kind](files, rules)
    if isinstance(reader, ArrowReader) and any(map(reader.holds_images, files)):
        folder = cache_folder(next(iter(files.values())))
        reader = replace(reader, rules=replace(rules, images=ImageCache(folder)))
        image_roots = (*image_roots, folder)
    columns = {split: reader.columns(split) for split in files}
    for split, names in columns.items():
        problem = header_problem(names, rules.columns) if names else None
        if problem is not None:
            raise UserError(f"{shown(files[split])}: {problem}")
    known = {
        split: {*known_columns(names, rules.columns).values()} for split, names in columns.items()
    }
    has_gold = any("entities" in names for names in known.values())
    no_image = [
        f"{rules.called or files[split].name} {missing_image_note(columns[split], rules.columns)}"
        for split, names in known.items()
        if "image" not in names
    ]
    return Dataset(
        name=name,
        version=None,
        splits=tuple(files),
        image_roots=image_roots,
        labels=(),
        has_gold=has_gold,
        has_boxes=has_gold and _has_boxes(reader, files),
        notes=(*no_image, *(reader.notes() if isinstance(reader, CsvReader) else ())),
        reader=reader,
        columns=rules.columns,
    )


def with_table_images(dataset: Dataset, images: Path) -> Dataset:
    """The dataset with image paths that start in ``images``.

    Images that come as bytes stay where they are. Where a table names images by absolute paths
    below its own folder, that stays an image folder, too.
    """
    roots = [images]
    reader = dataset.reader
    if isinstance(reader, ArrowReader) and reader.rules.images is not None:
        roots.append(dataset.image_roots[-1])
    given = replace(dataset, image_roots=tuple(roots))
    if not isinstance(reader, _TabularReader):
        return given
    own = dict.fromkeys(reader.files[split].parent.absolute() for split in dataset.splits)
    left = [Path(path) for path in _absolute_images(given)]
    roots += [folder for folder in own if any(path.is_relative_to(folder) for path in left)]
    return replace(dataset, image_roots=tuple(roots))


def _absolute_images(dataset: Dataset) -> Iterator[str]:
    """Absolute paths in the first rows that lie below no image folder."""
    for row in islice(dataset.rows(annotated=False), _FIRST_ROWS):
        image = row.sample.image
        if image is not None and Path(image.path).is_absolute():
            yield image.path


def _has_boxes(reader: _TabularReader, files: Mapping[str, Path]) -> bool:
    """Whether the first entity has an answer for boxes, even if it is ``()``."""
    for split in files:
        for row in reader.rows(split, annotated=True):
            for entity in row.gold.entities if row.gold else ():
                return entity.boxes is not None
    return False
