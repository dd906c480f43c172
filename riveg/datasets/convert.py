"""A dataset as one JSON lines or Parquet file that is read back to the same samples and gold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast, get_args

from riveg.datasets.dataset import Dataset, Row, usable_gold
from riveg.datasets.entities_column import encode_entities
from riveg.datasets.unread_gold import UnreadGold
from riveg.errors import MissingExtra, UserError, suggest
from riveg.files import make_folder, replacing, writing
from riveg.types import Issue

Kind = Literal["jsonl", "parquet"]

_ROW_GROUP = 1000


@dataclass(frozen=True, slots=True)
class Conversion:
    """How many rows were written, and what was left out.

    Args:
        rows: Rows in the file.
        left_out: What is wrong with the rows that are not in it.
        notes: What is annotated and is not in the gold, one line each.
    """

    rows: int
    left_out: tuple[Issue, ...]
    notes: tuple[str, ...] = ()


def convert(dataset: Dataset, target: Path, kind: Kind) -> Conversion:
    """Writes a dataset's samples, with their gold in the column ``entities``.

    The file appears only when it is whole and never replaces another file. Rows without usable text
    are not written but returned. Images are not copied: their paths stay as they are.

    Raises:
        UserError: If ``target`` exists or cannot be written, two rows have one id, or the gold of
            one is unusable.
        MissingExtra: If Parquet is asked for and pyarrow is not installed.
    """
    if os.path.lexists(target):
        raise UserError(f"{target}: is there already; choose another --out, or remove it")
    left_out: list[Issue] = []
    unread = UnreadGold()
    columns = _written_rows(dataset, left_out, unread)
    make_folder(target.parent)
    with writing(target), replacing(target) as temporary:
        if kind == "jsonl":
            rows = _write_jsonl(columns, temporary)
        else:
            rows = _write_parquet(columns, temporary, has_gold=dataset.has_gold)
    return Conversion(rows, tuple(left_out), tuple(unread.notes()))


def kind_of(name: str, others: Iterable[str] = ()) -> Kind:
    """The format of that name.

    Args:
        name: The name.
        others: Further names that a user might have meant.

    Raises:
        UserError: If there is none.
    """
    for kind in get_args(Kind):
        if kind == name:
            return cast("Kind", kind)
    raise UserError(f"--to {name}: no such format; {suggest(name, (*get_args(Kind), *others))}")


def _written_rows(
    dataset: Dataset, left_out: list[Issue], unread: UnreadGold
) -> Iterator[dict[str, Any]]:
    for row in dataset.unique_rows(annotated=True):
        unread.add(row)
        if row.gold is not None and not dataset.has_gold:
            raise UserError(
                f"{row.place}: has entities, the first rows of the file have none; give the first "
                'row "entities": null, too'
            )
        if row.sample.issues:
            left_out += row.sample.issues
        else:
            yield _columns(row, has_gold=dataset.has_gold)


def _columns(row: Row, *, has_gold: bool) -> dict[str, Any]:
    sample = row.sample
    columns: dict[str, Any] = {
        "id": sample.id,
        "text": sample.text,
        "tokens": list(sample.tokens),
        "offsets": [list(pair) for pair in sample.offsets],
        "image": sample.image.path if sample.image else None,
        "caption": sample.caption,
    }
    if has_gold:
        gold = usable_gold(row)
        columns["entities"] = None if gold is None else encode_entities(gold)
    return columns


def _write_jsonl(rows: Iterator[dict[str, Any]], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        for columns in rows:
            handle.write(json.dumps(columns, ensure_ascii=False) + "\n")
            written += 1
    return written


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path, *, has_gold: bool) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("writing Parquet", "pyarrow", "data") from error
    schema = _schema(pa, has_gold=has_gold)
    written = 0
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            written += len(batch)
    return written


def _schema(pa: Any, *, has_gold: bool) -> Any:
    string, integer = pa.string(), pa.int64()
    mask = pa.struct(
        [("height", integer), ("width", integer), ("counts", string), ("source", string)]
    )
    entity = pa.struct(
        [
            ("text", string),
            ("label", string),
            ("start", integer),
            ("end", integer),
            ("fine_label", string),
            ("boxes", pa.list_(pa.list_(pa.float64()))),
            ("masks", pa.list_(mask)),
        ]
    )
    fields = [
        ("id", string),
        ("text", string),
        ("tokens", pa.list_(string)),
        ("offsets", pa.list_(pa.list_(integer))),
        ("image", string),
        ("caption", string),
    ]
    return pa.schema([*fields, ("entities", pa.list_(entity))] if has_gold else fields)
