"""From a name or a path to a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from riveg.datasets.arrow import is_saved_folder
from riveg.datasets.arrow_files import saved_splits
from riveg.datasets.column_names import ColumnChoice, require_choice
from riveg.datasets.columns import ColumnRules
from riveg.datasets.config import (
    DatasetConfig,
    dataset_root,
    load_dataset_config,
    shipped_dataset_files,
)
from riveg.datasets.dataset import Dataset
from riveg.datasets.joined import join_datasets, names_apart, require_different
from riveg.datasets.standard_input import CALLED, STANDARD_INPUT, keep_standard_input, shown
from riveg.datasets.tables import TABLE_FORMATS, open_table, with_table_images
from riveg.errors import UserError, suggest
from riveg.formats.run_records import require_whole_export
from riveg.labels import Levels
from riveg.stores.files import local_file, local_folder
from riveg.stores.store import store_address

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""Formats by ending; a further ``.gz`` says that a text file is compressed."""

_COMPRESSED = ".gz"


def open_dataset(
    source: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    images: Path | None = None,
    columns: ColumnChoice | None = None,
) -> Dataset:
    """A dataset by name or path, or several that are read one after the other.

    Args:
        source: A shipped dataset's name, a dataset YAML, a ``.jsonl``, ``.json``, ``.csv``,
            ``.tsv`` or ``.parquet`` file, also with ``.gz`` behind it or in an object store
            (``s3://bucket/posts.jsonl``), ``-`` for standard input, or a folder saved by Hugging
            Face ``datasets``. Or a list of these.
        split: The split to read; ``None`` for all there are, one after the other.
        images: Where the images' paths start, instead of what the dataset says.
        columns: Which column is which: riveg's name -> the data's own, for example ``{"text":
            "tweet"}``; ``None`` for a column that is not to be read.

    Raises:
        UserError: If there is no such dataset, split or folder, a chosen column is not there,
            its YAML file is wrong, or it is of an export that was cut off.
        MissingExtra: If its format needs packages that are not installed.
    """
    images = None if images is None else _image_folder(images)
    chosen = columns or {}
    require_choice(chosen, "columns")
    sources = [source] if isinstance(source, str | Path) else [*source]
    if not sources:
        raise UserError("no data are given")
    if len(sources) == 1:
        return _opened(sources[0], split, images, chosen, None)
    require_different(str(Path(each).absolute()) for each in sources)
    called = names_apart([Path(shown(Path(each))) for each in sources])
    require_different(called)
    datasets = {
        name: _opened(each, split, images, chosen, name)
        for name, each in zip(called, sources, strict=True)
    }
    for meant, own in chosen.items():
        if not any(one.columns.get(meant, "") == own for one in datasets.values()):
            raise UserError(f"--column {meant}={own}: none of {', '.join(called)} has that column")
    joined = join_datasets(datasets)
    return replace(joined, columns={**joined.columns, **chosen})


def with_images(dataset: Dataset, images: Path) -> Dataset:
    """The dataset with image paths that start in another folder.

    Raises:
        UserError: If there is no such folder.
    """
    return with_table_images(dataset, _image_folder(images))


def _image_folder(place: Path) -> Path:
    folder = local_folder(place)
    if not folder.is_dir():
        raise UserError(f"--images {place}: no such folder")
    return folder


def _opened(
    source: str | Path,
    split: str | None,
    images: Path | None,
    chosen: ColumnChoice,
    called: str | None,
) -> Dataset:
    path = _local_table(source)
    require_whole_export(path)
    shipped = shipped_dataset_files()
    start = "" if called is None else f"{called}:"
    rules = ColumnRules(called=called, id_start=start)
    # Of several files, some may have the names that are chosen, and others the usual ones.
    rules = replace(rules, columns=chosen) if called is None else replace(rules, wished=chosen)
    if str(source) in shipped:
        dataset = _configured(shipped[str(source)], split, rules)
    elif str(source) == STANDARD_INPUT:
        dataset = _standard_input(keep_standard_input(), rules)
    elif path.suffix in {".yaml", ".yml"} and path.is_file():
        dataset = replace(_configured(path, split, rules), file=path.absolute())
    elif path.is_file() and shown(path) == CALLED:
        dataset = _standard_input(path, rules)
    elif (kind := _kind_of(path)) is not None and path.is_file():
        name = str(table_name(path))
        dataset = open_table(name, kind, {name: path}, (path.parent,), rules)
    elif is_saved_folder(path):
        parts = {name: path / name for name in saved_splits(path)} or {path.name: path}
        rules = replace(rules, file_names=_file_names(parts, split))
        dataset = open_table(path.stem, "hugging-face", parts, (path,), rules)
    else:
        raise _unknown(path, shipped)
    if split is not None:
        dataset = _only(dataset, split)
    return dataset if images is None else with_images(dataset, images)


