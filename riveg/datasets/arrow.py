"""Parquet files and folders saved by Hugging Face ``datasets``, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.columns import ColumnRules
from riveg.datasets.dataset import Row
from riveg.errors import MissingExtra, UserError

_BATCH = 32
"""Rows in memory at a time; each may hold an image's bytes."""


@dataclass(frozen=True, slots=True)
class ArrowReader:
    """Reads rows as Arrow tables; ``image`` holds paths, bytes, or structs of both.

    Args:
        files: The file or folder of each split.
        rules: How columns are read.
        schema: The Arrow schema of a file.
        batches: The rows of a file in batches; images stay the bytes and paths that are stored.
    """

    files: Mapping[str, Path]
    rules: ColumnRules
    schema: Callable[[Path], Any]
    batches: Callable[[Path, ColumnChoice], Iterator[list[dict[str, Any]]]]

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split; the first is ``row-1``.

        Raises:
            UserError: If the file or folder cannot be read.
            MissingExtra: If pyarrow or datasets is not installed.
        """
        path = self.files[split]
        number = 0
        for batch in self.batches(path, self.rules.columns):
            for columns in batch:
                number += 1
                yield self.rules.row(columns, path, number, annotated=annotated, unit="row")

    def columns(self, split: str) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.schema(self.files[split]).names)

    def holds_images(self, split: str) -> bool:
        """Whether the column ``image`` holds more than paths."""
        return _holds_images(self.schema(self.files[split]), self.rules.columns)


def parquet_reader(files: Mapping[str, Path], rules: ColumnRules) -> ArrowReader:
    """Reads ``.parquet`` files."""
    return ArrowReader(files, rules, _parquet_schema, _parquet_batches)


def saved_reader(files: Mapping[str, Path], rules: ColumnRules) -> ArrowReader:
    """Reads folders that ``Dataset.save_to_disk`` of Hugging Face ``datasets`` wrote."""
    return ArrowReader(files, rules, _saved_schema, _saved_batches)


def saved_splits(folder: Path) -> tuple[str, ...]:
    """Names of the splits in a saved ``DatasetDict``; ``()`` for a single saved ``Dataset``."""
    import json

    listing = folder / "dataset_dict.json"
    if not listing.is_file():
        return ()
    try:
        return tuple(str(name) for name in json.loads(listing.read_bytes())["splits"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{listing}: cannot be read as a list of splits ({error!r})") from error


def is_saved_folder(path: Path) -> bool:
    """Whether ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote this folder."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _holds_images(schema: Any, chosen: ColumnChoice) -> bool:
    import pyarrow as pa

    own = [name for name, known in known_columns(schema.names, chosen).items() if known == "image"]
    if not own:
        return False
    kind = schema.field(own[0]).type
    return bool(
        pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )


def _parquet(path: Path) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(f"reading {path.name}", "pyarrow", "data") from error
    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error})") from error


def _parquet_schema(path: Path) -> Any:
    return _parquet(path).schema_arrow


def _parquet_batches(path: Path, chosen: ColumnChoice) -> Iterator[list[dict[str, Any]]]:
    import pyarrow as pa

    with _parquet(path) as file:
        columns = [*known_columns(file.schema_arrow.names, chosen)]
        try:
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                yield batch.to_pylist()
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise UserError(f"{path}: damaged Parquet ({error})") from error


def _saved(path: Path) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(f"reading {path.name}", "datasets", "data") from error
    try:
        return datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as a saved dataset ({error})") from error


def _saved_schema(path: Path) -> Any:
    return _saved(path).features.arrow_schema


def _saved_batches(path: Path, chosen: ColumnChoice) -> Iterator[list[dict[str, Any]]]:
    saved = _saved(path)
    columns = [*known_columns(saved.column_names, chosen)]
    # As Arrow, so that images stay the bytes and paths they are stored as.
    for table in saved.select_columns(columns).with_format("arrow").iter(batch_size=_BATCH):
        yield table.to_pylist()
