"""Parquet files and folders saved by Hugging Face ``datasets``, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.datasets.arrow_files import (
    parquet_batches,
    parquet_schema,
    saved_batches,
    saved_schema,
)
from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.columns import ColumnRules, Fault
from riveg.datasets.dataset import Row
from riveg.datasets.made_of import digest_of_files


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
            MissingExtra: If pyarrow is not installed.
        """
        path = self.files[split]
        inexact = _inexact_ids(self.schema(path), self.rules.columns)
        number = 0
        for batch in self.batches(path, self.rules.columns):
            for columns in batch:
                number += 1
                for own, first in inexact.items():
                    columns[own] = _exact(columns[own], first)
                yield self.rules.row(columns, path, number, annotated=annotated, unit="row")

    def digest(self, split: str) -> str | None:
        """Of the file and the rules; a folder, or images to be stored, cannot be told by it."""
        if self.rules.images is not None:
            return None
        return digest_of_files(self.rules, [self.files[split]])

    def columns(self, split: str) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.schema(self.files[split]).names)

    def holds_images(self, split: str) -> bool:
        """Whether the column ``image`` holds more than paths."""
        return _holds_images(self.schema(self.files[split]), self.rules.columns)


def parquet_reader(files: Mapping[str, Path], rules: ColumnRules) -> ArrowReader:
    """Reads ``.parquet`` files."""
    return ArrowReader(files, rules, parquet_schema, parquet_batches)


def saved_reader(files: Mapping[str, Path], rules: ColumnRules) -> ArrowReader:
    """Reads folders that ``Dataset.save_to_disk`` of Hugging Face ``datasets`` wrote."""
    return ArrowReader(files, rules, saved_schema, saved_batches)


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


def _inexact_ids(schema: Any, chosen: ColumnChoice) -> Mapping[str, int]:
    """The column of ids, if it holds floats of less than 64 bits.

    Its own name -> the number from which on neighbouring whole numbers are the same float.
    """
    import pyarrow as pa

    first = {pa.float16(): 2**11, pa.float32(): 2**24}
    own = (name for name, known in known_columns(schema.names, chosen).items() if known == "id")
    return {name: first[kind] for name in own if (kind := schema.field(name).type) in first}


def _exact(value: Any, first_inexact: int) -> object:
    if value is None or abs(value) < first_inexact:
        return value
    bits = first_inexact.bit_length() - 1
    message = f"is the float {value:g}, which is too large to be exact with {bits} bits"
    return Fault("bad-id", f"{message}; write ids as strings")
