"""Parquet files and folders saved by Hugging Face ``datasets``, checked before their rows are used.

Arrow trusts the offsets and lengths that a file gives. So each batch is checked in full before a
value of it is read, and files are read and not mapped into memory: a mapped file that is shorter
than it says ends the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.standard_input import shown
from riveg.errors import MissingExtra, UserError, reason
from riveg.files import open_regular
from riveg.formats.json_files import Schema, checked, read_json

_BATCH = 32
"""Rows as Python values at a time; each may hold an image's bytes."""


class _FileName(BaseModel):
    # Never a path: a folder holds its own files.
    filename: str = Field(pattern=r"^[^/\\\\]+$")


class _State(BaseModel):
    """What ``state.json`` says of a saved dataset."""

    files: tuple[_FileName, ...] = Field(alias="_data_files", min_length=1)


class _Splits(BaseModel):
    splits: tuple[str, ...] = Field(min_length=1)


def saved_splits(folder: Path) -> tuple[str, ...]:
    """Names of the splits in a saved ``DatasetDict``; ``()`` for a single saved ``Dataset``.

    Raises:
        UserError: If the list of splits is damaged, or names other folders.
    """
    listing = folder / "dataset_dict.json"
    if not listing.is_file():
        return ()
    splits = _document(listing, "a list of splits", _Splits).splits
    for name in splits:
        if Path(name).name != name:
            raise UserError(f"{listing}: {name!r:.80} is no name of a split")
    return splits


def parquet_schema(path: Path) -> Any:
    """The Arrow schema of a file.

    Raises:
        UserError: If it cannot be read as Parquet.
        MissingExtra: If pyarrow is not installed.
    """
    with _parquet(path) as file:
        return file.schema_arrow


def parquet_batches(path: Path, chosen: ColumnChoice) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file in batches.

    Raises:
        UserError: If it cannot be read as Parquet, or is damaged.
        MissingExtra: If pyarrow is not installed.
    """
    return column_batches(path, lambda names: known_columns(names, chosen))


def column_batches(
    path: Path, choose: Callable[[Sequence[str]], Iterable[str]]
) -> Iterator[list[dict[str, Any]]]:
    """The same with the columns that ``choose`` takes of the names of all."""
    with _parquet(path) as file:
        columns = [*choose(file.schema_arrow.names)]
        with _one_line_errors(path, "damaged Parquet"):
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                yield _rows(batch)


def saved_schema(folder: Path) -> Any:
    """The Arrow schema of a saved ``Dataset``.

    Raises:
        UserError: If it cannot be read.
        MissingExtra: If pyarrow is not installed.
    """
    with _stream(_saved_files(folder)[0]) as stream:
        return stream.schema


def saved_batches(folder: Path, chosen: ColumnChoice) -> Iterator[list[dict[str, Any]]]:
    """The rows of a saved ``Dataset`` in batches; images are the bytes and paths that are stored.

    Raises:
        UserError: If it cannot be read, or is damaged.
        MissingExtra: If pyarrow is not installed.
    """
    for path in _saved_files(folder):
        with _stream(path) as stream:
            names = stream.schema.names
        places = sorted(map(names.index, known_columns(names, chosen)))
        with _stream(path, places) as stream, _one_line_errors(path, "damaged"):
            for batch in stream:
                batch.validate(full=True)
                for start in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(start, _BATCH).to_pylist()


def _saved_files(folder: Path) -> list[Path]:
    state = _document(folder / "state.json", "a saved dataset", _State)
    return [folder / file.filename for file in state.files]


def _document(path: Path, what: str, kind: type[Schema]) -> Schema:
    where = f"{path}: cannot be read as {what}"
    try:
        return checked(kind, read_json(path), where)
    except (OSError, ValueError) as error:
        raise UserError(f"{where} ({reason(error)})") from error


def _rows(batch: Any) -> list[dict[str, Any]]:
    batch.validate(full=True)
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


@contextmanager
def _one_line_errors(path: Path, what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    # An offset that no length fits makes pyarrow raise a SystemError or a TypeError.
    except (OSError, ValueError, OverflowError, TypeError, SystemError, MemoryError) as error:
        raise UserError(f"{shown(path)}: {what} ({reason(error)})") from error
    except pa.ArrowException as error:
        raise UserError(f"{shown(path)}: {what} ({reason(error)})") from error


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    _require_pyarrow(path)
    from pyarrow import parquet

    with _opened(path) as handle:
        with _one_line_errors(path, "cannot be read as Parquet"):
            file = parquet.ParquetFile(handle, page_checksum_verification=True)
            _require_readable(file.schema_arrow)
        with file:
            yield file


@contextmanager
def _stream(path: Path, columns: Sequence[int] | None = None) -> Iterator[Any]:
    _require_pyarrow(path)
    from pyarrow import ipc

    options = ipc.IpcReadOptions(included_fields=None if columns is None else [*columns])
    with _opened(path) as handle:
        with _one_line_errors(path, "cannot be read as a saved dataset"):
            stream = ipc.open_stream(handle, options=options)
            _require_readable(stream.schema)
        with stream:
            yield stream


def _require_readable(schema: Any) -> None:
    """Reads the names of the columns: whether they are UTF-8, pyarrow finds out only then."""
    _ = schema.names


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        handle = open_regular(path)
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    with handle:
        yield handle


def _require_pyarrow(path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"reading {Path(shown(path)).name}", "pyarrow", "data") from error
