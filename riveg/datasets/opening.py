"""From a name or a path to a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from riveg.datasets.arrow import (
    ArrowReader,
    is_saved_folder,
    parquet_reader,
    saved_reader,
    saved_splits,
)
from riveg.datasets.column_names import header_problem, known_columns, missing_image_note
from riveg.datasets.columns import ColumnRules
from riveg.datasets.config import (
    DatasetConfig,
    dataset_root,
    load_dataset_config,
    shipped_dataset_files,
)
from riveg.datasets.dataset import Dataset
from riveg.datasets.delimited import CsvReader
from riveg.datasets.image_cache import ImageCache, cache_folder
from riveg.datasets.jsonl import JsonlReader
from riveg.errors import UserError, suggest

_SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}

_TabularReader = JsonlReader | CsvReader | ArrowReader

_READERS: Mapping[str, Callable[[Mapping[str, Path], ColumnRules], _TabularReader]] = {
    "jsonl": JsonlReader,
    "csv": CsvReader,
    "parquet": parquet_reader,
    "hugging-face": saved_reader,
}


def open_dataset(
    source: str | Path, *, split: str | None = None, images: Path | None = None
) -> Dataset:
    """A dataset by name or path.

    Args:
        source: A shipped dataset's name, a dataset YAML, a ``.jsonl``, ``.csv`` or ``.parquet``
            file, or a folder saved by Hugging Face ``datasets``.
        split: The split to read; ``None`` for all there are, one after the other.
        images: Where the images' paths start, instead of what the dataset says.

    Raises:
        UserError: If there is no such dataset, split or folder, or its YAML file is wrong.
        MissingExtra: If its format needs packages that are not installed.
    """
    if images is not None and not images.is_dir():
        raise UserError(f"--images {images}: no such folder")
    path = Path(source)
    shipped = shipped_dataset_files()
    if str(source) in shipped:
        dataset = _configured(shipped[str(source)])
    elif path.suffix in {".yaml", ".yml"} and path.is_file():
        dataset = _configured(path)
    elif path.suffix in _SUFFIXES and path.is_file():
        dataset = _unconfigured(path, _SUFFIXES[path.suffix], {path.stem: path}, path.parent)
    elif is_saved_folder(path):
        parts = {name: path / name for name in saved_splits(path)} or {path.name: path}
        dataset = _unconfigured(path, "hugging-face", parts, path)
    else:
        raise _unknown(path, shipped)
    if split is not None:
        dataset = _only(dataset, split)
    return dataset if images is None else replace(dataset, image_roots=_roots(dataset, images))


def _unknown(path: Path, shipped: Mapping[str, Path]) -> UserError:
    allowed = f"a dataset's name or YAML, {', '.join(_SUFFIXES)}, or a saved datasets folder"
    if path.is_dir():
        return UserError(f"{path}: is a folder without state.json or dataset_dict.json; {allowed}")
    if path.is_file():
        return UserError(f"{path}: cannot be read by its ending; expected {allowed}")
    if path.suffix or len(path.parts) > 1:
        return UserError(f"{path}: no such file; expected {allowed}")
    return UserError(f"no dataset {str(path)!r}; {suggest(str(path), shipped)}")


_ABSENT = " is not there"


def _only(dataset: Dataset, split: str) -> Dataset:
    if split not in dataset.splits:
        missing = [note for note in dataset.notes if note.startswith(f"{split}: ")]
        reason = missing[0] if missing else suggest(split, dataset.splits)
        raise UserError(f"{dataset.name}: no split {split!r}; {reason}")
    about_this = tuple(note for note in dataset.notes if not note.endswith(_ABSENT))
    return replace(dataset, splits=(split,), notes=about_this)


def _roots(dataset: Dataset, images: Path) -> tuple[Path, ...]:
    """The given folder, then the one for images that come as bytes."""
    reader = dataset.reader
    if isinstance(reader, ArrowReader) and reader.rules.images is not None:
        return images, dataset.image_roots[-1]
    return (images,)


def _configured(path: Path) -> Dataset:
    config = load_dataset_config(path)
    root = dataset_root(config, path.parent)
    files = {split: root / name for split, name in config.text.items()}
    there = {split: file for split, file in files.items() if file.exists()}
    notes = [f"{split}: {file}{_ABSENT}" for split, file in files.items() if split not in there]
    if not there:
        raise UserError(
            f"{config.name}: none of its texts is in {root}: {', '.join(config.text.values())} "
            "(data/README.md says where to get them)"
        )
    folders = tuple(root / name for name in config.images)
    # A set comes as one archive or as several: the folders that exist are enough.
    image_roots = tuple(folder for folder in folders if folder.is_dir()) or folders
    if config.format in _READERS:
        rules = ColumnRules(config.label_map)
        dataset = _tabular(config.name, config.format, there, image_roots or (root,), rules)
        return replace(
            dataset,
            version=config.version,
            labels=config.labels,
            notes=(*notes, *dataset.notes),
        )
    return _twitter(config, root, there, image_roots, notes)


def _twitter(
    config: DatasetConfig,
    root: Path,
    texts: Mapping[str, Path],
    image_roots: tuple[Path, ...],
    notes: list[str],
) -> Dataset:
    from riveg.datasets.annotations import AnnotationFolder
    from riveg.datasets.conll import ConllReader

    annotations: AnnotationFolder | None = None
    if config.xml is not None:
        from riveg.datasets.voc import read_voc

        annotations = AnnotationFolder(root / config.xml, ".xml", False, read_voc)
    elif config.masks is not None:
        from riveg.datasets.mask_json import read_mask_json

        annotations = AnnotationFolder(root / config.masks, ".json", True, read_mask_json)
    captions = tuple(root / name for name in config.captions)
    notes += [
        f"no captions from {file}: it is not there" for file in captions if not file.is_file()
    ]
    reader = ConllReader(
        files=texts,
        fine=config.format == "twitter-fmnerg",
        label_map=config.label_map,
        annotations=annotations,
        captions=captions,
        image_roots=image_roots,
        suffixes=config.suffixes,
    )
    return Dataset(
        name=config.name,
        version=config.version,
        splits=tuple(texts),
        image_roots=image_roots,
        labels=config.labels,
        has_gold=True,
        has_boxes=annotations is not None,
        notes=tuple(notes),
        reader=reader,
    )


def _unconfigured(path: Path, kind: str, files: Mapping[str, Path], folder: Path) -> Dataset:
    return _tabular(path.stem, kind, files, (folder,), ColumnRules())


def _tabular(
    name: str,
    kind: str,
    files: Mapping[str, Path],
    image_roots: tuple[Path, ...],
    rules: ColumnRules,
) -> Dataset:
    reader = _READERS[kind](files, rules)
    if isinstance(reader, ArrowReader) and any(map(reader.holds_images, files)):
        folder = cache_folder(next(iter(files.values())))
        reader = replace(reader, rules=replace(rules, images=ImageCache(folder)))
        image_roots = (*image_roots, folder)
    columns = {split: reader.columns(split) for split in files}
    for split, names in columns.items():
        problem = header_problem(names) if names else None
        if problem is not None:
            raise UserError(f"{files[split]}: {problem}")
    known = {split: {*known_columns(names).values()} for split, names in columns.items()}
    has_gold = any("entities" in names for names in known.values())
    no_image = [split for split, names in known.items() if "image" not in names]
    return Dataset(
        name=name,
        version=None,
        splits=tuple(files),
        image_roots=image_roots,
        labels=(),
        has_gold=has_gold,
        has_boxes=has_gold and _has_boxes(reader, files),
        notes=tuple(
            f"{files[split].name} {missing_image_note(columns[split])}" for split in no_image
        ),
        reader=reader,
    )


def _has_boxes(reader: _TabularReader, files: Mapping[str, Path]) -> bool:
    """Whether the first entity has an answer for boxes, even if it is ``()``."""
    for split in files:
        for row in reader.rows(split, annotated=True):
            for entity in row.gold.entities if row.gold else ():
                return entity.boxes is not None
    return False