def _local_table(source: str | Path) -> Path:
    """The file or folder of a name; of one in an object store a copy."""
    address = store_address(source)
    if address is not None and _kind_of(Path(source)) is None:
        endings = ", ".join(_SUFFIXES)
        raise UserError(f"{address}: of a store, only files are read: {endings} (also .gz)")
    return local_file(source)


def _standard_input(kept: Path, rules: ColumnRules) -> Dataset:
    rules = replace(rules, called=rules.called or CALLED)
    return open_table(CALLED, str(_kind_of(kept)), {CALLED: kept}, (Path(),), rules)


def _kind_of(path: Path) -> str | None:
    """The format that a file's name says; upper case is as good."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [_COMPRESSED]:
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None


def table_name(path: Path) -> str | None:
    """What a file with columns is called: its name without the endings that say the format.

    ``None`` where they say none.

    >>> table_name(Path("a/posts.csv.gz")), table_name(Path("a/posts.yaml"))
    ('posts', None)
    """
    if _kind_of(path) is None:
        return None
    bare = path.with_suffix("") if path.suffix.lower() == _COMPRESSED else path
    return bare.stem


def _unknown(path: Path, shipped: Mapping[str, Path]) -> UserError:
    endings = ", ".join(_SUFFIXES)
    allowed = f"a dataset's name or YAML, {endings} (also .gz), or a saved datasets folder"
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


def _file_names(files: Mapping[str, Path], split: str | None) -> Mapping[Path, str]:
    """What names rows without an id, where several files are read."""
    if split is not None or len(files) < 2:
        return {}
    return dict(zip(files.values(), names_apart([*files.values()]), strict=True))


def _configured(path: Path, split: str | None, rules: ColumnRules) -> Dataset:
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
    annotated = (root / name for name in (config.xml, config.masks) if name is not None)
    for place in (*there.values(), *folders, *annotated):
        require_whole_export(place)
    # A set comes as one archive or as several: the folders that exist are enough.
    image_roots = tuple(folder for folder in folders if folder.is_dir()) or folders
    if config.format in TABLE_FORMATS:
        rules = replace(
            rules,
            file_names=_file_names(there, split),
            label_map=config.label_map,
            columns={**config.columns, **rules.columns},
            delimiter=config.delimiter or ("\t" if config.format == "tsv" else None),
            text_between=config.text_between,
        )
        dataset = open_table(config.name, config.format, there, image_roots or (root,), rules)
        return replace(
            dataset,
            version=config.version,
            labels=tuple(config.labels),
            fine_labels=_fine_labels(config),
            notes=(*notes, *dataset.notes),
            knowledge=_knowledge(config, root),
        )
    if rules.columns:
        raise UserError(f"{config.name}: its format {config.format} has no named columns to choose")
    return _twitter(config, root, there, image_roots, notes, _file_names(there, split))


def _twitter(
    config: DatasetConfig,
    root: Path,
    texts: Mapping[str, Path],
    image_roots: tuple[Path, ...],
    notes: list[str],
    file_names: Mapping[Path, str],
) -> Dataset:
    from riveg.datasets.annotations import AnnotationFolder
    from riveg.datasets.conll import ConllReader
    from riveg.text.tag_schemes import SCHEMES

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
        scheme=None if config.scheme is None else SCHEMES[config.scheme],
        file_names=file_names,
    )
    return Dataset(
        name=config.name,
        version=config.version,
        splits=tuple(texts),
        image_roots=image_roots,
        labels=tuple(config.labels),
        fine_labels=_fine_labels(config),
        has_gold=True,
        has_boxes=annotations is not None,
        notes=tuple(notes),
        reader=reader,
        knowledge=_knowledge(config, root),
    )


def _fine_labels(config: DatasetConfig) -> Levels:
    """The fine labels of each label; nothing where the set has one level."""
    return config.labels if any(config.labels.values()) else {}


def _knowledge(config: DatasetConfig, root: Path) -> dict[str, tuple[Path, ...]]:
    return {
        split: tuple(root / name for name in names) for split, names in config.knowledge.items()
    }
