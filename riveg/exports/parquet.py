"""A Parquet file for Hugging Face ``datasets``, with the images in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from riveg.errors import ImageFault, MissingExtra, UserError
from riveg.exports.guesses import must_mark
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, replacing, writing
from riveg.images.loader import ImageLoader
from riveg.text.spans import character_range
from riveg.types import Entity, ImageRef, Region, Sample

_GROUP_ROWS = 1000
_GROUP_BYTES = 16 * 1024 * 1024
"""A row group is written when it holds so many rows or so many bytes of images."""


def export_parquet(source: ExportSource, out: Path, *, embed: bool = True) -> ExportReport:
    """Writes ``records.parquet``, to be read with ``load_dataset("parquet", data_files=...)``.

    Args:
        source: The run.
        out: An empty folder.
        embed: Whether the file carries the images themselves; otherwise their absolute paths.

    Raises:
        MissingExtra: If pyarrow or datasets is not installed.
        UserError: If the file cannot be written.
    """
    fine = source.has_fine_labels()
    features = _features(fine=fine)
    make_folder(out)
    path = out / "records.parquet"
    rows = _RowMaker(source, embed=embed, fine=fine)
    _write(path, features, rows)
    return ExportReport((path,), dict(rows.counts), dict(rows.left_out))


class _RowMaker:
    """Makes rows of samples, and counts what it makes and what it leaves out."""

    def __init__(self, source: ExportSource, *, embed: bool, fine: bool) -> None:
        self.counts = Counter({"rows": 0, "entities": 0, "regions": 0, "masks": 0, "pictures": 0})
        self.left_out: Counter[str] = Counter()
        self._source = source
        self._images = ImageLoader(source.image_roots)
        self._embed = embed
        self._fine = fine

    def groups(self) -> Iterator[list[dict[str, Any]]]:
        """The rows, as many at a time as go into one row group."""
        rows: list[dict[str, Any]] = []
        size = 0
        for sample in self._source.records():
            row = self._row(sample)
            rows.append(row)
            size += len((row["image"] or {}).get("bytes") or b"")
            if len(rows) == _GROUP_ROWS or size >= _GROUP_BYTES:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows

    def _row(self, sample: Sample) -> dict[str, Any]:
        self.counts["rows"] += 1
        image = sample.image
        return {
            "id": sample.id,
            "text": sample.text,
            "tokens": list(sample.tokens),
            "image": self._image(image) if image else None,
            "image_path": image.path if image else None,
            "width": image.width if image else None,
            "height": image.height if image else None,
            "caption": sample.caption,
            "entities": None
            if sample.entities is None
            else [self._entity(sample, entity) for entity in sample.entities],
        }

    def _entity(self, sample: Sample, entity: Entity) -> dict[str, Any]:
        self.counts["entities"] += 1
        place = character_range(sample.offsets, entity.span) or (None, None)
        gate = entity.entailment
        return {
            "id": entity.id,
            "text": entity.text,
            "label": entity.label,
            **({"fine_label": entity.fine_label} if self._fine else {}),
            "start": entity.span.start,
            "end": entity.span.end,
            "char_start": place[0],
            "char_end": place[1],
            "score": entity.score,
            "expression": entity.expression,
            "groundable": gate.groundable if gate else None,
            "probability": gate.probability if gate else None,
            "regions": None
            if entity.regions is None
            else [self._region(region) for region in entity.regions],
        }

    def _region(self, region: Region) -> dict[str, Any]:
        self.counts["regions"] += 1
        self.counts["masks"] += region.mask is not None
        box, mask = region.box, region.mask
        return {
            "box": [box.x_min, box.y_min, box.x_max, box.y_max],
            "score": region.score,
            "mask": mask and {"height": mask.height, "width": mask.width, "counts": mask.counts},
            "source": region.source,
            "guess": must_mark(region, self.counts),
        }

    def _image(self, image: ImageRef) -> dict[str, Any] | None:
        """The file as it is: the reader turns it upright, as riveg does."""
        try:
            self._images.load(image)
        except ImageFault:
            self.left_out["picture that cannot be read"] += 1
            return None
        self.counts["pictures"] += 1
        path = self._images.locate(image.path)
        if self._embed:
            return {"bytes": path.read_bytes(), "path": path.name}
        return {"bytes": None, "path": str(path.absolute())}


def _features(*, fine: bool) -> Any:
    """The columns' types, as ``datasets`` writes them into the file for itself.

    Args:
        fine: Whether entities have a column of fine labels.
    """
    try:
        import pyarrow  # noqa: F401
        from datasets import Features, Image, Sequence, Value
    except ImportError as error:
        raise MissingExtra("the format parquet", error.name or "datasets", "data") from error

    text, number, count = Value("string"), Value("float64"), Value("int32")
    region = {
        "box": Sequence(number, length=4),
        "score": number,
        "mask": {"height": count, "width": count, "counts": text},
        "source": text,
        "guess": Value("bool"),
    }
    entity = {
        "id": text,
        "text": text,
        "label": text,
        **({"fine_label": text} if fine else {}),
        "start": count,
        "end": count,
        "char_start": count,
        "char_end": count,
        "score": number,
        "expression": text,
        "groundable": Value("bool"),
        "probability": number,
        "regions": [region],
    }
    return Features(
        {
            "id": text,
            "text": text,
            "tokens": [text],
            "image": Image(),
            "image_path": text,
            "width": count,
            "height": count,
            "caption": text,
            "entities": [entity],
        }
    )


def _write(path: Path, features: Any, rows: _RowMaker) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = features.arrow_schema
    try:
        with (
            writing(path),
            replacing(path) as temporary,
            parquet.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for group in rows.groups():
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
    except pa.ArrowException as error:
        raise UserError(f"{path}: cannot be written ({error})") from error
